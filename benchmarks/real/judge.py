"""How well each ranking finds the hits of a screen: every direction, every denominator, beside what it must beat."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from perturbloop.evaluate.metrics import auroc, average_precision, precision_at_k
from perturbloop.stats.resample import bootstrap_interval

DIRECTIONS = {
    "positive": "positive regulators",
    "negative": "negative regulators",
    "unsigned": "hits of either sign",
}
STRATA = 5
"""Expression strata of `auroc_matched`."""


@dataclass(frozen=True)
class Method:
    """A ranking: one score per gene, missing where it has none."""

    name: str
    score_of: "pd.Series"
    """Score by gene id; where signed, positive = a positive regulator."""
    signed: bool
    """Whether the sign says in which direction; otherwise the same order serves every direction."""

    def toward(self, gene_ids: pd.Index, direction: str) -> Float[np.ndarray, " n"]:
        """Scores of these genes, higher = more surely a hit of this direction; genes without one come last."""
        score_n = self.score_of.reindex(gene_ids).to_numpy(float)
        if self.signed:
            score_n = {"positive": score_n, "negative": -score_n, "unsigned": np.abs(score_n)}[direction]
        lowest = np.nanmin(score_n) if np.isfinite(score_n).any() else 0.0
        return np.where(np.isnan(score_n), lowest - 1, score_n)


@dataclass(frozen=True)
class Genes:
    """The genes to judge, each with its truth."""

    name: str
    """Name of the denominator."""
    truth: pd.DataFrame
    """Rows by gene id: `positive`, `negative`."""
    expression: pd.Series
    """By gene id: what the strata of `auroc_matched` are cut by."""

    def hits(self, direction: str) -> Bool[np.ndarray, " n"]:
        """Which genes are hits of this direction."""
        positive_n, negative_n = (self.truth[name].to_numpy(bool) for name in ("positive", "negative"))
        return {"positive": positive_n, "negative": negative_n, "unsigned": positive_n | negative_n}[
            direction
        ]


def rows(
    genes: Genes, methods: list[Method], *, k: int, n_samples: int, seed: int
) -> Iterator[dict[str, object]]:
    """One row per direction and method; intervals by the bootstrap over genes."""
    stratum_n = pd.qcut(
        genes.expression.reindex(genes.truth.index).rank(method="first"), STRATA, labels=False
    ).to_numpy()
    for direction in DIRECTIONS:
        hit_n = genes.hits(direction)
        for method in methods:
            score_n = method.toward(genes.truth.index, direction)
            interval = bootstrap_interval(
                auroc_of_ranks, hit_n, ranks(score_n), rng=np.random.default_rng(seed), n_samples=n_samples
            )
            precision, prevalence = precision_at_k(hit_n, score_n, k=k), float(hit_n.mean())
            yield {
                "denominator": genes.name,
                "direction": direction,
                "method": method.name,
                "n_genes": hit_n.size,
                "n_hits": int(hit_n.sum()),
                "prevalence": prevalence,
                "auroc": interval.value,
                "ci_low": interval.low,
                "ci_high": interval.high,
                "auroc_matched": matched_auroc(hit_n, score_n, stratum_n),
                "average_precision": average_precision(hit_n, score_n),
                "precision_at_k": precision,
                "k": k,
                "lift_at_k": precision / prevalence if prevalence else np.nan,
            }


def gain_rows(
    genes: Genes, method: Method, others: list[Method], *, n_samples: int, seed: int
) -> Iterator[dict[str, object]]:
    """Difference in AUROC between a method and each other on the same genes, resampled together."""
    for direction in DIRECTIONS:
        hit_n = genes.hits(direction)
        own_n = ranks(method.toward(genes.truth.index, direction))
        for other in others:
            theirs_n = ranks(other.toward(genes.truth.index, direction))
            rng = np.random.default_rng(seed)
            gain = bootstrap_interval(_gain, hit_n, own_n, theirs_n, rng=rng, n_samples=n_samples)
            names = {
                "denominator": genes.name,
                "direction": direction,
                "method": method.name,
                "minus": other.name,
            }
            yield names | {
                "gain": gain.value,
                "ci_low": gain.low,
                "ci_high": gain.high,
                "n_hits": int(hit_n.sum()),
            }


def matched_auroc(
    hit_n: Bool[np.ndarray, " n"], score_n: Float[np.ndarray, " n"], stratum_n: np.ndarray
) -> float:
    """AUROC among genes of like expression, averaged over strata by their number of hits.

    >>> matched_auroc(np.array([True, False, True, False]), np.array([1.0, 0.0, 9.0, 8.0]), np.array([0, 0, 1, 1]))
    1.0
    """
    parts = [(hit_n[stratum_n == part], score_n[stratum_n == part]) for part in np.unique(stratum_n)]
    defined = [(hits.sum(), auroc(hits, scores)) for hits, scores in parts if 0 < hits.sum() < hits.size]
    return (
        float(np.average([value for _, value in defined], weights=[n for n, _ in defined]))
        if defined
        else np.nan
    )


def ranks(score_n: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Place of each score from the lowest, 0; equal scores share one.

    >>> ranks(np.array([0.5, -1.0, 0.5]))
    array([1, 0, 1])
    """
    return rankdata(score_n, method="dense").astype(int) - 1


def auroc_of_ranks(hit_n: Bool[np.ndarray, " n"], rank_n: Int[np.ndarray, " n"]) -> float:
    """AUROC by counting, without a sort, so that the bootstrap over all genes takes seconds; ties count half.

    >>> auroc_of_ranks(np.array([True, False, True, False]), np.array([3, 2, 1, 0]))
    0.75
    """
    n_hits = int(hit_n.sum())
    if not 0 < n_hits < hit_n.size:
        return np.nan
    others = np.bincount(rank_n[~hit_n], minlength=rank_n.max() + 1)
    below = np.cumsum(others) - others / 2
    return float(below[rank_n[hit_n]].sum() / (n_hits * (hit_n.size - n_hits)))


def _gain(hit_n: np.ndarray, own_n: np.ndarray, theirs_n: np.ndarray) -> float:
    return auroc_of_ranks(hit_n, own_n) - auroc_of_ranks(hit_n, theirs_n)
