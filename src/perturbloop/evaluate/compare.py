"""The scoreboard: every method on the same held-out targets, by the same metrics."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from perturbloop.evaluate.calls import call
from perturbloop.evaluate.held_out import Judged, Truth, held_out, judge, rankings_by_fold, uses_effects
from perturbloop.evaluate.metrics import METRICS as RECORDS
from perturbloop.evaluate.metrics import auroc, metric
from perturbloop.schema import KINDS, METRICS, PREDICTIONS, EvaluateConfig, Kind, concat
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
    rankings: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Judge every method on the held-out targets.

    A hit is a target whose measured effect is a hit *toward the goal*; hits away from it are no hits here and have
    rows of their own (`auroc_away`, `auroc_unsigned`).

    Parameters
    ----------
    predictions
        PREDICTIONS rows of all methods. A method that used effects needs a whole ranking per held-out fold.
    effects
        EFFECTS rows.
    config
        Rule of a call, k, bootstrap samples and seed.
    rankings
        Method -> RANKING rows, for methods that have p-values and did not use effects; they are called by
        `config.call`, all others by `budget-k` on their own ranking.

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
    predictions = PREDICTIONS.checked(predictions)
    parts = []
    for kind in KINDS:
        truth = held_out(effects, kind)
        if not truth.gene_ids.size:
            continue
        for method, rows in predictions[predictions["kind"] == kind].groupby("method", sort=False):
            by_fold = rankings_by_fold(rows, truth, method=str(method))
            ranking = None if uses_effects(str(method), rows) else (rankings or {}).get(str(method))
            rule, called_n = _calls(by_fold, truth, kind, ranking, config)
            lines = _lines(truth, judge(by_fold, truth), called_n, rule, config)
            parts.append(pd.DataFrame(lines).assign(method=method, kind=kind))
    return concat(METRICS, parts)


def _calls(
    by_fold: dict[int, pd.DataFrame],
    truth: Truth,
    kind: Kind,
    ranking: pd.DataFrame | None,
    config: EvaluateConfig,
) -> tuple[str, np.ndarray]:
    by = "budget-k" if ranking is None else config.call
    called_n = np.zeros(truth.gene_ids.size, dtype=bool)
    for fold, rows in by_fold.items():
        table = (
            rows.rename(columns={"score": "benefit"}) if ranking is None else ranking[ranking["kind"] == kind]
        )
        called = table.loc[call(table, by=by, budget=config.budget, fdr=config.fdr), "gene_id"]
        called_n |= (truth.fold_n == fold) & np.isin(truth.gene_ids.astype(str), called.to_numpy(str))
    return (f"budget-k, k = {config.budget}" if by == "budget-k" else by), called_n


def _lines(
    truth: Truth, judged: Judged, called_n: np.ndarray, rule: str, config: EvaluateConfig
) -> Iterator[dict[str, object]]:
    scored_n = ~np.isnan(judged.place_n)
    everything = np.ones_like(scored_n)
    statistics = list(_statistics(truth, judged, called_n, rule, config))
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
    truth: Truth, judged: Judged, called_n: np.ndarray, rule: str, config: EvaluateConfig
) -> Iterator[tuple[str, str, Callable[..., float], np.ndarray, np.ndarray]]:
    """Name, rule, function and its two columns; a gene that was not scored ranks last in every direction."""
    place_n, size_n = (np.nan_to_num(value_n, nan=-1.0) for value_n in (judged.place_n, judged.size_n))
    away_n = np.nan_to_num(1 - judged.place_n, nan=-1.0)
    for record in RECORDS:
        if record.needs == "score":
            yield record.name, "", record.function, truth.toward_n, place_n
        elif record.needs == "k":
            at_k = partial(record.function, k=config.budget)
            yield record.name, f"k = {config.budget}", at_k, truth.toward_n, place_n
        else:
            yield record.name, rule, record.function, truth.toward_n, called_n
    if truth.away_n.any():
        yield "auroc_away", "", auroc, truth.away_n, away_n
        yield "auroc_unsigned", "", auroc, truth.toward_n | truth.away_n, size_n


def chance_level(name: str, prevalence: float) -> float:
    """Value that random scores or calls have on average; NaN where it depends on how many are called.

    >>> chance_level("auroc", 0.1), chance_level("average_precision", 0.1)
    (0.5, 0.1)
    """
    if name.startswith("auroc"):
        return 0.5
    if name in {"average_precision", "r_precision", "precision_at_k", "ppv", "prevalence"}:
        return prevalence
    return {"npv": 1 - prevalence, "lift": 1.0}.get(metric(name).name, np.nan)
