"""Which compounds bring cells back to the goal, and what it costs them."""

import pandas as pd

from perturbloop.report.content import RoundReport
from perturbloop.report.layout import Grid, Picture, Section, count, drawn, interval, listed, number, text

BEST = 5
"""Compounds that are listed first."""
MOST = 100
"""Rows of a grid."""
WHOLE = "all"
"""Label of the whole sample among cell types, and of what no column names."""
_TITLE = "Which compounds bring cells back?"
_WORDS = frozenset({"compound", "cell type", "flags"})
_MEANINGS = {
    "way back": "share of the way from the start to the goal cells with the vehicle, at equal depth, phase and type; with its 95 % interval "
    "over donors",
    "as it is": "the same share, nothing matched",
    "recovered": "cells per well, relative to the vehicle",
}


def best_doses(reversal: pd.DataFrame) -> pd.DataFrame:
    """Of each compound the whole-sample row that brings most cells back, unharmed before harmed; the best compound first.

    Parameters
    ----------
    reversal
        REVERSAL rows.
    """
    rows = reversal[reversal["cell_type"].eq(WHOLE)]
    flagged = rows["flags"].ne("")
    order = rows.assign(flagged=flagged).sort_values(
        ["flagged", "share"], ascending=[True, False], kind="stable"
    )
    return order.drop_duplicates("target").drop(columns="flagged").reset_index(drop=True)


def reversal_grid(rows: pd.DataFrame, title: str = "") -> Grid:
    """REVERSAL rows as text: the columns that a reader needs first."""
    typed, timed = rows["cell_type"].ne(WHOLE).any(), rows["time"].ne(WHOLE).any()
    columns = ("compound", *(("cell type",) if typed else ()), "dose", *(("time",) if timed else ()))
    columns += ("way back", "as it is", "recovered", "cells", *(("composition",) if typed else ()), "flags")
    lines = tuple(
        (
            text(row.target),
            *((text(row.cell_type),) if typed else ()),
            text("" if pd.isna(row.dose) else f"{row.dose:g}"),
            *((text(row.time),) if timed else ()),
            f"{number(row.share)} {interval(row.ci_low, row.ci_high)}",
            number(row.share_raw),
            number(row.recovered),
            number(row.n_cells, 0),
            *((f"{number(row.composition)} of {number(row.composition_vehicle)}",) if typed else ()),
            text(row.flags, ""),
        )
        for row in rows.itertuples()
    )
    return Grid(title, columns, lines, _WORDS, spare=("cells", "time", "as it is"), meanings=_MEANINGS)


def reversal_lines(reversal: pd.DataFrame) -> tuple[str, ...]:
    """The answer in words: how many compounds bring cells back, unharmed, and from which dose others are toxic.

    Parameters
    ----------
    reversal
        REVERSAL rows.
    """
    best, whole = best_doses(reversal), reversal[reversal["cell_type"].eq(WHOLE)]
    back = best[best["ci_low"].astype(float).gt(0) & best["flags"].eq("")]
    named = f": {listed(back['target'], most=6)}" if len(back) else ""
    said = [
        f"{count(len(back), 'compound')} of {len(best):,} with an interval above 0 at a dose without a flag: cells come back{named}."
    ]
    harmful = whole[whole["flags"].str.contains("toxic")].groupby("target", sort=False)["dose"].min()
    if len(harmful):
        doses = [str(name) if pd.isna(dose) else f"{name} (from {dose:g})" for name, dose in harmful.items()]
        said.append(f"Toxic: {listed(doses, most=9)}.")
    if whole["n_donors"].max() < 2:
        said.append("One donor: no interval can be given, and nothing is sure.")
    return tuple(said)


def reversal_section(report: RoundReport) -> Section:
    """The best compounds, where all arms lie on the axis, and what each dose does."""
    best = best_doses(report.reversal)
    return Section(
        "reversal",
        _TITLE,
        reversal_lines(report.reversal),
        (
            reversal_grid(
                best.head(BEST), f"{count(min(len(best), BEST), 'best compound')}, each at its best dose"
            ),
        ),
        (
            Picture(
                f"Every cell on the axis from {report.start} to {report.goal} with the vehicle (0 and 1), read by a classifier that never saw "
                "its donor; compounds at their best dose.",
                drawn(
                    "arms_on_axis",
                    report.positions,
                    best.head(BEST),
                    treated=set(report.reversal["target"]),
                    start=report.start,
                    goal=report.goal,
                ),
            ),
            Picture(
                "Way back by dose, matched, with 95 % interval over donors (blue), and cells recovered, relative to the vehicle (gray). "
                "Open: flagged as toxic.",
                drawn("dose_response", report.reversal, compounds=list(best["target"])),
            ),
        ),
    )


def full_reversal_section(report: RoundReport) -> Section:
    """Every compound, dose, time and cell type, with composition beside it."""
    rows = report.reversal
    shown = rows.sort_values(["target", "cell_type", "dose"], kind="stable").head(MOST)
    more = (f"{len(rows) - MOST:,} more rows in `reversal.parquet`.",) if len(rows) > MOST else ()
    return Section("all-reversal", "Every way back", more, (reversal_grid(shown),))
