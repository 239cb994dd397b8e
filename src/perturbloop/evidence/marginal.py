"""What measured effects say of all: how far they vary and why, and whether like genes act alike. By the marginal likelihood."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

VARIANCE_DOUBT = 1.0
"""Standard deviation of the log of the variance about its moment estimate."""
SHARING, SHARING_DOUBT = 1.0, 0.3
"""How far like genes are expected to act alike, as a share of their variance, and how little that is known."""
LARGEST_LOG = 4.0
"""Largest log of a gene's scale, either way."""
STEPS = 30
"""Most steps of the search."""


@dataclass(frozen=True)
class Strength:
    """The most probable variance, sharing and weights."""

    variance: float
    """Variance of the effect of a gene of scale 1 and likeness 1 to itself, in squared units of the effects."""
    weight_s: Float[np.ndarray, " s"]
    """Weight of each scale, never negative."""
    mean_weight: float
    """Weight of the expected effects, never negative."""
    sharing: float
    """Share of the variance of like genes that they have in common, 0 to 1."""


def strength(
    near_pp: Float[np.ndarray, "p p"],
    value_ps: Float[np.ndarray, "p s"],
    weight_s: Float[np.ndarray, " s"],
    doubt_s: Float[np.ndarray, " s"],
    effect_p: Float[np.ndarray, " p"],
    noise_p: Float[np.ndarray, " p"],
    true_variance: float,
    *,
    expected_p: Float[np.ndarray, " p"],
    mean_weight: float,
    mean_doubt: float,
) -> Strength:
    r"""Find variance, sharing and weights under which the measured effects are most probable, kept near what was expected.

    Parameters
    ----------
    near_pp
        Prior covariance of the measured genes where all scales are 1 and the variance is 1.
    value_ps
        Their values on each scale.
    weight_s, doubt_s
        Expected weight of each scale and its standard deviation; where that is 0 the weight stays.
    effect_p, noise_p
        Measured effects, and the variance of their errors.
    true_variance
        Moment estimate of the variance of the true effects, same squared unit.
    expected_p
        Effects that were expected before any was measured, where the weight is 1.
    mean_weight, mean_doubt
        Weight that they should have and its standard deviation.

    Returns
    -------
    `Strength`.

    Notes
    -----
    Maximizes :math:`\log N(y;\,u m,\,v\,S (r K + (1 - r)\,\mathrm{diag} K) S + E) - \frac12 \sum_j ((\theta_j - \theta_{0j})/d_j)^2` over :math:`\log v`, :math:`0 \le r \le 1`,
    and weights :math:`w \ge 0` and :math:`u \ge 0`, with :math:`S = \exp(X w)`, by L-BFGS with exact gradients :cite:`rasmussen2006`. Panels without a hit leave the weights where they
    were; where the hits of a panel lack what a scale stands for, its weight goes to 0.
    """
    free_s = doubt_s > 0
    n_free = int(free_s.sum())
    unit_p = np.diag(near_pp) * _scale(value_ps, weight_s) ** 2
    start = np.log(true_variance / max(float(unit_p.mean()), 1e-12))
    told = bool(np.any(expected_p)) and mean_doubt > 0
    mean_t = np.array([start, SHARING, *weight_s[free_s], *([mean_weight] if told else [])])
    doubt_t = np.array([VARIANCE_DOUBT, SHARING_DOUBT, *doubt_s[free_s], *([mean_doubt] if told else [])])
    alone_pp = np.diag(np.diag(near_pp))
    apart_pp = near_pp - alone_pp

    def weights(theta_t: np.ndarray) -> np.ndarray:
        full_s = weight_s.copy()
        full_s[free_s] = theta_t[2 : 2 + n_free]
        return full_s

    def shift(theta_t: np.ndarray) -> float:
        return float(theta_t[-1]) if told else mean_weight

    def objective(theta_t: np.ndarray) -> tuple[float, np.ndarray]:
        scale_p = _scale(value_ps, weights(theta_t))
        outer_pp = np.exp(theta_t[0]) * np.outer(scale_p, scale_p)
        signal_pp = outer_pp * (alone_pp + theta_t[1] * apart_pp)
        factor = cho_factor(signal_pp + np.diag(noise_p), lower=True)
        left_p = effect_p - shift(theta_t) * expected_p
        solved_p = cho_solve(factor, left_p)
        curve_pp = np.outer(solved_p, solved_p) - cho_solve(factor, np.eye(len(effect_p)))
        slope_pp = curve_pp * signal_pp
        slope_t = np.array(
            [
                slope_pp.sum() / 2,
                (curve_pp * outer_pp * apart_pp).sum() / 2,
                *(value_ps.T @ slope_pp.sum(axis=1))[free_s],
                *([expected_p @ solved_p] if told else []),
            ]
        )
        away_t = (theta_t - mean_t) / doubt_t
        value = left_p @ solved_p / 2 + np.log(np.diag(factor[0])).sum() + away_t @ away_t / 2
        return float(value), away_t / doubt_t - slope_t

    bounds = [(None, None), (0.0, 1.0), *[(0.0, None)] * (len(mean_t) - 2)]
    found = minimize(
        objective, mean_t, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}
    )
    return Strength(float(np.exp(found.x[0])), weights(found.x), shift(found.x), float(found.x[1]))


def _scale(value_ps: np.ndarray, weight_s: np.ndarray) -> np.ndarray:
    return np.exp(np.clip(value_ps @ weight_s, -LARGEST_LOG, LARGEST_LOG))
