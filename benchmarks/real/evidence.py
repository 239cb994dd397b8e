"""Does the model add anything to the evidence? One donor's effects of a few genes, another donor's hits as the truth.

    python benchmarks/real/evidence.py $DATA OUT                       # the IFN-γ experiment, one call of transfer.py
    python benchmarks/real/evidence.py $DATA OUT --t-cells T_CELLS     # with the in-silico scores that t_cells.py wrote

Evidence is the effects of k knock-downs (CRISPRi, IFN-γ) in donor 1, truth the hits of donor 2 among expressed genes that the panel never
measured. An in-silico score is read as that of a model that did not pass its control gate: it weighs what the measured genes bear out.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from transfer import play, write
from transfer_problem import read_problem

PATHWAY = ["TCR signaling", "CD28 co-stimulation"]
BULK = "states/rade2023_panT_bulk_44samples.h5ad"
SCORES = {"ISP": "isp_delete.parquet", "untrained ISP": "untrained_delete.parquet"}


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the public data.")],
    out: Annotated[Path, typer.Argument(help="Folder of the results.")],
    t_cells: Annotated[Path | None, typer.Option(help="Folder that `t_cells.py` wrote.")] = None,
    panels: Annotated[int, typer.Option(help="Panels of each kind and size.")] = 30,
) -> None:
    """Play, and write the tables."""
    first, second = (data / f"screens/schmidt_ifng_d{donor}.gene_summary.txt" for donor in (1, 2))
    given = read_problem(first, second, data / BULK, min_cpm=1.0, pathway=PATHWAY)
    if t_cells is not None:
        scores = {name: _score(t_cells / file, given.gene_ids) for name, file in SCORES.items()}
        given = replace(given, insilico=scores)
    for fact in given.facts:
        typer.echo(fact)
    write(play(given, n_panels=panels, sizes=[20, 75]), out)


def _score(path: Path, gene_ids: np.ndarray) -> np.ndarray:
    return pd.read_parquet(path).set_index("gene_id")["benefit"].reindex(gene_ids).to_numpy(float)


if __name__ == "__main__":
    typer.run(main)
