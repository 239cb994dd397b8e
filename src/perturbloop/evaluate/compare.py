"""The scoreboard: every method on the same held-out targets, by the same metrics."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from perturbloop.evaluate.calls import RULES, call, rule
from perturbloop.evaluate.held_out import Judged, Truth, held_out, judge, rankings_by_fold
from perturbloop.evaluate.metrics import METRICS as RECORDS
from perturbloop.evaluate.metrics import auroc
from perturbloop.schema import KINDS, METRICS, PREDICTIONS, EvaluateConfig, concat
from perturbloop.stats.resample import bootstrap_interval

DIRECTIONS: dict[str, str] = {
    "auroc_away": "AUROC of finding the hits that move cells away from the goal among the lowest scores",
    "auroc_unsigned": "AUROC of finding hits of either sign among the largest absolute scores",
}
"""Rows beside `auroc`, which is of hits toward the goal; each only where hits away from the goal exist."""


def scoreboard(
    predictions: pd.DataFrame,
    effects: pd.DataFrame,
    *,
    config: EvaluateConfig,
) -> pd.DataFrame:
    """Judge every method on the held-out targets.

    A hit is a target whose measured effect is a hit *toward the goal*; hits away from it are no hits here and have
    rows of their own (`auroc_away`, `auroc_unsigned`).

    Parameters
    ----------
    predictions
        PREDICTIONS rows of all methods. A method that used effects needs a whole ranking per held-out fold. The columns
        that the rule of a call needs may stand beside (`padj` and `null_z` for `matched-null`); a method without them
        is called by `budget-k`, at the same share of its ranking as k is of the longest.
    effects
        EFFECTS rows.
    config
        Rule of a call, k, bootstrap samples and seed.

    Returns
    -------
    METRICS rows: per method, kind and denominator each metric with its 95 % bootstrap interval over genes.
    `n_genes` and `n_hits` are those of the row; `rule` names the rule of a call. Kinds without a held-out target
    have no rows. Where every target was scored, the rows of both denominators are equal.

    Raises
    ------
    LeakageError
        If a target would be judged by a method that was trained on it.

    Notes
    -----
    The bootstrap resamples genes and takes the measured effects as given, so the intervals do not hold the noise
    of the screen. All methods are resampled alike; compare two with `paired_gain`, not by their intervals.
    """
    beside = [name for entry in RULES for name in entry.needs if name in predictions.columns]
    beside = list(dict.fromkeys(beside))
    predictions = PREDICTIONS.checked(predictions).join(predictions.reset_index(drop=True)[beside])
    parts = []
    for kind in KINDS:
        truth = held_out(effects, kind)
        if not truth.gene_ids.size:
            continue
        here = predictions[predictions["kind"] == kind]
        longest = int(here.groupby(["method", "fold"]).size().max()) if len(here) else 0
        for method, rows in here.groupby("method", sort=False):
            by_fold = rankings_by_fold(rows, truth, method=str(method))
            printed, called_n = _calls(by_fold, truth, longest, config)
            lines = _lines(truth, judge(by_fold, truth), called_n, printed, config)
            parts.append(pd.DataFrame(lines).assign(method=method, kind=kind))
    return concat(METRICS, parts)


def _calls(
    by_fold: dict[int, pd.DataFrame], truth: Truth, longest: int, config: EvaluateConfig
) -> tuple[str, np.ndarray]:
    """Rule as it is printed, and which targets it calls, each by the ranking that never saw it."""
    called_n = np.zeros(truth.gene_ids.size, dtype=bool)
    by = config.call
    for fold, rows in by_fold.items():
        table = rows.rename(columns={"score": "benefit"})
        if not set(rule(by).needs) <= set(table.columns[table.notna().any()]):
            by = "budget-k"
        k = max(1, round(config.budget * len(table) / longest))
        called = table.loc[call(table, by=by, budget=k, fdr=config.fdr), "gene_id"]
        called_n |= (truth.fold_n == fold) & np.isin(truth.gene_ids.astype(str), called.to_numpy(str))
    return (f"budget-k, k = {k} of {len(table):,}" if by == "budget-k" else by), called_n


def _lines(
    truth: Truth, judged: Judged, called_n: np.ndarray, printed: str, config: EvaluateConfig
) -> Iterator[dict[str, object]]:
    scored_n = ~np.isnan(judged.place_n)
    everything = np.ones_like(scored_n)
    statistics = list(_statistics(truth, judged, called_n, printed, config))
    for name, rule_of_line, statistic, hit_n, value_n in statistics:
        line: dict[str, object] = {}
        for denominator, kept_n in (("scored", scored_n), ("all", everything)):
            if not line or not scored_n.all():
                interval = bootstrap_interval(
                    statistic,
                    hit_n[kept_n],
                    value_n[kept_n],
                    rng=np.random.default_rng(config.seed),
                    n_samples=config.bootstrap,
                )
                line = {"value": interval.value, "ci_low": interval.low, "ci_high": interval.high}
            counts = {"n_genes": int(kept_n.sum()), "n_hits": int(hit_n[kept_n].sum())}
            yield {"denominator": denominator, "metric": name, "rule": rule_of_line} | line | counts


def _statistics(
    truth: Truth, judged: Judged, called_n: np.ndarray, printed: str, config: EvaluateConfig
) -> Iterator[tuple[str, str, Callable[..., float], np.ndarray, np.ndarray]]:
    """Name, rule, function and its two columns; a gene that was not scored ranks last in every direction."""
    place_n, size_n = (np.nan_to_num(value_n, nan=-1.0) for value_n in (judged.place_n, judged.size_n))
    away_n = np.nan_to_num(1 - judged.place_n, nan=-1.0)
    k = min(config.budget, max(1, truth.gene_ids.size // 4))  # of few targets, the best k must stay a choice
    for record in RECORDS:
        if record.needs == "score":
            yield record.name, "", record.function, truth.toward_n, place_n
        elif record.needs == "k":
            at_k = partial(record.function, k=k)
            yield record.name, f"k = {k}", at_k, truth.toward_n, place_n
        else:
            yield record.name, printed, record.function, truth.toward_n, called_n
    if truth.away_n.any():
        yield "auroc_away", "", auroc, truth.away_n, away_n
        yield "auroc_unsigned", "", auroc, truth.toward_n | truth.away_n, size_n
