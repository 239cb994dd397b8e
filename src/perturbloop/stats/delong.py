r"""Intervals and tests of areas under the ROC curve (AUROC), from the genes alone: no resampling.

Genes are the sample: the AUROC of the genes that were measured estimates that of all genes they could have been. The
scores are taken as given. Axis letters: n genes, r rankings, h hits, o other genes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm, t


@dataclass(frozen=True)
class AurocInterval:
    """An AUROC, and where the AUROC of all genes may lie."""

    value: float
    """Probability that a hit scores above another gene; NaN without a hit or without another gene."""
    se: float
    """DeLong's standard error; NaN below two hits or two other genes."""
    low: float
    high: float
    method: Literal["delong", "newcombe", ""]
    """Which interval: DeLong's on the logit scale; Newcombe's where DeLong's is undefined or has no width although
    the value has an error (one hit, or hits and others perfectly apart); empty where there is none."""


@dataclass(frozen=True)
class AurocDifference:
    """How much better one ranking finds the hits than another, on the same genes."""

    value: float
    """AUROC of the first minus that of the second; positive = the first is better."""
    se: float
    low: float
    high: float
    pvalue: float
    """Two-sided, of no difference; NaN where the genes cannot tell (fewer than two hits or others)."""


def auroc_interval(
    hit_n: Bool[np.ndarray, " n"], score_n: Float[np.ndarray, " n"], *, level: float = 0.95
) -> AurocInterval:
    r"""AUROC of one ranking with its interval over genes.

    Parameters
    ----------
    hit_n
        Which genes are hits.
    score_n
        Score, higher = more likely a hit; ties count half. No missing values.
    level
        Coverage.

    Returns
    -------
    `AurocInterval`, 0 to 1; 0.5 is chance.

    Notes
    -----
    DeLong's variance :cite:`delong1988`, its interval taken on the logit scale so that it stays within 0 and 1:
    :math:`\operatorname{logit} A \pm t\, s / (A (1 - A))`. The quantile is Student's, with Satterthwaite's degrees of freedom from
    hits and others :cite:`brunner2000`: with the normal one, 90 % intervals of six hits hold the truth in 80 to 89 % of
    simulated lists, with this one in 86 to 93 %. Where all hits stand above (or below) all others the variance is zero,
    which is no certainty: there, and with a single hit, the interval is Newcombe's
    :cite:`newcombe2006`, :math:`\{A : |A - \hat A| \le z \sqrt{V(A)}\}` with the variance of Hanley and McNeil at A.
    Genes are taken as independent; members of one pathway are not, so the interval is too narrow for families of genes.

    Examples
    --------
    >>> found = auroc_interval(np.arange(40) < 10, np.sin(np.arange(40.0)))
    >>> found.low < found.value < found.high, found.method
    (True, 'delong')
    >>> perfect = auroc_interval(np.arange(40) < 4, -np.arange(40.0))
    >>> perfect.value, round(perfect.low, 2), perfect.high, perfect.method
    (1.0, 0.74, 1.0, 'newcombe')
    """
    if not hit_n.any() or hit_n.all():
        return AurocInterval(np.nan, np.nan, np.nan, np.nan, "")
    at_hit_rh, at_other_ro = components(hit_n, score_n[None])
    return interval_of(at_hit_rh[0], at_other_ro[0], level=level)


def interval_of(
    at_hit_h: Float[np.ndarray, " h"], at_other_o: Float[np.ndarray, " o"], *, level: float = 0.95
) -> AurocInterval:
    """AUROC with its interval from the components of one ranking: see `auroc_interval` and `components`.

    Parameters
    ----------
    at_hit_h, at_other_o
        Of each hit the share of other genes below it, and of each other gene the share of hits above it.
    level
        Probability that the interval holds.
    """
    value, (se, df) = float(at_hit_h.mean()), _error(at_hit_h, at_other_o)
    return _interval(value, se, df, at_hit_h.size, at_other_o.size, level)


