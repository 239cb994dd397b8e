"""How long one posterior takes, and how much memory: a genome of genes, eight collections, one core.

    OMP_NUM_THREADS=1 python benchmarks/speed/posterior.py [--genes 18000] [--measured 75]

Collections are drawn like published ones: 2,000 sets each, sizes from 5 to 300 by a power law. Prints seconds of the processor and the peak of the process.
"""

import resource
import time
from typing import Annotated

import numpy as np
import typer
from scipy import sparse

from perturbloop.evidence.kernels import Kernel, vector_kernel
from perturbloop.evidence.posterior import posterior
from perturbloop.evidence.scales import change_scale, expression_scale, lineage_scale, listed_scale

N_COLLECTIONS, N_SETS = 8, 2000


def collection(name: str, gene_ids: np.ndarray, rng: np.random.Generator) -> Kernel:
    """A collection of gene sets; a fifth of the genes is in none."""
    sizes = np.minimum(5 * (1 - rng.random(N_SETS)) ** -0.8, 300).astype(int)
    known = rng.permutation(len(gene_ids))[: 4 * len(gene_ids) // 5]
    places = np.concatenate([rng.choice(known, size, replace=False) for size in sizes])
    sets = np.repeat(np.arange(N_SETS), sizes)
    member_gs = sparse.csr_matrix((np.ones(len(places)), (places, sets)), shape=(len(gene_ids), N_SETS))
    return vector_kernel(name, gene_ids, member_gs, power=1)


def main(
    genes: Annotated[int, typer.Option(help="Genes.")] = 18_000,
    measured: Annotated[list[int] | None, typer.Option(help="Measured genes; may be repeated.")] = None,
    draws: Annotated[int, typer.Option(help="Draws of all genes.")] = 128,
) -> None:
    """Time it."""
    rng = np.random.default_rng(0)
    gene_ids = np.array([f"ENSG{number:011d}" for number in range(genes)], dtype=object)
    kernels = [collection(f"collection {n}", gene_ids, rng) for n in range(N_COLLECTIONS)]
    scales = [
        expression_scale(gene_ids, rng.normal(size=genes)),
        change_scale(gene_ids, rng.normal(size=genes)),
        listed_scale("pathway", gene_ids, rng.random(genes) < 0.01),
        lineage_scale(gene_ids, rng.normal(size=genes)),
    ]
    for k in measured or [20, 75, 1000]:
        place_p = rng.permutation(genes)[:k]
        start = time.process_time()
        found = posterior(
            kernels, scales, rng.normal(size=genes), place_p, rng.normal(size=k) * 2, np.ones(k)
        )
        middle = time.process_time()
        found.draw(rng, draws)
        end = time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        typer.echo(
            f"{genes:,} genes, {len(kernels)} collections, {k} measured: posterior {middle - start:.2f} s, "
            f"{draws} draws {end - middle:.2f} s, peak {peak:.2f} GB"
        )


if __name__ == "__main__":
    typer.run(main)
