"""The metrics of all bootstrap samples at once, from how often each gene was drawn: no sample is sorted.

A ranking is sorted once. Its genes fall into groups that no metric looks into: the genes of one score, and all those between
one score with hits and the next. Counted in every sample, some hundred groups hold all that thousands of genes say. A call
has two groups. `evaluate.metrics` defines each metric for single genes, and is the oracle of these.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_matrix

PerSample = Float[np.ndarray, " b"]


@dataclass(frozen=True, eq=False)
class Tally:
    """Genes of each group, best group first, in each bootstrap sample."""

    hits_gb: Float[np.ndarray, "g b"]
    others_gb: Float[np.ndarray, "g b"]

    @cached_property
    def found_gb(self) -> Float[np.ndarray, "g b"]:
        """Hits from the best group to this one, itself included."""
        return self.hits_gb.cumsum(axis=0)

    @cached_property
    def taken_gb(self) -> Float[np.ndarray, "g b"]:
        """Genes from the best group to this one, itself included."""
        return (self.hits_gb + self.others_gb).cumsum(axis=0)

    @cached_property
    def n_hits_b(self) -> PerSample:
        """Hits of each sample."""
        return self.hits_gb.sum(axis=0)

    @cached_property
    def n_others_b(self) -> PerSample:
        """Other genes of each sample."""
        return self.others_gb.sum(axis=0)


def of_scores(
    hit_n: Bool[np.ndarray, " n"], score_n: Float[np.ndarray, " n"], times_nb: Float[np.ndarray, "n b"]
) -> Tally:
    """Count a ranking.

    Parameters
    ----------
    hit_n
        Which genes are hits.
    score_n
        Score, higher = more likely a hit. No missing values.
    times_nb
        How often each gene is in each sample: see `stats.resample.times_drawn`.
    """
    order = np.argsort(-score_n, kind="stable")
    sorted_n = score_n[order]
    new_n = np.append(True, sorted_n[1:] != sorted_n[:-1])
    tie_n = np.cumsum(new_n) - 1
    with_hit_n = (np.bincount(tie_n, weights=hit_n[order]) > 0)[tie_n]
    group_n = np.empty(order.size, dtype=int)
    group_n[order] = np.cumsum(new_n & (with_hit_n | np.roll(with_hit_n, 1)))
    return _counted(hit_n, group_n, times_nb)


def of_calls(
    hit_n: Bool[np.ndarray, " n"], called_n: Bool[np.ndarray, " n"], times_nb: Float[np.ndarray, "n b"]
) -> Tally:
    """Count calls: the first group is called, the second is not.

    Parameters
    ----------
    hit_n
        Which genes are hits.
    called_n
        Which genes are called.
    times_nb
        How often each gene is in each sample.
    """
    return _counted(hit_n, (~called_n).astype(int), times_nb, n_groups=2)


def auroc(tally: Tally) -> PerSample:
    """Area under the ROC curve, see `metrics.auroc`."""
    below_gb = tally.n_others_b - tally.others_gb.cumsum(axis=0)
    won_b = (tally.hits_gb * (below_gb + tally.others_gb / 2)).sum(axis=0)
    return _ratio(won_b, tally.n_hits_b * tally.n_others_b)


def average_precision(tally: Tally) -> PerSample:
    """Mean precision at each hit, see `metrics.average_precision`."""
    return _ratio(np.nansum(_ratio(tally.hits_gb * tally.found_gb, tally.taken_gb), axis=0), tally.n_hits_b)


def precision_at_k(tally: Tally, *, k: int) -> PerSample:
    """Hits among the k best genes, see `metrics.precision_at_k`."""
    return _hits_at(tally, np.full_like(tally.n_hits_b, k)) / k


def recall_at_k(tally: Tally, *, k: int) -> PerSample:
    """Share of hits among the k best genes, see `metrics.recall_at_k`."""
    return _ratio(_hits_at(tally, np.full_like(tally.n_hits_b, k)), tally.n_hits_b)


def r_precision(tally: Tally) -> PerSample:
    """Hits among as many best genes as hits, see `metrics.r_precision`."""
    return _ratio(_hits_at(tally, tally.n_hits_b), tally.n_hits_b)


def ppv(tally: Tally) -> PerSample:
    """Share of hits among called genes, see `metrics.ppv`."""
    return _ratio(tally.hits_gb[0], tally.taken_gb[0])


def npv(tally: Tally) -> PerSample:
    """Share of other genes among those not called, see `metrics.npv`."""
    return _ratio(tally.others_gb[1], tally.hits_gb[1] + tally.others_gb[1])


def sensitivity(tally: Tally) -> PerSample:
    """Share of hits that are called, see `metrics.sensitivity`."""
    return _ratio(tally.hits_gb[0], tally.n_hits_b)


def specificity(tally: Tally) -> PerSample:
    """Share of other genes that are not called, see `metrics.specificity`."""
    return _ratio(tally.others_gb[1], tally.n_others_b)


def lift(tally: Tally) -> PerSample:
    """PPV over prevalence, see `metrics.lift`."""
    return _ratio(ppv(tally), prevalence(tally))


def prevalence(tally: Tally) -> PerSample:
    """Share of hits, see `metrics.prevalence`."""
    return _ratio(tally.n_hits_b, tally.taken_gb[-1])


def _counted(
    hit_n: np.ndarray, group_n: Int[np.ndarray, " n"], times_nb: np.ndarray, *, n_groups: int | None = None
) -> Tally:
    n = hit_n.size
    shape = (2 * (n_groups or int(group_n.max()) + 1), n)
    ones_n = np.ones(n, dtype=times_nb.dtype)
    of_gene = csr_matrix((ones_n, (2 * group_n + hit_n, np.arange(n))), shape=shape)
    count_gb = (of_gene @ times_nb).astype(float)
    return Tally(hits_gb=count_gb[1::2], others_gb=count_gb[::2])


def _hits_at(tally: Tally, k_b: np.ndarray) -> PerSample:
    """Hits among the k best, of the group that the border goes through its share; NaN where there are no k genes."""
    border_1b = (tally.taken_gb < k_b).sum(axis=0, keepdims=True)
    border_1b = np.minimum(border_1b, len(tally.taken_gb) - 1)
    found_b, taken_b, hits_b, others_b = (
        np.take_along_axis(count_gb, border_1b, axis=0)[0]
        for count_gb in (tally.found_gb, tally.taken_gb, tally.hits_gb, tally.others_gb)
    )
    size_b = hits_b + others_b
    value_b = found_b - hits_b + _ratio(hits_b, size_b) * (k_b - (taken_b - size_b))
    return np.where(k_b <= tally.taken_gb[-1], value_b, np.nan)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return part / whole
