"""Is it better, and is it different? Paired gains, what a control keeps of them, and rank correlations."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.stats import spearmanr

from perturbloop.data.gene_sets import GeneSets
from perturbloop.errors import InputError, closest
from perturbloop.evaluate import tallies
from perturbloop.evaluate.disjoint import pathway_disjoint
from perturbloop.evaluate.held_out import Truth, held_out, judge, rankings_by_fold
from perturbloop.evaluate.judgeable import Judgeable
from perturbloop.evaluate.metrics import auroc
from perturbloop.schema import PREDICTIONS, EvaluateConfig, Kind
from perturbloop.stats.delong import auroc_difference
from perturbloop.stats.resample import draws, percentile_interval


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
    kept_n = None if gene_sets is None else pathway_disjoint(truth, effects, gene_sets)
    return Contest(predictions, truth, kind=kind, config=config).gain(method, reference, kept_n)


class Contest:
    """Methods of one kind, compared on the same held-out targets; what one comparison finds of a method serves the next."""

    def __init__(
        self, predictions: pd.DataFrame, truth: Truth, *, kind: Kind, config: EvaluateConfig
    ) -> None:
        """Take what is said of the targets.

        Parameters
        ----------
        predictions
            PREDICTIONS rows.
        truth
            Held-out targets of the kind.
        kind
            Kind of edit.
        config
            Bootstrap samples and seed.
        """
        self.kind, self.truth = kind, truth
        self._said = predictions.astype({"method": "category", "kind": "category"})  # quick to choose from
        self._drawn = draws(config.seed, config.bootstrap)
        self._places: dict[str, np.ndarray] = {}
        self._resampled: dict[tuple[str, bytes], np.ndarray] = {}

    def place(self, method: str) -> Float[np.ndarray, " n"]:
        """Place of each target in a method's ranking that never saw it, 0 to 1; NaN = not scored."""
        if method not in self._places:
            self._places[method] = places(_rows(self._said, method, self.kind), self.truth, method=method)
        return self._places[method]

    def gain(self, method: str, reference: str, kept_n: Bool[np.ndarray, " n"] | None = None) -> Gain:
        """Compare two methods.

        Parameters
        ----------
        method, reference
            Their names.
        kept_n
            Targets to compare them on, of those that both scored; all by default.
        """
        place_n, other_n = self.place(method), self.place(reference)
        both_n = _scored(place_n, other_n, kept_n)
        hit_n = self.truth.toward_n[both_n]
        comparable = Judgeable(self.kind, hit_n.size, int(hit_n.sum())).comparable
        drawn = [self._aurocs(name, both_n) if comparable else np.empty(0) for name in (method, reference)]
        interval = percentile_interval(self.difference(place_n, other_n, kept_n), drawn[0] - drawn[1])
        delong = auroc_difference(hit_n, place_n[both_n], other_n[both_n])
        return Gain(
            method=method,
            reference=reference,
            kind=self.kind,
            value=interval.value,
            ci_low=interval.low,
            ci_high=interval.high,
            delong_low=delong.low,
            delong_high=delong.high,
            pvalue=delong.pvalue,
            n_genes=hit_n.size,
            n_hits=int(hit_n.sum()),
        )

    def difference(
        self,
        place_n: Float[np.ndarray, " n"],
        other_n: Float[np.ndarray, " n"],
        kept_n: Bool[np.ndarray, " n"] | None = None,
    ) -> float:
        """AUROC of one ranking of the targets minus that of another, on those that both scored.

        Parameters
        ----------
        place_n, other_n
            Places in either, NaN = not scored.
        kept_n
            Targets to compare them on; all by default.
        """
        both_n = _scored(place_n, other_n, kept_n)
        hit_n = self.truth.toward_n[both_n]
        return auroc(hit_n, place_n[both_n]) - auroc(hit_n, other_n[both_n])

    def _aurocs(self, method: str, among_n: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " b"]:
        """AUROC of a method in every bootstrap sample of some targets."""
        asked = (method, among_n.tobytes())
        if asked not in self._resampled:
            hit_n, place_n = self.truth.toward_n[among_n], self.place(method)[among_n]
            counted = tallies.of_scores(hit_n, place_n, self._drawn(hit_n.size))
            self._resampled[asked] = tallies.auroc(counted)
        return self._resampled[asked]


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


def places(rows: pd.DataFrame, truth: Truth, *, method: str) -> Float[np.ndarray, " n"]:
    """Place of each target in the ranking that never saw it, 0 to 1; NaN = not scored.

    Parameters
    ----------
    rows
        PREDICTIONS rows of one method and kind.
    truth
        Held-out targets.
    method
        Its name.
    """
    return judge(rankings_by_fold(rows, truth, method=method), truth).place_n


def _scored(place_n: np.ndarray, other_n: np.ndarray, kept_n: np.ndarray | None) -> Bool[np.ndarray, " n"]:
    both_n = ~np.isnan(place_n + other_n)
    return both_n if kept_n is None else both_n & kept_n


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
