"""What the ranking says: the best genes of each kind, and known genes among them."""

from functools import partial

import pandas as pd

from perturbloop.plots import shift_against_null
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import Grid, Picture, Section, interval, number, probability, text
from perturbloop.schema import ACTION, STATUS

SIGN = (
    "Benefit is positive where the action, done to a start cell, moves it toward the goal state; genes are ranked by it. "
    "It comes from a model: every row is a suggestion to test, not a finding. It is the shift of the goal's logit, or, once "
    "targets of the kind were measured, the probability of a worthwhile effect toward the goal less that of one away from it."
)
_TOP = (
    "#",
    "gene",
    "action",
    "benefit",
    "logit shift",
    "95 % interval of the shift",
    "null z",
    "padj",
    "call",
    "cells",
    "donors",
    "detection",
    "flags",
)
_WORDS = frozenset({"gene", "action", "call", "flags", "pathway", "kind", "status"})


def ranking_section(report: RoundReport) -> Section:
    """Best genes per kind, how many were scored and called, and the figure."""
    ranking = report.ranking
    kinds = list(dict.fromkeys(ranking["kind"]))
    if ranking.empty:
        return Section("ranking", "What the ranking says", ("No gene was scored: run `perturbloop play`.",))
    return Section(
        "ranking",
        "What the ranking says",
        (SIGN, *(_count(ranking, kind) for kind in kinds)),
        tuple(_top(ranking, kind, report.top) for kind in kinds),
        (
            Picture(
                "Shift of every scored gene against genes of like rank and expression; named are those of highest "
                "benefit. Blue: called toward the goal; orange: away from it.",
                partial(shift_against_null, ranking),
            ),
        ),
        (
            "The interval and the null are those of the in-silico shift of the goal's logit, also where the benefit holds "
            "measured effects of other genes. Cells and donors are those in which the gene was edited; detection is the "
            "share of start cells that express it. Flags are reasons to look twice; flagged genes are not removed.",
        ),
    )


def pathway_section(report: RoundReport) -> Section:
    """Where genes of known pathways stand."""
    title = "Known pathway genes in the ranking"
    if report.pathways.empty:
        said = "No known pathway tells these two states apart, so this campaign has no positive control of its own."
        return Section("pathways", title, (said,))
    rows = tuple(
        (
            text(row.pathway),
            text(row.gene_name),
            _kind(row.kind),
            f"{number(row.place, 0)} of {number(row.n_ranked, 0)}" if pd.notna(row.place) else "not ranked",
            number(row.benefit, sign=True),
            number(row.detection),
            text(row.status).replace("_", " "),
        )
        for row in report.pathways.itertuples()
    )
    columns = ("pathway", "gene", "kind", "place", "benefit", "detection", "status")
    said = (
        "Genes that are known to drive the difference of these states should stand high: a positive control of the ranking. "
        "Those marked `not of these states` should not. A spent gene was measured and used, so it has no place."
    )
    return Section("pathways", title, (said,), (Grid("Pathway genes", columns, rows, _WORDS),))


def _count(ranking: pd.DataFrame, kind: str) -> str:
    rows = ranking[ranking["kind"] == kind]
    counts = rows["status"].value_counts()
    by_status = ", ".join(
        f"{counts[name]:,} {name.replace('_', ' ')}" for name in STATUS if counts.get(name, 0)
    )
    calls = rows.loc[rows["status"] == "scored", "call"].value_counts()
    called = ", ".join(f"{calls.get(name, 0):,} {name}" for name in ("toward", "away", "none"))
    return f"{kind}: {len(rows):,} genes, of which {by_status}. Calls among the scored genes: {called}."


def _top(ranking: pd.DataFrame, kind: str, top: int) -> Grid:
    rows = ranking[(ranking["kind"] == kind) & (ranking["status"] == "scored")]
    best = rows.sort_values("benefit", ascending=False, kind="stable").head(top)
    lines = tuple(
        (
            str(place),
            text(row.gene_name, str(row.gene_id)),
            text(row.action),
            number(row.benefit, sign=True),
            number(row.logit_shift, 3, sign=True),
            interval(row.ci_low, row.ci_high, 3, sign=True),
            number(row.null_z, 1, sign=True),
            probability(row.padj),
            text(row.call),
            number(row.n_cells, 0),
            number(row.n_donors, 0) if row.n_donors else "none named",
            number(row.detection),
            text(row.flags).replace(",", ", "),
        )
        for place, row in enumerate(best.itertuples(), start=1)
    )
    called = frozenset(i for i, call in enumerate(best["call"]) if call == "toward")
    title = f"{_kind(kind)}: the {len(lines)} genes of highest benefit (bold: called toward the goal)"
    return Grid(title, _TOP, lines, _WORDS, called)


def _kind(kind: str) -> str:
    return f"{kind} ({ACTION[kind]})" if kind in ACTION else str(kind)
