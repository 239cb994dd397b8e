"""Measured effects taken apart: do the guides of a target agree, and do its replicates?"""

from collections.abc import Iterator

import pandas as pd

from perturbloop.report.content import RoundReport
from perturbloop.report.layout import MISSING, Grid, Section, count, number, text

MOST = 40
"""Targets of a file that are listed, those of strongest effect."""
SAID = (
    "Where guides, or replicates, of a target disagree, its effect is one of them and not of the gene. Targets of strongest effect "
    "come first."
)
_WORDS = frozenset({"target", "guide", "counts less since"})
_MEANINGS = {
    "effect to goal": "of this guide alone, in standard deviations of control cells; positive = toward the goal",
    "RNA left": "the target's own RNA as a multiple of the controls'; 0.2 = a fifth is left",
    "escaped": "share of cells that look like control cells, 0 to 1",
    "weight": "how much the guide counts in the target's effect: 1 = in full",
}


def by_guide_section(report: RoundReport) -> Section:
    """Effects by guide and by replicate, of the targets of strongest effect."""
    grids = (*_by_guide(report), *_by_replicate(report))
    return Section("by-guide", "Effects by guide and by replicate", (SAID,), tuple(grids))


def _by_guide(report: RoundReport) -> Iterator[Grid]:
    columns = (
        "target",
        "guide",
        "effect to goal",
        "RNA left",
        "escaped",
        "cells",
        "weight",
        "counts less since",
    )
    for source, table in report.guides.items():
        rows, of = _strongest(report, table[table["guide_id"].fillna("").ne("")])
        lines = tuple(
            (
                text(row.target),
                text(row.guide_id),
                number(row.effect_to_goal, sign=True),
                number(row.ratio),
                number(row.escape),
                number(row.n_cells, 0),
                number(row.weight),
                text(row.reason),
            )
            for row in rows.itertuples()
        )
        if lines:
            spare = ("escaped", "cells", "RNA left", "counts less since")
            title = f"{source}, by guide: {count(len(lines), 'guide')} {of}"
            yield Grid(title, columns, lines, _WORDS, spare=spare, meanings=_MEANINGS)


def _by_replicate(report: RoundReport) -> Iterator[Grid]:
    """A row for each target, a column for each replicate."""
    for source, table in report.replicates.items():
        rows, of = _strongest(report, table)
        names = [str(name) for name in dict.fromkeys(rows["replicate"])]
        if len(names) < 2:
            continue
        lines = []
        for target, part in rows.groupby("target", sort=False):
            cells = {
                str(row.replicate): f"{number(row.effect_to_goal, sign=True)} ± {number(row.se)}"
                for row in part.itertuples()
            }
            lines.append((str(target), *(cells.get(name, MISSING) for name in names)))
        title = f"{source}, by replicate: effect to goal ± SE {of}"
        yield Grid(title, ("target", *names), tuple(lines), _WORDS, spare=tuple(names[6:]))


def _strongest(report: RoundReport, table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Rows of the targets of strongest effect, these first, and of how many targets they are."""
    effects = report.effects[report.effects["level"].eq("gene")]
    size = effects.groupby("target")["effect_to_goal"].apply(lambda effect: effect.abs().max())
    own = table["target"].map(size).fillna(table.groupby("target")["effect_to_goal"].transform(_largest))
    order = own.groupby(table["target"]).max().sort_values(ascending=False, kind="stable").index
    kept = order[:MOST]
    place = {target: n for n, target in enumerate(kept)}
    rows = table[table["target"].isin(kept)]
    rows = rows.sort_values("target", key=lambda names: names.map(place), kind="stable")
    of = f"of {count(len(kept), 'target')}" + (
        f", the strongest of {len(order):,}" if len(order) > MOST else ""
    )
    return rows, of


def _largest(effect: pd.Series) -> float:
    return float(effect.abs().max())
