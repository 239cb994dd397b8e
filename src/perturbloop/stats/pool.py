"""Means of several guides: how far guides differ, and what their mean is worth."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects


@dataclass(frozen=True)
class Pooled:
    """The mean of several guides, its error, and the test against the spread of inert guides."""

    mean: float
    """Weighted mean, in the unit of the guides' means; guides of low quality count less."""
    null_mean: float
    """Weighted mean of all guides, whatever their quality: what is tested."""
    se: float
    """Standard error, with the disagreement among these guides in it."""
    null_se: float
    """Standard error if all of these guides were inert: sampling noise and the spread between inert guides."""
    pvalue: float
    """Two-sided p of null_mean / null_se."""
    weight_r: Float[np.ndarray, " r"]
    """Weight of each guide in `mean`; they sum to 1."""


def between_variance(mean_r: Float[np.ndarray, " r"], variance_r: Float[np.ndarray, " r"]) -> float:
    """Variance between guides beyond their sampling noise :cite:`dersimonian1986`; 0 for fewer than two guides.

    Parameters
    ----------
    mean_r
        Mean of each guide.
    variance_r
        Sampling variance of each mean.

    Examples
    --------
    >>> round(between_variance(np.array([0.0, 2.0]), np.array([0.5, 0.5])), 3)
    1.5
    """
    if len(mean_r) < 2:
        return 0.0
    with np.errstate(invalid="ignore", divide="ignore"):  # statsmodels divides by estimates that we cut at 0
        estimate = combine_effects(mean_r, variance_r, method_re="chi2")
    return max(float(estimate.tau2), 0.0)


def pool(
    mean_r: Float[np.ndarray, " r"],
    variance_r: Float[np.ndarray, " r"],
    *,
    null_variance: float,
    shared_variance: float = 0.0,
    null_df: float = np.inf,
    cell_df: float = np.inf,
    quality_r: Float[np.ndarray, " r"] | None = None,
) -> Pooled:
    r"""Pool the guides of one target and test them against guides that do nothing.

    Parameters
    ----------
    mean_r
        Mean effect of each guide.
    variance_r
        Sampling variance of each mean.
    null_variance
        Variance between inert guides, learnt from control guides.
    shared_variance
        Variance of what every guide is compared with: the mean of the controls.
    null_df
        Degrees of freedom behind `null_variance`: control guides minus one.
    cell_df
        Degrees of freedom behind `variance_r`: cells minus guides.
    quality_r
        How well each guide works, above 0 to 1 (`evidence.guides`); all alike where it is not given.

    Returns
    -------
    `Pooled`.

    Notes
    -----
    Weights are :math:`w_r \propto 1/(v_r + \tau_0^2)`, with :math:`\tau_0^2` the spread of inert guides: guides
    count almost by their cells, so that a guide of five cells cannot undo a target. The standard error takes the
    larger of :math:`\tau_0^2` and the disagreement of these guides; a target with failed guides therefore has a
    wide interval. The p asks another question, whether *all* guides are inert, and is read against
    :math:`\tau_0^2` alone, by Student's t with Satterthwaite's degrees of freedom; a working and a failed guide
    together may thus be far from inert and yet imprecise. Quality multiplies the weights of mean and error, and guides below
    a half have no say in how far guides disagree; the p never reads it, so that a judgement made from the outcome cannot
    make inert targets significant. A reviewer would attack that off-target effects
    are taken to be as large in targeting as in non-targeting guides.

    Examples
    --------
    >>> pooled = pool(np.array([1.0, 1.2]), np.array([0.01, 0.01]), null_variance=0.0)
    >>> round(pooled.mean, 2), round(pooled.null_se, 3), round(pooled.se, 3)
    (1.1, 0.071, 0.1)
    """
    plain_r = 1 / (variance_r + null_variance)
    plain_r = plain_r / plain_r.sum()
    null_mean = float(plain_r @ mean_r)
    plain_noise = float(plain_r**2 @ variance_r) + shared_variance
    plain_guides = float((plain_r**2).sum())
    null = plain_noise + plain_guides * null_variance
    doubt = plain_noise**2 / cell_df + (plain_guides * null_variance) ** 2 / null_df
    df = null**2 / doubt if doubt > 0 else np.inf
    pvalue = float(2 * stats.t.sf(abs(null_mean) / np.sqrt(null), df=df))
    good_r = np.ones(len(mean_r)) if quality_r is None else quality_r
    weight_r = plain_r * good_r / (plain_r @ good_r)
    working_r = good_r >= 0.5
    spread = max(null_variance, between_variance(mean_r[working_r], variance_r[working_r]))
    error = float(weight_r**2 @ (variance_r + spread)) + shared_variance
    return Pooled(
        mean=float(weight_r @ mean_r),
        null_mean=null_mean,
        se=float(np.sqrt(error)),
        null_se=float(np.sqrt(null)),
        pvalue=pvalue,
        weight_r=weight_r,
    )
