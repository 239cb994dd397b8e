"""Is it better, and is it different? Paired gains, what a control keeps of them, and rank correlations."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.stats import spearmanr

from perturbloop.data.gene_sets import GeneSets
from perturbloop.errors import InputError, closest
from perturbloop.evaluate.disjoint import pathway_disjoint
from perturbloop.evaluate.held_out import Judged, Truth, held_out, judge, rankings_by_fold
from perturbloop.evaluate.judgeable import Judgeable
from perturbloop.evaluate.metrics import auroc
from perturbloop.schema import PREDICTIONS, EvaluateConfig, Kind
from perturbloop.stats.delong import auroc_difference
from perturbloop.stats.resample import bootstrap_interval


@dataclass(frozen=True)
class Gain:
    """How much better one method finds the hits toward the goal than another, on the same genes."""

    method: str
    reference: str
    kind: Kind
    value: float
    """AUROC of the method minus that of the reference; positive = better."""
    ci_low: float
    ci_high: float
    """95 % paired bootstrap interval over genes."""
    delong_low: float
    delong_high: float
    """95 % interval of DeLong's paired comparison; with few hits it is wider than the bootstrap's, and right."""
    pvalue: float
    """Two-sided p of no difference, by DeLong; NaN where the genes cannot tell."""
    n_genes: int
    n_hits: int


@dataclass(frozen=True)
class Kept:
    """How much of a gain is there without its cause."""

    share: float
    """Control's gain over the gain; 0 = nothing is kept, 1 = the gain has nothing to do with its cause."""
    sentence: str


@dataclass(frozen=True)
class RankCorrelation:
    """How alike two rankings are."""

    rho: float
    """Spearman's; 1 = the same order, so that nothing was learnt. NaN below three shared genes."""
    n_genes: int


def paired_gain(
    predictions: pd.DataFrame,
    effects: pd.DataFrame,
    method: str,
    reference: str,
    *,
    kind: Kind,
    config: EvaluateConfig,
    gene_sets: GeneSets | None = None,
) -> Gain:
    """AUROC of a method minus that of a reference, on the held-out targets that both scored.

    Positive: the method finds the hits toward the goal better than the reference.

    Parameters
    ----------
    predictions
        PREDICTIONS rows of both methods.
    effects
        EFFECTS rows.
    method, reference
        Names of the methods.
    kind
        Kind of edit.
    config
        Bootstrap samples and seed.
    gene_sets
        Pathways and complexes; with them only the `pathway-disjoint` targets are compared.

    Returns
    -------
    `Gain`; NaN where the shared targets hold no hit or nothing but hits, and without an interval where they hold a single
    hit, or a single other target: see `judgeable`.

    Raises
    ------
    InputError
        If a method has no predictions of the kind.
    LeakageError
        If a target would be judged by a method that was trained on it.

    Notes
    -----
    Both methods are compared on the same genes, so what makes a gene hard for both cancels. A p-value of one comparison
    among many is no discovery, and a large one with few hits is no sign of equality: see `power`.
    """
    truth = held_out(effects, kind)
    place_n, other_n = (_judged(predictions, truth, name, kind).place_n for name in (method, reference))
    both_n = ~np.isnan(place_n + other_n)
    if gene_sets is not None:
        both_n &= pathway_disjoint(truth, effects, gene_sets)
    hit_n = truth.toward_n[both_n]
    comparable = Judgeable(kind, hit_n.size, int(hit_n.sum())).comparable
    interval = bootstrap_interval(
        _auroc_difference,
        hit_n,
        place_n[both_n],
        other_n[both_n],
        rng=np.random.default_rng(config.seed),
        n_samples=config.bootstrap if comparable else 0,
    )
    delong = auroc_difference(hit_n, place_n[both_n], other_n[both_n])
    return Gain(
        method=method,
        reference=reference,
        kind=kind,
        value=interval.value,
        ci_low=interval.low,
        ci_high=interval.high,
        delong_low=delong.low,
        delong_high=delong.high,
        pvalue=delong.pvalue,
        n_genes=hit_n.size,
        n_hits=int(hit_n.sum()),
    )


def kept_by_control(gain: float, control_gain: float) -> Kept:
    """What share of a gain a negative control, such as shuffled labels, keeps.

    Parameters
    ----------
    gain
        AUROC gained by the method over its reference.
    control_gain
        AUROC gained by the control over the same reference.

    Examples
    --------
    >>> kept_by_control(0.08, 0.03).sentence
    'The control keeps 38 % of a gain of +0.080.'
    >>> kept_by_control(-0.01, 0.03)
    Kept(share=nan, sentence='There is no gain (-0.010) that a control could keep.')
    """
    if np.isnan(gain) or np.isnan(control_gain):
        return Kept(np.nan, "The gain or its control is undefined here, so no share can be given.")
    if gain <= 0:
        return Kept(np.nan, f"There is no gain ({gain:+.3f}) that a control could keep.")
    share = control_gain / gain
    kept = f"{share:.0%}".replace("%", " %") if share > 0 else "none"
    return Kept(float(share), f"The control keeps {kept} of a gain of {gain:+.3f}.")


def rank_correlation(
    predictions: pd.DataFrame,
    earlier: pd.DataFrame,
    *,
    method: str,
    reference: str,
    kind: Kind,
) -> RankCorrelation:
    """Spearman correlation of two full rankings on the genes that both score.

    Parameters
    ----------
    predictions
        PREDICTIONS rows of this round.
    earlier
        PREDICTIONS rows of the round to compare with; the same table for two methods of one round.
    method
        Method of this round.
    reference
        Method of the earlier round, e.g. `frozen` of round 0.
    kind
        Kind of edit.

    Returns
    -------
    `RankCorrelation` of the rows of fold -1. Near 1: the round changed nothing, and must not pass as progress.
    """
    shared = (
        _full(predictions, method, kind)
        .to_frame("a")
        .join(_full(earlier, reference, kind).rename("b"), how="inner")
    )
    varied = len(shared) > 2 and bool((shared != shared.iloc[0]).any().all())
    rho = spearmanr(shared["a"], shared["b"]).statistic if varied else np.nan
    return RankCorrelation(float(rho), len(shared))


def _auroc_difference(
    hit_n: Bool[np.ndarray, " n"], score_n: Float[np.ndarray, " n"], other_n: Float[np.ndarray, " n"]
) -> float:
    return auroc(hit_n, score_n) - auroc(hit_n, other_n)


def _judged(predictions: pd.DataFrame, truth: Truth, method: str, kind: Kind) -> Judged:
    rows = _rows(predictions, method, kind)
    return judge(rankings_by_fold(rows, truth, method=method), truth)


def _full(predictions: pd.DataFrame, method: str, kind: Kind) -> pd.Series:
    rows = _rows(predictions, method, kind)
    return rows[rows["fold"] == -1].set_index("gene_id")["score"].dropna()


def _rows(predictions: pd.DataFrame, method: str, kind: Kind) -> pd.DataFrame:
    table = PREDICTIONS.checked(predictions)
    rows = table[(table["method"] == method) & (table["kind"] == kind)]
    if rows.empty:
        known = table.loc[table["kind"] == kind, "method"].unique()
        msg = f"There are no predictions of `{method}` for `{kind}`. Closest: {closest(method, known)}. Run it first."
        raise InputError(msg)
    return rows
