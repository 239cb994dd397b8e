"""Does the small model read where a gene stands, or only that it is there? Genes moved to several ranks, and taken out.

    python benchmarks/real/rank_reading.py OUT

after `t_cells.py` wrote OUT: in a few resting cells, the genes that activation raises and lowers most are put at the front, at some
ranks, at the end, and deleted; prints the mean shift of the logit (positive = toward activated) and its standard error over edits.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from perturbloop.loop.folder import open_campaign
from perturbloop.loop.inputs import read_inputs
from perturbloop.train.checkpoint import load_state_model

RANKS = (0, 10, 50, 150)
FROM, TO = 300, 1000
"""Ranks at which the genes stand before."""


def edits(row: np.ndarray, place: int) -> dict[str, np.ndarray]:
    """The cell with the gene at `place` moved or gone.

    >>> {name: cell.tolist() for name, cell in edits(np.arange(4), 2).items() if name in ("rank 0", "end", "deleted")}
    {'rank 0': [2, 0, 1, 3], 'end': [0, 1, 3, 2], 'deleted': [0, 1, 3]}
    """
    rest = np.delete(row, place)
    moved = {f"rank {rank}": np.insert(rest, rank, row[place]) for rank in RANKS if rank <= rest.size}
    return {**moved, "end": np.append(rest, row[place]), "deleted": rest}


def main(
    out: Annotated[Path, typer.Argument(help="Folder that `t_cells.py` wrote.")],
    cells: Annotated[int, typer.Option(help="Resting cells.")] = 4,
    genes: Annotated[int, typer.Option(help="Genes raised and lowered most, in each.")] = 12,
    seed: Annotated[int, typer.Option(help="Draws the cells.")] = 0,
) -> None:
    """Move, read, and print."""
    campaign = open_campaign(out / "campaign-isp-overexpress")
    with campaign.store:
        inputs = read_inputs(campaign.config)
    trained = load_state_model(next((campaign.folder / "models").glob("frozen-*")), base=inputs.view.model)
    gene_of = inputs.vocabulary.gene_of_token
    z_of = pd.read_parquet(out / "de.parquet").set_index("gene_id")["z"]
    parts = []
    for cell in np.random.default_rng(seed).permutation(np.flatnonzero(~inputs.states.is_goal_n))[:cells]:
        row = inputs.view.tokens.row(int(cell))
        z_t = z_of.reindex([gene_of[token] for token in row]).to_numpy()
        order = np.argsort(z_t[FROM:TO]) + FROM  # genes without a value come last
        order = order[~np.isnan(z_t[order])]
        groups = {"lowered": order[:genes], "raised": order[-genes:]}
        tried = [
            (group, name, edited)
            for group, places in groups.items()
            for place in places
            for name, edited in edits(row, int(place)).items()
        ]
        emb_nd = trained.model.embed([row, *(edited for _, _, edited in tried)])
        logit_n = trained.readout.logit(emb_nd)
        parts.append(
            pd.DataFrame([entry[:2] for entry in tried], columns=["genes", "to"]).assign(
                shift=logit_n[1:] - logit_n[0]
            )
        )
    shifts = pd.concat(parts).groupby(["to", "genes"], sort=False)["shift"].agg(["mean", "sem", "size"])
    typer.echo(shifts.round(4).to_string())


if __name__ == "__main__":
    typer.run(main)
