"""How long do the statistics of a ranking take, and how much memory? 20,000 genes in 1,000 cells, 20 million shifts.

    python benchmarks/isp/gene_statistics.py --json

Makes seeded shifts of two readouts with 8 donors, runs the mean per gene of both, the matched null and the multiple testing,
and prints wall and processor seconds of each, the peak memory above the input arrays, and the peak in all. `--names` gives genes
and donors as arrays of strings, which is slower than a Categorical. Not called `statistics.py`: Python's own module of
that name, which torch imports, would then not be found by the scripts of this folder.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import typer

from perturbloop.stats.aggregate import mean_by_gene
from perturbloop.stats.correct import benjamini_hochberg
from perturbloop.stats.null import matched_null

MIB = 2**20


class Shifts(NamedTuple):
    """One row per cell and gene, cell by cell, and two covariates per gene."""

    logit_n: np.ndarray
    cosine_n: np.ndarray
    gene_n: pd.Categorical | np.ndarray
    donor_n: pd.Categorical | np.ndarray
    position_g: np.ndarray
    expression_g: np.ndarray


def made(genes: int, cells: int, donors: int, seed: int, *, names: bool) -> Shifts:
    """Shifts of which one gene in 50 has a true one; donors differ by as much as the mean of their cells does."""
    rng = np.random.default_rng(seed)
    readouts = []
    for _ in range(2):
        shift = np.empty((cells, genes))
        rng.standard_normal(out=shift)
        shift += np.where(np.arange(genes) % 50 == 0, 0.3, 0.0)
        for donor in range(donors):
            shift[donor::donors] += rng.normal(scale=np.sqrt(donors / cells), size=genes)
        readouts.append(shift.reshape(-1))
    gene_code = np.tile(np.arange(genes, dtype=np.int16 if genes < 2**15 else np.int32), cells)
    donor_code = np.repeat((np.arange(cells) % donors).astype(np.int8), genes)
    gene_ids = np.array([f"ENSG{gene:011d}" for gene in range(genes)])
    donor_ids = np.array([f"donor {donor}" for donor in range(donors)])
    if names:
        return Shifts(*readouts, gene_ids[gene_code], donor_ids[donor_code], *rng.normal(size=(2, genes)))
    return Shifts(
        *readouts,
        pd.Categorical.from_codes(gene_code, gene_ids),
        pd.Categorical.from_codes(donor_code, donor_ids),
        *rng.normal(size=(2, genes)),
    )


def peak_mib() -> float:
    """Peak memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (MIB if sys.platform == "darwin" else 1024)


def timed(step: str, run: Callable[[], Any], rows: list[dict[str, Any]]) -> Any:
    """Run a step and note its seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    result = run()
    rows.append(
        {"step": step, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - processor}
    )
    return result


def measure(shifts: Shifts) -> list[dict[str, Any]]:
    """Seconds of each step of the statistics of a ranking, and of all."""
    rows: list[dict[str, Any]] = []
    logit = timed("mean_by_gene, logit", lambda: mean_by_gene(shifts.logit_n, *shifts[2:4]), rows)
    timed("mean_by_gene, cosine", lambda: mean_by_gene(shifts.cosine_n, *shifts[2:4]), rows)
    mean_g = logit["mean"].to_numpy()
    null = timed("matched_null", lambda: matched_null(mean_g, *shifts[4:]), rows)
    timed("benjamini_hochberg", lambda: benjamini_hochberg(null.pvalue_g), rows)
    return [*rows, {"step": "all"} | {key: sum(row[key] for row in rows) for key in ("wall_s", "cpu_s")}]


def main(
    genes: Annotated[int, typer.Option(help="Genes edited.")] = 20_000,
    cells: Annotated[int, typer.Option(help="Cells each gene is edited in.")] = 1_000,
    donors: Annotated[int, typer.Option(help="Donors of the cells.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the shifts.")] = 0,
    names: Annotated[bool, typer.Option("--names", help="Genes and donors as strings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make the shifts, measure, and print."""
    shifts = made(genes, cells, donors, seed, names=names)
    inputs = sum(array.nbytes for array in shifts) / MIB
    before = peak_mib()
    rows = measure(shifts)
    memory = {"inputs_mib": inputs, "above_inputs_mib": peak_mib() - before, "peak_mib": peak_mib()}
    if as_json:
        sizes = {"genes": genes, "cells": cells, "donors": donors, "seed": seed, "names": names}
        typer.echo(json.dumps(sizes | {"steps": rows} | memory))
        return
    typer.echo(pd.DataFrame(rows).set_index("step").round(2).to_string())
    typer.echo(pd.Series(memory).round(0).astype(int).to_string())


if __name__ == "__main__":
    typer.run(main)