def stratified_auroc(
    hit_n: Bool[np.ndarray, " n"],
    score_n: Float[np.ndarray, " n"],
    stratum_n: Int[np.ndarray, " n"],
    *,
    level: float = 0.95,
) -> AurocInterval:
    r"""AUROC within strata: probability that a hit scores above another gene *of its own stratum*.

    What is left of an AUROC when genes are only compared with genes like them, in expression for example.

    Parameters
    ----------
    hit_n
        Which genes are hits.
    score_n
        Score, higher = more likely a hit. No missing values.
    stratum_n
        Stratum of each gene. A stratum without a hit, or of hits only, says nothing and is left out.
    level
        Coverage.

    Returns
    -------
    `AurocInterval`, 0 to 1; 0.5 is chance. NaN where no stratum holds a hit and another gene.

    Notes
    -----
    The mean of the strata's AUROCs, weighted by their pairs of a hit and another gene. Its error is that of a ratio of two sums over
    genes: a gene's component is :math:`(w_i - \hat A\, p_i)\, n / P`, with the pairs :math:`p_i` it takes part in, those it wins
    :math:`w_i`, and P pairs in all; with one stratum this is DeLong's. Strata are taken as given.

    Examples
    --------
    >>> hit_n, level_n = np.array([True, False] * 3), np.repeat([0, 1, 2], 2)
    >>> stratified_auroc(hit_n, np.array([1.0, 2, 3, 4, 6, 5]), level_n).value.__round__(3)
    0.333
    """
    strata = [stratum_n == one for one in np.unique(stratum_n)]
    strata = [in_n for in_n in strata if hit_n[in_n].any() and not hit_n[in_n].all()]
    if not strata:
        return AurocInterval(np.nan, np.nan, np.nan, np.nan, "")
    sizes = [(int(hit_n[in_n].sum()), int((~hit_n[in_n]).sum())) for in_n in strata]
    parts = [components(hit_n[in_n], score_n[None, in_n]) for in_n in strata]
    n_pairs = sum(n_hits * n_other for n_hits, n_other in sizes)
    n_hits, n_other = (sum(counts) for counts in zip(*sizes, strict=True))
    won = sum(
        float(at_hit_rh.sum()) * others for (at_hit_rh, _), (_, others) in zip(parts, sizes, strict=True)
    )
    value = won / n_pairs
    share_h, share_o = (
        [(at_rn[0] - value) * size[1 - side] for at_rn, size in zip(column, sizes, strict=True)]
        for side, column in enumerate(zip(*parts, strict=True))
    )
    se, df = _error(np.concatenate(share_h) * n_hits / n_pairs, np.concatenate(share_o) * n_other / n_pairs)
    return _interval(value, se, df, n_hits, n_other, level)


def auroc_difference(
    hit_n: Bool[np.ndarray, " n"],
    score_n: Float[np.ndarray, " n"],
    other_n: Float[np.ndarray, " n"],
    *,
    level: float = 0.95,
) -> AurocDifference:
    """Compare two rankings of the same genes.

    Parameters
    ----------
    hit_n
        Which genes are hits.
    score_n, other_n
        Scores of the two rankings; no missing values.
    level
        Coverage.

    Returns
    -------
    `AurocDifference`, positive where `score_n` finds the hits better; NaN without a hit or without another gene.

    Notes
    -----
    DeLong's test for correlated curves :cite:`delong1988`: what makes a gene hard for both rankings cancels. The
    quantiles are Student's, as in `auroc_interval`. Where the variance is zero and the values differ (both
    rankings separate the hits perfectly, one upside down) there is no p-value.

    Examples
    --------
    >>> hit_n, score_n = np.arange(40) < 10, -np.arange(40.0)
    >>> found = auroc_difference(hit_n, score_n, np.sin(score_n))
    >>> found.value > 0, found.pvalue < 0.05
    (True, True)
    """
    if not hit_n.any() or hit_n.all():
        return AurocDifference(np.nan, np.nan, np.nan, np.nan, np.nan)
    return difference_of(*components(hit_n, np.stack([score_n, other_n])), level=level)


def difference_of(
    at_hit_rh: Float[np.ndarray, "2 h"], at_other_ro: Float[np.ndarray, "2 o"], *, level: float = 0.95
) -> AurocDifference:
    """Comparison of two rankings from the components of both: see `auroc_difference` and `components`.

    Parameters
    ----------
    at_hit_rh, at_other_ro
        Of each hit the share of other genes below it, and of each other gene the share of hits above it, ranking by ranking.
    level
        Probability that the interval holds.
    """
    at_hit_h, at_other_o = at_hit_rh[0] - at_hit_rh[1], at_other_ro[0] - at_other_ro[1]
    value, (se, df) = float(at_hit_h.mean()), _error(at_hit_h, at_other_o)
    if np.isnan(se) or (se < _NO_ERROR and abs(value) > _NO_ERROR):
        return AurocDifference(value, np.nan, np.nan, np.nan, np.nan)
    if se < _NO_ERROR:  # the same order: no difference in any sample
        return AurocDifference(value, 0.0, value, value, 1.0)
    reach = t.isf((1 - level) / 2, df) * se
    low, high = max(value - reach, -1.0), min(value + reach, 1.0)
    return AurocDifference(value, se, float(low), float(high), float(2 * t.sf(abs(value) / se, df)))


