"""What is known of one gene beside the tables of a round: batches, guides to order, compounds."""

from typing import Any

import pandas as pd

from perturbloop.report.gene import GeneAnswer
from perturbloop.report.layout import Grid, Section, count, number, text
from perturbloop.schema import ACTION

_WORDS = frozenset(
    {
        "policy",
        "action",
        "reason",
        "status",
        "hit",
        "guide",
        "sequence",
        "transcript",
        "compound",
        "does",
        "stage",
        "source",
    }
)


def batch_section(found: GeneAnswer, trials: pd.DataFrame) -> Section | None:
    """Proposals and batches it stood in."""
    grids = []
    if found.proposed:
        lines = tuple(
            (
                str(row["policy"]),
                number(row["place"], 0),
                number(row["probability"]),
                str(row["action"]),
                text(row["reason"]),
            )
            for row in found.proposed
        )
        columns = ("policy", "place", "P(hit)", "action", "reason")
        grids.append(Grid("Proposed by this round", columns, lines, _WORDS))
    if len(trials):
        taken = tuple(
            (
                number(row.batch, 0),
                str(row.policy),
                str(row.action),
                number(row.predicted),
                str(row.status),
                _came(row.hit),
            )
            for row in trials.itertuples()
        )
        heads = ("batch", "policy", "action", "P(hit)", "status", "hit")
        grids.append(Grid("In batches that were taken", heads, taken, _WORDS))
    return Section("batches", "Batches", grids=tuple(grids)) if grids else None


def _came(hit: Any) -> str:
    return "" if pd.isna(hit) else "hit" if hit else "no hit"


def library_section(guides: pd.DataFrame | None) -> Section | None:
    """Its guides in the library."""
    if guides is None:
        return None
    if guides.empty:
        return Section("library", "Guides in the library", ("The library has none for this gene.",))
    columns = ("guide_id", "sequence", "transcript")
    lines = tuple(tuple(text(value) for value in row) for row in guides[[*columns]].itertuples(index=False))
    grid = Grid(count(len(lines), "guide"), ("guide", "sequence", "transcript"), lines, _WORDS)
    return Section("library", "Guides in the library", grids=(grid,))


def drug_section(rows: pd.DataFrame | None) -> Section | None:
    """Compounds that act on it, in the words of their sources."""
    if rows is None:
        return None
    if rows.empty:
        return Section("drugs", "Compounds", ("No compound that was added acts on it.",))
    lines = tuple(
        (
            text(row.compound),
            ACTION.get(row.kind, "sign unknown"),
            text(row.mechanism),
            text(row.stage),
            number(row.potency, 1),
            text(row.source),
        )
        for row in rows.itertuples()
    )
    columns = ("compound", "action", "does", "stage", "potency", "source")
    grid = Grid(
        count(len(lines), "compound"),
        columns,
        lines,
        _WORDS,
        spare=("source", "does"),
        meanings={"potency": "−log10 of Ki, Kd, IC50 or EC50 in mol/l: 9 = 1 nM"},
    )
    return Section("drugs", "Compounds that act on it", grids=(grid,))
