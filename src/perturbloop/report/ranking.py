"""What the ranking says: the best genes of each kind, and known genes among them."""

from typing import Any

import pandas as pd

from perturbloop.report.answer import Answer
from perturbloop.report.basis import (
    IN_SILICO,
    LEAST_CELLS,
    POSTERIOR,
    Basis,
    basis_of,
    kinds_of,
    method_of,
    shown,
)
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import (
    Grid,
    Picture,
    Section,
    count,
    drawn,
    interval,
    listed,
    number,
    probability,
    text,
)
from perturbloop.schema import ACTION, STATUS, WITH_MODEL, WITHOUT_MODEL

BEST = 10
"""Genes of each kind that are shown before the details."""
NAMED = 5
"""Genes of each kind that are named in the answer."""
GATE_FAILED = "The control gate failed, so none of these genes should be acted on."
NOTHING_SCORED = "No gene was scored: run `perturbloop play`."
CAUTIONS = "Cautions are reasons to look twice; no gene is removed for them."
PSEUDO = "de_padj_pseudoreplicated"
"""A column that is there only where it was asked for."""
HEADS = {
    "place": "#",
    "gene_name": "gene",
    "benefit": "benefit",
    "shift": "shift",
    "effect": "effect ± SD",
    "interval": "95 % interval",
    "padj": "padj",
    "call": "call",
    "n_cells": "cells",
    "n_donors": "donors",
    "neighbors": "because of",
    "cautions": "cautions",
    "log2fc": "log2FC",
    "de_padj": "DE padj",
    "de_padj_pseudoreplicated": "pseudoreplicated DE padj",
    "detection": "detection",
    "status": "status",
}
"""Head of each column."""
MEANINGS = {
    "benefit": "probability of a worthwhile effect toward the goal, 0 to 1",
    "shift": "in-silico change in the logit of the goal state; positive = toward the goal",
    "effect ± SD": "expected effect, in the unit of the measured effects; positive = toward the goal",
    "95 % interval": "of the number to its left",
    "padj": "against genes of like rank and expression, Benjamini-Hochberg",
    "call": "toward or away: padj below the rate, and the interval excludes 0",
    "cells": "start cells in which the gene was edited",
    "because of": "measured genes that move the expectation most",
    "log2FC": "differential expression, positive = higher in the goal state",
    "DE padj": "of differential expression",
    "pseudoreplicated DE padj": "of differential expression by metacells, which are no replicates: no evidence",
    "detection": "share of start cells that express the gene",
    "status": "scored; spent: measured, and taught the ranking; not scored: cannot be edited; excluded on request",
}
"""What a column says, by its head."""
_FRONT = {
    POSTERIOR: ("place", "gene_name", "benefit", "effect", "cautions", "log2fc", "de_padj"),
    IN_SILICO: ("place", "gene_name", "shift", "interval", "padj", "call", "cautions", "log2fc", "de_padj"),
}
COLUMNS = {
    POSTERIOR: (*_FRONT[POSTERIOR], "neighbors", "de_padj_pseudoreplicated", "detection"),
    IN_SILICO: (*_FRONT[IN_SILICO], "n_cells", "n_donors", "de_padj_pseudoreplicated", "detection"),
}
"""All columns of a kind, by what it is ranked by."""
_SPARE = (
    "status",
    "detection",
    "donors",
    "pseudoreplicated DE padj",
    "DE padj",
    "call",
    "log2FC",
    "because of",
    "padj",
    "#",
)
_WORDS = frozenset({"gene", "call", "cautions", "because of", "pathway", "kind", "status"})