def components(
    hit_n: Bool[np.ndarray, " n"], score_rn: Float[np.ndarray, "r n"]
) -> tuple[Float[np.ndarray, "r h"], Float[np.ndarray, "r o"]]:
    r"""Share in the AUROC of every hit and of every other gene, in their order; ties count half.

    Parameters
    ----------
    hit_n
        Which genes are hits; at least one is, and one is not.
    score_rn
        Scores, rankings × genes, higher = more likely a hit.

    Returns
    -------
    For each hit the part of the other genes it scores above, and for each other gene the part of the hits above it. The mean of
    either is the AUROC, and :math:`S = S_h / n_h + S_o / n_o` the covariance of the rankings' errors, with the sample covariances of
    the components :cite:`delong1988`.

    Notes
    -----
    By sorting, in :math:`O(n \log n)`, as :cite:`sun2014` do by midranks.

    Examples
    --------
    >>> at_hit_rh, at_other_ro = components(np.array([True, False, True]), np.array([[3.0, 2.0, 1.0]]))
    >>> at_hit_rh.tolist(), at_other_ro.tolist()
    ([[1.0, 0.0]], [[0.5]])
    """
    score_rh, score_ro = score_rn[:, hit_n], score_rn[:, ~hit_n]
    return _share_below(score_rh, score_ro), 1 - _share_below(score_ro, score_rh)


def _share_below(score_ra: np.ndarray, score_rb: np.ndarray) -> np.ndarray:
    """Part of the second scores that each of the first is above, within a ranking; ties count half."""
    pairs = [(score_a, np.sort(score_b)) for score_a, score_b in zip(score_ra, score_rb, strict=True)]
    twice_ra = [sorted_b.searchsorted(a, "left") + sorted_b.searchsorted(a, "right") for a, sorted_b in pairs]
    return np.array(twice_ra) / 2 / score_rb.shape[1]


_NO_ERROR = 1e-12


def _error(at_hit_h: Float[np.ndarray, " h"], at_other_o: Float[np.ndarray, " o"]) -> tuple[float, float]:
    """Standard error of the mean component and its degrees of freedom; NaN below two hits or two others."""
    if min(at_hit_h.size, at_other_o.size) < 2:
        return np.nan, np.nan
    of_hits, of_others = (part.var(ddof=1) / part.size for part in (at_hit_h, at_other_o))
    total = of_hits + of_others
    if total < _NO_ERROR**2:
        return 0.0, np.inf
    df = total**2 / (of_hits**2 / (at_hit_h.size - 1) + of_others**2 / (at_other_o.size - 1))
    return float(np.sqrt(total)), float(df)


def _interval(value: float, se: float, df: float, n_hits: int, n_other: int, level: float) -> AurocInterval:
    """DeLong's interval, or Newcombe's where that has no width."""
    if min(n_hits, n_other) < 2 or value in (0.0, 1.0):
        return AurocInterval(value, se, *_newcombe(value, n_hits, n_other, level), "newcombe")
    return AurocInterval(value, se, *_on_logit_scale(value, se, df, level), "delong")


def _on_logit_scale(value: float, se: float, df: float, level: float) -> tuple[float, float]:
    reach = t.isf((1 - level) / 2, df) * se / (value * (1 - value))
    return float(expit(logit(value) - reach)), float(expit(logit(value) + reach))


def _newcombe(value: float, n_hits: int, n_other: int, level: float) -> tuple[float, float]:
    z = norm.isf((1 - level) / 2)

    def beyond(at: float) -> float:
        half = (n_hits + n_other) / 2 - 1
        spread = 1 + half * ((1 - at) / (2 - at) + at / (1 + at))
        return float((at - value) ** 2 - z**2 * at * (1 - at) * spread / (n_hits * n_other))

    near = 1e-9
    low = brentq(beyond, near, value - near) if value > 2 * near and beyond(near) > 0 else 0.0
    high = brentq(beyond, value + near, 1 - near) if value < 1 - 2 * near and beyond(1 - near) > 0 else 1.0
    return float(low), float(high)
