"""The scoreboard: every method on the same held-out targets, by the same metrics."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from perturbloop.data.gene_sets import GeneSets
from perturbloop.evaluate.calls import RULES, call, rule
from perturbloop.evaluate.disjoint import DISJOINT, HELD_OUT, pathway_disjoint
from perturbloop.evaluate.held_out import Judged, Truth, held_out, judge, rankings_by_fold
from perturbloop.evaluate.metrics import METRICS as RECORDS
from perturbloop.evaluate.metrics import auroc
from perturbloop.schema import KINDS, METRICS, PREDICTIONS, EvaluateConfig, concat
from perturbloop.stats.delong import auroc_interval
from perturbloop.stats.resample import bootstrap_interval

DIRECTIONS: dict[str, str] = {
    "auroc_away": "AUROC of finding the hits that move cells away from the goal: among the lowest scores, or by the posterior for that sign",
    "auroc_unsigned": "AUROC of finding hits of either sign among the largest absolute scores, or by the larger of both probabilities",
}
"""Rows beside `auroc`, which is of hits toward the goal; each only where hits away from the goal exist."""


@dataclass(frozen=True)
class Called:
    """The held-out targets that one rule calls."""

    printed: str
    """Rule as it is printed, with its k."""
    declared: bool
    """Whether it is the campaign's rule, or the budget that stands in for it."""
    called_n: np.ndarray
    """One value per target."""


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
    METRICS rows: per method, kind, targets and denominator each metric with its 95 % interval over genes, of DeLong for an
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
    parts = []
    for kind in KINDS:
        truth = held_out(effects, kind)
        if not truth.gene_ids.size:
            continue
        kept_of = {HELD_OUT: np.ones(truth.gene_ids.size, dtype=bool)}
        if gene_sets is not None:
            kept_of[DISJOINT] = pathway_disjoint(truth, effects, gene_sets)
        here = predictions[predictions["kind"] == kind]
        longest = int(here.groupby(["method", "fold"]).size().max()) if len(here) else 0
        for method, rows in here.groupby("method", sort=False):
            by_fold = rankings_by_fold(rows, truth, method=str(method))
            judged, calls = judge(by_fold, truth), _calls(by_fold, truth, longest, config)
            for targets, kept_n in kept_of.items():
                if kept_n.any():
                    lines = pd.DataFrame(_lines(truth, judged, calls, kept_n, config))
                    parts.append(lines.assign(method=method, kind=kind, targets=targets))
    return concat(METRICS, parts)


def _calls(
    by_fold: dict[int, pd.DataFrame], truth: Truth, longest: int, config: EvaluateConfig
) -> tuple[Called, ...]:
    """What each rule calls, every target by the ranking that never saw it; the declared rule first."""
    tables = {fold: rows.rename(columns={"score": "benefit"}) for fold, rows in by_fold.items()}
    present = [set(table.columns[table.notna().any()]) for table in tables.values()]
    usable = [entry.name for entry in RULES if all(set(entry.needs) <= columns for columns in present)]
    declared = config.call if config.call in usable else "budget-k"
    calls = []
    for by in sorted({*usable, "budget-k"}, key=lambda name: (name != declared, RULES.index(rule(name)))):
        called_n, printed = np.zeros(truth.gene_ids.size, dtype=bool), by
        for fold, table in tables.items():
            k = max(1, round(config.k * len(table) / longest))
            called = table.loc[call(table, by=by, budget=k, fdr=config.fdr), "gene_id"]
            called_n |= (truth.fold_n == fold) & np.isin(truth.gene_ids.astype(str), called.to_numpy(str))
            printed = f"budget-k, k = {k} of {len(table):,}" if by == "budget-k" else by
        calls.append(Called(printed, by == declared, called_n))
    return tuple(calls)


def _lines(
    truth: Truth, judged: Judged, calls: tuple[Called, ...], kept_n: np.ndarray, config: EvaluateConfig
) -> Iterator[dict[str, object]]:
    scored_n = ~np.isnan(judged.place_n)
    statistics = list(_statistics(truth, judged, calls, int(kept_n.sum()), config))
    for name, rule_of_line, declared, statistic, hit_n, value_n in statistics:
        line: dict[str, object] = {}
        for denominator, among_n in (("scored", kept_n & scored_n), ("all", kept_n)):
            if not line or not scored_n[kept_n].all():
                line = _with_interval(statistic, hit_n[among_n], value_n[among_n], config)
            counts = {"n_genes": int(among_n.sum()), "n_hits": int(hit_n[among_n].sum())}
            of_row = {"denominator": denominator, "metric": name, "rule": rule_of_line, "declared": declared}
            yield of_row | line | counts


def _with_interval(
    statistic: Callable[..., float], hit_n: np.ndarray, value_n: np.ndarray, config: EvaluateConfig
) -> dict[str, object]:
    if statistic is auroc:
        found = auroc_interval(hit_n, value_n)
        return {"value": found.value, "ci_low": found.low, "ci_high": found.high, "interval": found.method}
    if (
        hit_n.all() or not hit_n.any()
    ):  # nothing to tell apart: what is defined has its value, and nothing an interval
        return {
            "value": float(statistic(hit_n, value_n)),
            "ci_low": np.nan,
            "ci_high": np.nan,
            "interval": "",
        }
    drawn = bootstrap_interval(
        statistic, hit_n, value_n, rng=np.random.default_rng(config.seed), n_samples=config.bootstrap
    )
    interval = "" if np.isnan(drawn.low) else "bootstrap"
    return {"value": drawn.value, "ci_low": drawn.low, "ci_high": drawn.high, "interval": interval}


def _statistics(
    truth: Truth, judged: Judged, calls: tuple[Called, ...], n_kept: int, config: EvaluateConfig
) -> Iterator[tuple[str, str, bool, Callable[..., float], np.ndarray, np.ndarray]]:
    """Name, rule, function and its two columns; a gene that was not scored ranks last in every direction."""
    place_n, size_n, away_n = (
        np.nan_to_num(value_n, nan=-1.0) for value_n in (judged.place_n, judged.size_n, judged.away_n)
    )
    k = min(config.k, max(1, n_kept // 4))  # of few targets, the best k must stay a choice
    for record in RECORDS:
        if record.needs == "score":
            yield record.name, "", True, record.function, truth.toward_n, place_n
        elif record.needs == "k":
            at_k = partial(record.function, k=k)
            yield record.name, f"k = {k}", True, at_k, truth.toward_n, place_n
    for found in calls:
        for record in RECORDS:
            if record.needs == "call":
                yield (
                    record.name,
                    found.printed,
                    found.declared,
                    record.function,
                    truth.toward_n,
                    found.called_n,
                )
    if truth.away_n.any():
        yield "auroc_away", "", True, auroc, truth.away_n, away_n
        yield "auroc_unsigned", "", True, auroc, truth.toward_n | truth.away_n, size_n