def ranking_section(report: RoundReport, found: Answer) -> Section:
    """The ten best genes of each kind with their doubts, and the volcano."""
    title = "The genes to test"
    kinds = kinds_of(report)
    if not kinds:
        return Section("ranking", title, (NOTHING_SCORED,))
    failed = (GATE_FAILED,) if found.gate == "failed" else ()
    return Section(
        "ranking",
        title,
        (*failed, *basis_lines(report)),
        tuple(top_grid(report, kind, BEST) for kind in kinds),
        tuple(
            Picture(
                f"To {_action(kind)}, every scored gene: right = toward the goal, up = more certain; the best are named.",
                drawn("volcano", rows),
            )
            for kind in kinds
            if has_points(rows := report.ranking[report.ranking["kind"].eq(kind)])
        ),
        (CAUTIONS,),
    )


def has_points(ranking: pd.DataFrame) -> bool:
    """Whether a volcano of these RANKING rows has a dot: from one cell a gene no shift has a p-value."""
    return bool(
        ranking["ranked_by"].isin([WITH_MODEL, WITHOUT_MODEL]).any() or ranking["pvalue"].notna().any()
    )


def full_ranking_section(report: RoundReport) -> Section:
    """More genes of each kind with all their columns, how many were scored, and the in-silico figures."""
    title = "The ranking in full"
    kinds = kinds_of(report)
    if not kinds:
        return Section("full-ranking", title, (NOTHING_SCORED,))
    return Section(
        "full-ranking",
        title,
        tuple(_count(report, kind) for kind in kinds),
        tuple(top_grid(report, kind, report.top, columns=COLUMNS[basis_of(report, kind)]) for kind in kinds),
        _in_silico(report),
        (
            "All genes stand in `ranking.csv` and `ranking.xlsx` beside this page. Intervals and p-values of fewer than "
            f"{LEAST_CELLS} cells are not shown. `geneformer_….csv` lists the same edits as the published tool does, by the change in "
            "cosine and with its own test: to compare with that tool, not to choose genes.",
        ),
    )


def best_lines(report: RoundReport) -> tuple[str, ...]:
    """The first genes of each kind, in a sentence."""
    parts = []
    for kind in kinds_of(report):
        rows = shown(report, kind)
        names = rows.loc[rows["status"].eq("scored"), "gene_name"].head(NAMED)
        if len(names):
            parts.append(f"best to {_action(kind)}: {listed(names)}")
    said = "; ".join(parts)
    return (f"{said[0].upper()}{said[1:]}.",) if parts else ()


def top_grid(report: RoundReport, kind: str, top: int, *, columns: tuple[str, ...] = ()) -> Grid:
    """The best scored genes of one kind.

    Parameters
    ----------
    report
        The round.
    kind
        Kind of edit.
    top
        Most rows.
    columns
        Keys of `HEADS`; by default those that belong to the basis of the kind.

    Returns
    -------
    A grid whose title names the action and the unit of what the genes are ranked by.
    """
    basis = basis_of(report, kind)
    rows = shown(report, kind)
    columns = tuple(name for name in columns or _FRONT[basis] if name != PSEUDO or name in rows)
    rows = rows[rows["status"].eq("scored")].head(top)
    return rows_grid(f"To {_action(kind)}: {count(len(rows), 'best gene')} by {basis.head}", rows, columns)


def rows_grid(title: str, rows: pd.DataFrame, columns: tuple[str, ...]) -> Grid:
    """Show rows of the ranking.

    Parameters
    ----------
    title
        What is said above them.
    rows
        Rows of `basis.shown`.
    columns
        Keys of `HEADS`.
    """
    heads = tuple(HEADS[name] for name in columns)
    lines = tuple(tuple(_cell(row, name) for name in columns) for row in rows.itertuples())
    return Grid(
        title,
        heads,
        lines,
        _WORDS,
        gene_ids=tuple(rows["gene_id"].astype(str)),
        spare=tuple(name for name in _SPARE if name in heads),
        meanings={head: MEANINGS[head] for head in heads if head in MEANINGS},
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
            str(row.kind),
            f"{number(row.place, 0)} of {number(row.n_ranked, 0)}" if pd.notna(row.place) else "not ranked",
            number(row.detection),
            text(row.status).replace("_", " "),
        )
        for row in report.pathways.itertuples()
    )
    columns = ("pathway", "gene", "kind", "place", "detection", "status")
    said = (
        "Genes that are known to drive the difference of these states should stand high: a positive control of the ranking. "
        "Those marked `not of these states` should not. A spent gene was measured and used, so it has no place."
    )
    return Section("pathways", title, (said,), (Grid("Pathway genes", columns, rows, _WORDS),))


