"""Bulk samples thinned into pseudo-cells: what a single cell would show if it were an average of its sample.

    python benchmarks/real/pseudo_cells.py $DATA/states/rade2023_panT_bulk_44samples.h5ad pseudo.h5ad

Every pseudo-cell is one multinomial draw of a few thousand UMI from the counts of one bulk sample. **Pseudo-cells of one sample
are one measurement**, read many times: they differ by counting noise alone, not by biology. The replicates are the donors.
No number of pseudo-cells may enter a p-value, and co-expression among those of one sample is noise.
"""

from pathlib import Path
from typing import Annotated

import anndata as ad
import numpy as np
import pandas as pd
import typer
from jaxtyping import Float, Int
from scipy import sparse

LABELS = ("donor", "hours", "condition", "state")


def thin(
    counts_rg: Float[np.ndarray, "r g"],
    umi_n: Int[np.ndarray, " n"],
    sample_n: Int[np.ndarray, " n"],
    seed: int,
) -> sparse.csr_matrix:
    """Draw the counts of every pseudo-cell, multinomially, from those of its sample.

    Parameters
    ----------
    counts_rg
        Raw counts, bulk samples × genes.
    umi_n
        Molecules in each pseudo-cell.
    sample_n
        Row of `counts_rg` each pseudo-cell is drawn from.
    seed
        Seed of the draws.

    Returns
    -------
    Counts, pseudo-cells × genes; every row sums to its `umi_n`.
    """
    rng = np.random.default_rng(seed)
    share_rg = counts_rg / counts_rg.sum(axis=1, keepdims=True)
    rows = [
        sparse.csr_matrix(rng.multinomial(umi, share_rg[row]))
        for umi, row in zip(umi_n, sample_n, strict=True)
    ]
    return sparse.vstack(rows, format="csr").astype(np.float32)


def pseudo_cells(bulk: ad.AnnData, *, per_sample: int, umi: tuple[int, int], seed: int) -> ad.AnnData:
    """As many pseudo-cells from every sample, their UMI log-uniform within `umi`; genes without a count are dropped."""
    rng = np.random.default_rng(seed)
    sample_n = np.repeat(np.arange(bulk.n_obs), per_sample)
    umi_n = np.exp(rng.uniform(np.log(umi[0]), np.log(umi[1]), sample_n.size)).round().astype(int)
    counts_ng = thin(np.asarray(bulk.to_df(), dtype=float), umi_n, sample_n, int(rng.integers(2**31)))
    seen_g = np.asarray(counts_ng.sum(axis=0)).ravel() > 0
    obs = bulk.obs[list(LABELS)].astype(str).iloc[sample_n].assign(sample=bulk.obs_names[sample_n].to_numpy())
    obs["pseudo_cell"] = True
    obs.index = pd.Index([f"{name}_{number % per_sample:03d}" for number, name in enumerate(obs["sample"])])
    return ad.AnnData(counts_ng[:, seen_g], obs=obs, var=bulk.var.loc[seen_g].copy())


def main(
    bulk: Annotated[Path, typer.Argument(help="h5ad file of bulk samples, raw counts.")],
    out: Annotated[Path, typer.Argument(help="h5ad file to write.")],
    per_sample: Annotated[int, typer.Option(help="Pseudo-cells from each sample.")] = 40,
    min_umi: Annotated[int, typer.Option(help="Least molecules of a pseudo-cell.")] = 2000,
    max_umi: Annotated[int, typer.Option(help="Most molecules of a pseudo-cell.")] = 3000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Thin, write, and say what came of it."""
    cells = pseudo_cells(ad.read_h5ad(bulk), per_sample=per_sample, umi=(min_umi, max_umi), seed=seed)
    cells.write_h5ad(out)
    genes = np.median(np.diff(cells.X.indptr))
    typer.echo(
        f"{cells.n_obs} pseudo-cells of {cells.obs['sample'].nunique()} samples; median {genes:.0f} genes; {out}"
    )


if __name__ == "__main__":
    typer.run(main)
