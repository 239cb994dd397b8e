"""What the measurements say of the ranking: beside its controls, beside differential expression, with intervals."""

from typing import cast

import pandas as pd

from perturbloop.report.answer import Answer, Judged
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import MISSING, Grid, Picture, Section, count, drawn, interval, number, yes
from perturbloop.report.scoreboard import NOTHING_HELD_OUT, NOTHING_MEASURED, headline
from perturbloop.schema import Kind, judges, method

_COLUMNS = ("compared with", "in words", "ranking minus it", "95 % interval", "its AUROC")
_SPARE = ("its AUROC", "95 % interval")
_WORDS = frozenset({"compared with", "in words"})


def method_section(report: RoundReport, found: Answer) -> Section:
    """The forest of the scoreboard, and the ranking minus each of its rivals."""
    title = "What the measurements say of this ranking"
    if not found.judged:
        return Section("method", title, (NOTHING_MEASURED if report.effects.empty else NOTHING_HELD_OUT,))
    said = (
        found.sentence,
        "AUROC is the share of pairs in which a hit stands above a gene that is none; 0.5 is chance. Every hit was ranked "
        "without its own measurement.",
        *(line for one in found.judged for line in _half(report.effects, one)),
    )
    picture = Picture(
        "AUROC on all held-out targets with 95 % intervals. Circles: the loop; squares: baselines; shaded diamonds: the "
        "controls of the method above them; dotted: chance.",
        drawn("scoreboard", headline(report.metrics), shown=("auroc",)),
    )
    return Section("method", title, said, tuple(map(_grid, found.judged)), (picture,))


def _half(rows: pd.DataFrame, judged: Judged) -> tuple[str, ...]:
    """Why fewer or more hits judge a kind than the table of effects shows."""
    own, kind = judged.own, judged.kind
    rows = rows[rows["level"].eq("gene") & rows["fold"].ge(0) & rows["effect_to_goal"].gt(0)]
    rows = rows[rows["modality"].map(lambda done: judges(done, cast("Kind", kind))).astype(bool)]
    n_all = int(rows["hit"].map(yes).astype(bool).sum())
    if own is None or n_all == int(own["n_hits"]):
        return ()
    return (
        f"`{kind}` is judged by the half of the readout genes that labelled no training cell: by it {count(int(own['n_hits']), 'held-out gene')} "
        f"hit toward the goal, by all readout genes {n_all:,}.",
    )


def _grid(judged: Judged) -> Grid:
    own = judged.own
    title = f"{judged.kind}: {method(judged.method).title}"
    if own is None:
        return Grid(f"{title}, not judged", _COLUMNS, (), _WORDS)
    value, low, high = own[["value", "ci_low", "ci_high"]].astype(float)
    rows = [("chance", *_gain(value - 0.5, low - 0.5, high - 0.5), "0.50")]
    for rival in judged.rivals:
        rows.append((rival.title, *_gain(value - rival.auroc, rival.low, rival.high), number(rival.auroc)))
    on = f"{count(int(own['n_hits']), 'hit')} among {count(int(own['n_genes']), 'gene')}"
    return Grid(f"{title}, AUROC {number(value)} on {on}", _COLUMNS, tuple(rows), _WORDS, spare=_SPARE)


def _gain(value: float, low: float, high: float) -> tuple[str, str, str]:
    if pd.isna(value):
        return "undefined", MISSING, MISSING
    words = "better" if low > 0 else "worse" if high < 0 else "not told apart"
    return words, number(value, sign=True), interval(low, high, sign=True)