def basis_lines(report: RoundReport, only: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What each kind is ranked by and in which unit; kinds of one basis share a sentence.

    Parameters
    ----------
    report
        The round.
    only
        Kinds that are spoken of; all by default.
    """
    kinds: dict[Basis, list[str]] = {}
    for kind in only or kinds_of(report):
        kinds.setdefault(basis_of(report, kind), []).append(f"`{kind}`")
    left_out = ", without the in-silico score, whose control gate failed"
    of_model = (
        left_out
        if any(method_of(report, kind) == WITHOUT_MODEL for kind in only or kinds_of(report))
        else " and the in-silico score"
    )
    why = {
        POSTERIOR: f"It comes from the measured effects of like genes{of_model}.",
        IN_SILICO: "It is a model's suggestion, not a finding.",
    }
    return tuple(
        f"{basis.head.capitalize()} ({listed(names)}): {basis.unit}. {why[basis]}"
        for basis, names in kinds.items()
    )


def _in_silico(report: RoundReport) -> tuple[Picture, ...]:
    """The figures of the in-silico score, of the kinds in whose ranking it has a say."""
    counts = {kind: method_of(report, kind) != WITHOUT_MODEL for kind in kinds_of(report)}
    ranking = report.ranking[report.ranking["kind"].map(counts)]
    if ranking.empty:
        return ()
    null = Picture(
        "In-silico shift of every scored gene against genes of like rank and expression; named are the best. "
        "Blue: called toward the goal; orange: away from it.",
        drawn("shift_against_null", ranking),
    )
    beside = Picture(
        "In-silico shift against differential expression (right = higher in the goal state): where the dots lie on a line the "
        "model says no more than differential expression does.",
        drawn("shift_against_expression", ranking),
    )
    says = {"pvalue": null, "log2fc": beside}
    return tuple(picture for column, picture in says.items() if ranking[column].notna().any())


def _count(report: RoundReport, kind: str) -> str:
    rows = shown(report, kind)
    counts = rows["status"].value_counts()
    by_status = ", ".join(
        f"{counts[name]:,} {name.replace('_', ' ')}" for name in STATUS if counts.get(name, 0)
    )
    said = f"{kind}: {count(len(rows), 'gene')}, of which {by_status}."
    if basis_of(report, kind) is POSTERIOR:
        return said
    calls = rows.loc[rows["status"].eq("scored"), "call"].value_counts()
    called = ", ".join(f"{calls.get(name, 0):,} {name}" for name in ("toward", "away", "none"))
    return f"{said} Calls among the scored genes: {called}."


def _cell(row: Any, name: str) -> str:
    if name == "effect":
        return f"{number(row.mean, sign=True)} ± {number(row.sd)}"
    if name == "interval":
        return interval(row.ci_low, row.ci_high, 3, sign=True)
    value = getattr(row, name)
    if name in ("padj", "de_padj", "de_padj_pseudoreplicated"):
        return probability(value)
    if name in ("place", "n_cells"):
        return number(value, 0)
    if name == "n_donors":
        return number(value, 0) if value else "none named"
    if name == "gene_name":
        return text(value, str(row.gene_id))
    if name == "status":
        return text(value).replace("_", " ")
    if isinstance(value, str):
        return text(value)
    return number(value, 3 if name == "shift" else 2, sign=name in ("shift", "log2fc"))


def _action(kind: str) -> str:
    return f"{ACTION[kind]} ({kind})" if kind in ACTION else str(kind)
