"""How well a method finds the hits: every metric is one record and one small function.

A *score* metric reads the order of the genes, a *call* metric reads a yes-or-no decision, an *at-k* metric reads
the best k. Every function is undefined, and says NaN, where its denominator is empty: no hit, no other gene, no
call, fewer than k genes. None of these numbers may stand alone: PPV and NPV follow the prevalence, which is why
`prevalence` and `lift` are metrics too, and why each row of METRICS carries `n_genes` and `n_hits`.

The functions are plain, and scikit-learn's are their oracles in the tests; `evaluate.tallies` has each of them for all samples
of a bootstrap at once, and they are its oracles.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from perturbloop.evaluate import tallies

Hits = Bool[np.ndarray, " n"]
Scores = Float[np.ndarray, " n"]
Calls = Bool[np.ndarray, " n"]


@dataclass(frozen=True)
class Metric:
    """One number of the scoreboard."""

    name: str
    meaning: str
    low: float
    high: float
    best: float
    needs: Literal["score", "call", "k"]
    """score: (hit_n, score_n); call: (hit_n, called_n); k: (hit_n, score_n, k=…)."""
    function: Callable[..., float]
    reference: str
    """DOI of the paper that defines or discusses it."""

    @property
    def resampled(self) -> Callable[..., tallies.PerSample]:
        """The same in every bootstrap sample: (tally), or (tally, k=…)."""
        function: Callable[..., tallies.PerSample] = getattr(tallies, self.name)
        return function


def auroc(hit_n: Hits, score_n: Scores) -> float:
    """Probability that a hit scores higher than another gene; 0.5 is chance, ties count half.

    Notes
    -----
    The Mann-Whitney statistic over the number of pairs. It does not depend on the prevalence, and so says little
    about the head of a long list: read it beside `average_precision` and `precision_at_k`.

    Examples
    --------
    >>> auroc(np.array([True, False, True, False]), np.array([4.0, 3.0, 2.0, 1.0]))
    0.75
    """
    n_hits, n_other = _counts(hit_n)
    if not n_hits or not n_other:
        return np.nan
    if np.isnan(score_n).any():
        return np.nan
    hits_n, others_n = score_n[hit_n], np.sort(score_n[~hit_n])
    below, up_to = (others_n.searchsorted(hits_n, side).sum() for side in ("left", "right"))
    return float((below + up_to) / 2 / (n_hits * n_other))


def average_precision(hit_n: Hits, score_n: Scores) -> float:
    """Mean precision at the place of each hit: area under the precision-recall curve; chance is the prevalence.

    Notes
    -----
    Genes with equal scores enter together, as in scikit-learn. Its chance level is the prevalence, so values of
    two screens with different prevalence cannot be compared.

    Examples
    --------
    >>> average_precision(np.array([True, False, True, False]), np.array([4.0, 3.0, 2.0, 1.0])).__round__(3)
    0.833
    """
    n_hits, _ = _counts(hit_n)
    if not n_hits:
        return np.nan
    order = np.argsort(-score_n, kind="stable")
    hits, scores = hit_n[order], score_n[order]
    last_of_tie = np.append(scores[1:] != scores[:-1], True)
    found = np.cumsum(hits)[last_of_tie]
    taken = np.flatnonzero(last_of_tie) + 1
    return float(np.sum(np.diff(found, prepend=0) * found / taken) / n_hits)


def precision_at_k(hit_n: Hits, score_n: Scores, *, k: int) -> float:
    """Share of hits among the k best genes: the hit rate of a batch of k experiments.

    Parameters
    ----------
    hit_n
        Which genes are hits.
    score_n
        Score, higher = more likely a hit.
    k
        Genes of the batch; NaN below 1 or above the number of genes.

    Notes
    -----
    Where the k-th place is tied, the expected value over random orders of the tied genes.

    Examples
    --------
    >>> precision_at_k(np.array([True, False, True, False]), np.array([4.0, 3.0, 2.0, 1.0]), k=2)
    0.5
    """
    return _hits_at_k(hit_n, score_n, k) / k if 0 < k <= hit_n.size else np.nan


def recall_at_k(hit_n: Hits, score_n: Scores, *, k: int) -> float:
    """Share of all hits that are among the k best genes.

    Parameters
    ----------
    hit_n
        Which genes are hits.
    score_n
        Score, higher = more likely a hit.
    k
        Genes of the batch; NaN below 1 or above the number of genes.

    Examples
    --------
    >>> recall_at_k(np.array([True, False, True, False]), np.array([4.0, 3.0, 2.0, 1.0]), k=3)
    1.0
    """
    n_hits, _ = _counts(hit_n)
    return _hits_at_k(hit_n, score_n, k) / n_hits if n_hits and 0 < k <= hit_n.size else np.nan


def r_precision(hit_n: Hits, score_n: Scores) -> float:
    """Share of hits among as many best genes as there are hits; chance is the prevalence.

    >>> r_precision(np.array([True, False, True, False]), np.array([4.0, 3.0, 2.0, 1.0]))
    0.5
    """
    n_hits, _ = _counts(hit_n)
    return precision_at_k(hit_n, score_n, k=n_hits) if n_hits else np.nan


def ppv(hit_n: Hits, called_n: Calls) -> float:
    """Share of hits among the called genes (precision); never to be read without the prevalence.

    >>> ppv(np.array([True, False, True, False]), np.array([True, True, False, False]))
    0.5
    """
    return _share(hit_n[called_n])


def npv(hit_n: Hits, called_n: Calls) -> float:
    """Share of other genes among those not called; one minus the prevalence where calls are random.

    >>> npv(np.array([True, False, False, False]), np.array([True, True, False, False]))
    1.0
    """
    return _share(~hit_n[~called_n])


def sensitivity(hit_n: Hits, called_n: Calls) -> float:
    """Share of the hits that are called (recall).

    >>> sensitivity(np.array([True, False, True, False]), np.array([True, True, False, False]))
    0.5
    """
    return _share(called_n[hit_n])


def specificity(hit_n: Hits, called_n: Calls) -> float:
    """Share of the other genes that are not called.

    >>> specificity(np.array([True, False, True, False]), np.array([True, True, False, False]))
    0.5
    """
    return _share(~called_n[~hit_n])


def lift(hit_n: Hits, called_n: Calls) -> float:
    """PPV over prevalence: how many times more hits the called genes hold than random ones; 1 is chance.

    >>> lift(np.array([True, False, False, False]), np.array([True, True, False, False]))
    2.0
    """
    return ppv(hit_n, called_n) / _share(hit_n) if hit_n.any() else np.nan


def prevalence(hit_n: Hits, called_n: Calls) -> float:
    """Share of hits among the judged genes; the calls do not matter.

    >>> prevalence(np.array([True, False, False, False]), np.array([True, True, False, False]))
    0.25
    """
    return _share(hit_n)


def _counts(hit_n: Hits) -> tuple[int, int]:
    n_hits = int(np.count_nonzero(hit_n))
    return n_hits, hit_n.size - n_hits


def _share(yes_n: Bool[np.ndarray, " n"]) -> float:
    return float(yes_n.mean()) if yes_n.size else np.nan


def _hits_at_k(hit_n: Hits, score_n: Scores, k: int) -> float:
    border = np.partition(score_n, -k)[-k]
    above, tied = score_n > border, score_n == border
    return float(hit_n[above].sum() + _share(hit_n[tied]) * (k - above.sum()))


_ROC = "10.1016/j.patrec.2005.10.010"
_PRECISION = "10.1371/journal.pone.0118432"
_TABLE = "10.1136/bmj.309.6947.102"

METRICS = (
    Metric("auroc", "probability that a hit scores above another gene", 0.0, 1.0, 1.0, "score", auroc, _ROC),
    Metric(
        "average_precision",
        "mean precision at each hit",
        0.0,
        1.0,
        1.0,
        "score",
        average_precision,
        _PRECISION,
    ),
    Metric(
        "r_precision",
        "hits among as many best genes as hits",
        0.0,
        1.0,
        1.0,
        "score",
        r_precision,
        _PRECISION,
    ),
    Metric("precision_at_k", "hits among the k best genes", 0.0, 1.0, 1.0, "k", precision_at_k, _PRECISION),
    Metric(
        "recall_at_k", "share of hits found in the k best genes", 0.0, 1.0, 1.0, "k", recall_at_k, _PRECISION
    ),
    Metric("ppv", "share of hits among called genes", 0.0, 1.0, 1.0, "call", ppv, _TABLE),
    Metric("npv", "share of other genes among those not called", 0.0, 1.0, 1.0, "call", npv, _TABLE),
    Metric("sensitivity", "share of hits that are called", 0.0, 1.0, 1.0, "call", sensitivity, _TABLE),
    Metric("specificity", "share of other genes not called", 0.0, 1.0, 1.0, "call", specificity, _TABLE),
    Metric("lift", "PPV over prevalence; 1 is chance", 0.0, np.inf, np.inf, "call", lift, _TABLE),
    Metric("prevalence", "share of hits among judged genes", 0.0, 1.0, np.nan, "call", prevalence, _TABLE),
)


def metric(name: str) -> Metric:
    """Look a metric up by name.

    >>> metric("lift").needs
    'call'
    """
    return next(entry for entry in METRICS if entry.name == name)
