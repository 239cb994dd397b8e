"""The scoreboard: every method on the same held-out targets, by the same metrics."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from perturbloop.data.gene_sets import GeneSets
from perturbloop.evaluate import tallies
from perturbloop.evaluate.calls import RULES, call, rule
from perturbloop.evaluate.disjoint import DISJOINT, HELD_OUT, pathway_disjoint
from perturbloop.evaluate.held_out import Judged, Truth, held_out, judge, rankings_by_fold, rows_of
from perturbloop.evaluate.metrics import METRICS as RECORDS
from perturbloop.evaluate.metrics import Metric, metric
from perturbloop.evaluate.readouts import by_readout
from perturbloop.schema import KINDS, METRICS, PREDICTIONS, EvaluateConfig, concat
from perturbloop.stats.delong import auroc_interval
from perturbloop.stats.resample import draws, percentile_interval

DIRECTIONS: dict[str, str] = {
    "auroc_away": "AUROC of finding the hits that move cells away from the goal: among the lowest scores, or by the posterior for that sign",
    "auroc_unsigned": "AUROC of finding hits of either sign among the largest absolute scores, or by the larger of both probabilities",
}
"""Rows beside `auroc`, which is of hits toward the goal; each only where hits away from the goal exist."""


Draws = Callable[[int], np.ndarray]
"""Bootstrap samples of so many genes."""


@dataclass(frozen=True)
class Called:
    """The held-out targets that one rule calls."""

    printed: str
    """Rule as it is printed, with its k."""
    declared: bool
    """Whether it is the campaign's rule, or the budget that stands in for it."""
    called_n: np.ndarray
    """One value per target."""


@dataclass(frozen=True)
class Asked:
    """One question to one method: which targets are the hits, by one of its numbers."""

    hit_n: np.ndarray
    value_n: np.ndarray
    """Score or call of each target."""
    metrics: Mapping[str, Metric]
    """By the name of their rows."""
    rule: str = ""
    declared: bool = True


def scoreboard(
    predictions: pd.DataFrame,
    effects: pd.DataFrame,
    *,
    config: EvaluateConfig,
    gene_sets: GeneSets | None = None,
) -> pd.DataFrame:
    """Judge every method on the held-out targets.

    A hit is a target whose measured effect is a hit *toward the goal*; hits away from it are no hits here and have
    rows of their own (`auroc_away`, `auroc_unsigned`).

    Parameters
    ----------
    predictions
        PREDICTIONS rows of all methods. A method that used effects needs a whole ranking per held-out fold. The columns
        that the rules of a call need may stand beside (`padj` and `null_z` for `matched-null`, `pool_padj` and
        `shift_to_goal` for `geneformer`): every rule that a method has the columns of is judged. A method without those of
        the declared rule is called by `budget-k` instead, at the same share of its ranking as k is of the longest.
    effects
        EFFECTS rows.
    config
        Declared rule of a call, k, bootstrap samples and seed.
    gene_sets
        Pathways and complexes; with them every number is given a second time for the `pathway-disjoint` targets.

    Returns
    -------
    METRICS rows: per method, kind, targets (all; those that share no gene set with a training target; where several screens judge a
    kind, those of each screen, and one a gene with the hits of any) and denominator each metric with its 95 % interval over genes, of DeLong for an
    AUROC, of the bootstrap for the rest. `n_genes` and `n_hits` are those of the row; `rule` names the rule of a call,
    the declared one first. Kinds without a held-out target have no rows. Where every target was scored, the rows of
    both denominators are equal.

    Raises
    ------
    LeakageError
        If a target would be judged by a method that was trained on it.

    Notes
    -----
    Both intervals take genes as the sample and the measured effects as given, so they do not hold the noise of the
    screen. All methods are resampled alike; compare two with `paired_gain`, not by their intervals.
    """
    beside = [name for entry in RULES for name in entry.needs if name in predictions.columns]
    beside = list(dict.fromkeys(beside))
    predictions = PREDICTIONS.checked(predictions).join(predictions.reset_index(drop=True)[beside])
    board, drawn = [], draws(config.seed, config.bootstrap)
    for kind in KINDS:
        truth = held_out(effects, kind)
        if not truth.gene_ids.size:
            continue
        kept_of = {HELD_OUT: np.ones(truth.gene_ids.size, dtype=bool)}
        if gene_sets is not None:
            kept_of[DISJOINT] = pathway_disjoint(truth, effects, gene_sets)
        asked = [(truth, kept_of)] + [
            (of_one, {name: np.ones(of_one.gene_ids.size, dtype=bool)})
            for name, of_one in by_readout(effects, kind).items()
        ]
        here = predictions[predictions["kind"] == kind]
        longest = int(here.groupby(["method", "fold"]).size().max()) if len(here) else 0
        for method, rows in here.groupby("method", sort=False):
            by_fold = rankings_by_fold(rows, truth, method=str(method))
            for of_one, kept in asked:
                judged, calls = judge(by_fold, of_one), _calls(by_fold, of_one, longest, config)
                for targets, kept_n in kept.items():
                    if kept_n.any():
                        of_method = {"method": method, "kind": kind, "targets": targets}
                        lines = _lines(of_one, judged, calls, kept_n, config.k, drawn)
                        board += [of_method | line for line in lines]
    return concat(METRICS, [pd.DataFrame(board)])


