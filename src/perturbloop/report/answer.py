"""The answer in a sentence: is this ranking better than its controls and than differential expression, on how many hits?"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from perturbloop.report.basis import kinds_of, method_of
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import count, listed, number
from perturbloop.schema import FAILED, controls_of, method

ENOUGH_HITS = 10
"""Fewer hits cannot show that a ranking is no better than another."""
HELD_OUT = "held-out"
DE = "de"
Word = Literal["yes", "no", "cannot tell"]
_NOTHING = "nothing was measured, so this ranking is a model's suggestion, and its order is not evidence."
WAY_OUT = (
    "Way out: published weights instead of a model of your own, longer pretraining, more cells of both states, or a panel "
    "of genes to measure instead of this list."
)
"""What to do where the gate failed."""


@dataclass(frozen=True)
class Rival:
    """A method on the same held-out genes, and how much better the ranking is."""

    name: str
    title: str
    auroc: float
    low: float
    high: float
    """Ends of the 95 % interval of the ranking's AUROC minus the rival's: DeLong's paired one where it was made, else the
    ranking's own interval with the rival's value taken as given."""


@dataclass(frozen=True, eq=False)
class Judged:
    """How the ranking of a kind did on its held-out targets."""

    kind: str
    method: str
    """What it is ranked by."""
    own: pd.Series | None
    """METRICS row of its AUROC on all held-out targets; `None` where it was not judged."""
    rivals: tuple[Rival, ...] = ()
    """Its controls and signed differential expression, where they were judged and have a value."""


@dataclass(frozen=True)
class Answer:
    """What a reader can repeat."""

    word: Word
    """Whether the ranking is better than its controls and than differential expression."""
    sentence: str
    """The same with the number of hits."""
    gate: Literal["passed", "failed", "not judged"]
    """The control gate in a word: one failed check fails it, and one that passed is needed to pass."""
    gate_sentence: str
    """The same with what to do."""
    judged: tuple[Judged, ...] = ()
    """Kinds whose ranking was judged on held-out targets, the one with most hits first."""


def answer(report: RoundReport) -> Answer:
    """Judge the ranking by its measured targets, and say whether its control gate held."""
    judged = _judged(report)
    word, sentence = _verdict(judged, int(report.effects["level"].eq("gene").sum()))
    passed = [verdict.passed for verdict in report.gate]
    if False in passed:
        return Answer(word, sentence, "failed", f"{FAILED}: act on none of these genes. {WAY_OUT}", judged)
    if True in passed:
        n, of = passed.count(True), count(len(passed), "check")
        said = (
            "The control gate passed."
            if n == len(passed)
            else f"The control gate passed {n} of {of}; none failed."
        )
        return Answer(word, sentence, "passed", said, judged)
    return Answer(word, sentence, "not judged", "The control gate could not be judged.", judged)


def _judged(report: RoundReport) -> tuple[Judged, ...]:
    rows, gains = report.metrics, report.gains[report.gains["targets"].eq(HELD_OUT)]
    rows = rows[rows["metric"].eq("auroc") & rows["denominator"].eq("all") & rows["targets"].eq(HELD_OUT)]
    rows = rows[rows["kind"].isin(kinds_of(report))]
    hits = rows.groupby("kind", sort=False)["n_hits"].max().astype(int)
    kinds = [str(kind) for kind in hits.sort_values(ascending=False, kind="stable").index]
    return tuple(
        _of_kind(kind, method_of(report, kind), rows[rows["kind"].eq(kind)], gains[gains["kind"].eq(kind)])
        for kind in kinds
    )


def _of_kind(kind: str, name: str, aurocs: pd.DataFrame, gains: pd.DataFrame) -> Judged:
    found = aurocs[aurocs["method"].eq(name)]
    if found.empty:
        return Judged(kind, name, None)
    own = found.iloc[0]
    rivals: list[Rival] = []
    for rival in (*controls_of(name), DE):
        rows = aurocs[aurocs["method"].eq(rival) & aurocs["value"].notna()]
        if rows.empty or rival == name:
            continue
        auroc = float(rows["value"].iloc[0])
        gain = gains[gains["method"].eq(name) & gains["against"].eq(rival)]
        low, high = float(own["ci_low"]) - auroc, float(own["ci_high"]) - auroc
        paired = gain[["delong_low", "delong_high"]].head(1).dropna()
        if len(paired):
            low, high = (float(end) for end in paired.iloc[0])
        rivals.append(Rival(rival, method(rival).title, auroc, low, high))
    return Judged(kind, name, own, tuple(rivals))


def _verdict(judged: tuple[Judged, ...], n_measured: int) -> tuple[Word, str]:
    if not judged:
        said = (
            f"none of {count(n_measured, 'measured gene')} was held out to judge it."
            if n_measured
            else _NOTHING
        )
        return "cannot tell", f"Cannot tell yet: {said}"
    word, sentence = _in_words(judged[0])
    others = [f"For `{one.kind}`: {_in_words(one)[1]}" for one in judged[1:]]
    return word, " ".join([sentence, *others])


def _in_words(judged: Judged) -> tuple[Word, str]:
    own, others = judged.own, judged.rivals
    if own is None:
        return "cannot tell", "Cannot tell: its ranking was not judged."
    n_hits, n_genes = int(own["n_hits"]), int(own["n_genes"])
    on = f"{count(n_hits, 'hit')} among {count(n_genes, 'held-out gene')}"
    value = float(own["value"])
    if np.isnan(value):
        return "cannot tell", f"Cannot tell: {on}, so no ranking can be judged."
    low, high = float(own["ci_low"]), float(own["ci_high"])
    finds = f"AUROC {number(value)}, 95\u00a0% interval {number(low)} to {number(high)}"
    names = listed([_name(rival) for rival in others])
    if low > 0.5 and all(rival.low > 0 for rival in others):
        better = f"better than chance{f', and than {names}' if others else ''}"
        return "yes", f"Yes: on {on} this ranking finds hits {better} ({finds})."
    worse = [rival for rival in others if rival.high < 0]
    if worse:
        beaten = listed([f"{rival.title} (AUROC {number(rival.auroc)})" for rival in worse])
        return (
            "no",
            f"No: on {on} {beaten} find{'s' * (len(worse) == 1)} the hits better than this ranking ({finds}).",
        )
    equal = [rival for rival in others if rival.low <= 0]
    beside = listed([_name(rival) for rival in equal] or ["chance"])
    if n_hits >= ENOUGH_HITS:
        return "no", f"No: on {on} this ranking ({finds}) is not told apart from {beside}."
    few = "is" if n_hits == 1 else "are"
    return "cannot tell", (
        f"Cannot tell: {on} {few} too few. On them this ranking ({finds}) is not told apart from {beside}."
    )


def _name(rival: Rival) -> str:
    return f"{rival.title} ({number(rival.auroc)})"
