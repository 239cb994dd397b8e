"""The learning curves of a campaign, where they were measured."""

import pandas as pd

from perturbloop.report.content import RoundReport
from perturbloop.report.layout import MISSING, Grid, Picture, Section, drawn, interval, number
from perturbloop.report.scoreboard import method_title

SAID = (
    "How well the held-out hits are found by what had been known after k measured genes. Each number of a panel is the mean over its "
    "draws, with an interval of that mean that takes the held-out genes as given; a single draw, and what needs no measured gene, "
    "has DeLong's interval over genes, which is the wider one as long as hits are few."
)


def curve_sections(report: RoundReport) -> tuple[Section, ...]:
    """One section where learning curves were measured, else none: they are made on request."""
    if report.curves.empty:
        return ()
    rows = report.curves[report.curves["metric"].eq("auroc")]
    grids = tuple(
        _grid(f"{kind}, {panel or 'no gene measured'}", part)
        for (kind, panel), part in rows.groupby(["kind", "panel"], sort=False)
    )
    picture = Picture(
        "AUROC after k measured genes; dashed: controls.", drawn("learning_curves", report.curves)
    )
    return (Section("curves", "Learning curves", (SAID,), grids, (picture,), report.curve_notes),)


def _grid(title: str, rows: pd.DataFrame) -> Grid:
    sizes = sorted(rows["k"].unique())
    lines = []
    for name, part in rows.groupby("method", sort=False):
        cell = {
            row.k: f"{number(row.value)} {interval(row.ci_low, row.ci_high)}"
            for row in part.itertuples()
            if not pd.isna(row.value)
        }
        lines.append((method_title(str(name)), *(cell.get(k, MISSING) for k in sizes)))
    counts = f"AUROC of {int(rows['n_hits'].iloc[0]):,} hits among {int(rows['n_genes'].iloc[0]):,} held-out targets"
    columns = ("method", *(f"k = {k}" for k in sizes))
    return Grid(f"{title}: {counts}", columns, tuple(lines), frozenset({"method"}))