def _calls(
    by_fold: dict[int, pd.DataFrame], truth: Truth, longest: int, config: EvaluateConfig
) -> tuple[Called, ...]:
    """What each rule calls, every target by the ranking that never saw it; the declared rule first."""
    tables = {fold: rows.rename(columns={"score": "benefit"}) for fold, rows in by_fold.items()}
    places = {fold: rows_of(truth, fold, rows) for fold, rows in by_fold.items()}
    usable = [entry.name for entry in RULES if all(entry.fits(table) for table in tables.values())]
    declared = config.call if config.call in usable else "budget-k"
    calls = []
    for by in sorted({*usable, "budget-k"}, key=lambda name: (name != declared, RULES.index(rule(name)))):
        called_n, printed = np.zeros(truth.gene_ids.size, dtype=bool), by
        for fold, table in tables.items():
            k = max(1, round(config.k * len(table) / longest))
            here_n, row_n = places[fold]
            called_n[here_n] = (row_n >= 0) & call(table, by=by, budget=k, fdr=config.fdr)[row_n]
            printed = f"budget-k, k = {k} of {len(table):,}" if by == "budget-k" else by
        calls.append(Called(printed, by == declared, called_n))
    return tuple(calls)


def _lines(
    truth: Truth, judged: Judged, calls: tuple[Called, ...], kept_n: np.ndarray, k: int, drawn: Draws
) -> Iterator[dict[str, object]]:
    """Rows of one method: each metric of the targets that it scored, and of all."""
    scored_n = kept_n & ~np.isnan(judged.place_n)
    k = min(k, max(1, int(kept_n.sum()) // 4))  # of few targets, the best k must stay a choice
    for asked in _asked(truth, judged, calls):
        scored = _answers(asked, scored_n, k, drawn)
        every = scored if (scored_n == kept_n).all() else _answers(asked, kept_n, k, drawn)
        for of_scored, of_all in zip(scored, every, strict=True):
            yield of_scored | {"denominator": "scored"}
            yield of_all | {"denominator": "all"}


def _asked(truth: Truth, judged: Judged, calls: tuple[Called, ...]) -> Iterator[Asked]:
    """All questions; a gene that was not scored ranks last in every direction."""
    place_n, size_n, away_n = (
        np.nan_to_num(value_n, nan=-1.0) for value_n in (judged.place_n, judged.size_n, judged.away_n)
    )
    of_calls = {entry.name: entry for entry in RECORDS if entry.needs == "call"}
    of_scores = {entry.name: entry for entry in RECORDS if entry.name not in of_calls}
    yield Asked(truth.toward_n, place_n, of_scores)
    for found in calls:
        yield Asked(truth.toward_n, found.called_n, of_calls, found.printed, found.declared)
    if truth.away_n.any():
        yield Asked(truth.away_n, away_n, {"auroc_away": metric("auroc")})
        yield Asked(truth.toward_n | truth.away_n, size_n, {"auroc_unsigned": metric("auroc")})


def _answers(asked: Asked, among_n: np.ndarray, k: int, drawn: Draws) -> list[dict[str, object]]:
    """Value and interval of each metric among some of the targets, whose genes are counted once for all metrics."""
    hit_n, value_n = asked.hit_n[among_n], asked.value_n[among_n]
    counted = tallies.of_calls if value_n.dtype == bool else tallies.of_scores
    tally = cache(lambda: counted(hit_n, value_n, drawn(hit_n.size)))
    apart = hit_n.any() and not hit_n.all()  # else what is defined has its value, and nothing an interval
    lines = []
    for name, entry in asked.metrics.items():
        options = {"k": k} if entry.needs == "k" else {}
        line: dict[str, object]
        if entry.name == "auroc":
            area = auroc_interval(hit_n, value_n)
            line = {"value": area.value, "ci_low": area.low, "ci_high": area.high, "interval": area.method}
        else:
            value_b = entry.resampled(tally(), **options) if apart else np.empty(0)
            found = percentile_interval(entry.function(hit_n, value_n, **options), value_b)
            interval = "" if np.isnan(found.low) else "bootstrap"
            line = {"value": found.value, "ci_low": found.low, "ci_high": found.high, "interval": interval}
        of_row = {"metric": name, "rule": f"k = {k}" if options else asked.rule, "declared": asked.declared}
        lines.append(of_row | line | {"n_genes": hit_n.size, "n_hits": int(hit_n.sum())})
    return lines
