"""What measured effects say of the variance of all effects, and of the reasons why genes differ in it: the marginal likelihood."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

VARIANCE_DOUBT = 1.0
"""Standard deviation of the log of the variance about its moment estimate."""
LARGEST_LOG = 4.0
"""Largest log of a gene's scale, either way."""
STEPS = 30
"""Most steps of the search."""


@dataclass(frozen=True)
class Strength:
    """The most probable variance and weights."""

    variance: float
    """Variance of the effect of a gene of scale 1 and likeness 1 to itself, in squared units of the effects."""
    weight_s: Float[np.ndarray, " s"]
    """Weight of each scale, never negative."""


def strength(
    near_pp: Float[np.ndarray, "p p"],
    value_ps: Float[np.ndarray, "p s"],
    weight_s: Float[np.ndarray, " s"],
    doubt_s: Float[np.ndarray, " s"],
    effect_p: Float[np.ndarray, " p"],
    noise_p: Float[np.ndarray, " p"],
    true_variance: float,
) -> Strength:
    r"""Find the variance and the weights under which the measured effects are most probable, kept near what was expected.

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

    Returns
    -------
    `Strength`.

    Notes
    -----
    Maximizes :math:`\log N(y;\,0,\,v\,S K S + E) - \frac12 \sum_j ((\theta_j - \theta_{0j})/d_j)^2` over :math:`\log v` and the weights
    :math:`w \ge 0`, with :math:`S = \exp(X w)`, by L-BFGS with exact gradients :cite:`rasmussen2006`. Panels without a hit leave the weights where they
    were; where the hits of a panel lack what a scale stands for, its weight goes to 0.
    """
    free_s = doubt_s > 0
    expected_p = np.diag(near_pp) * _scale(value_ps, weight_s) ** 2
    mean_t = np.append(np.log(true_variance / max(float(expected_p.mean()), 1e-12)), weight_s[free_s])
    doubt_t = np.append(VARIANCE_DOUBT, doubt_s[free_s])

    def weights(theta_t: np.ndarray) -> np.ndarray:
        full_s = weight_s.copy()
        full_s[free_s] = theta_t[1:]
        return full_s

    def objective(theta_t: np.ndarray) -> tuple[float, np.ndarray]:
        scale_p = _scale(value_ps, weights(theta_t))
        signal_pp = np.exp(theta_t[0]) * near_pp * np.outer(scale_p, scale_p)
        factor = cho_factor(signal_pp + np.diag(noise_p), lower=True)
        solved_p = cho_solve(factor, effect_p)
        slope_pp = (np.outer(solved_p, solved_p) - cho_solve(factor, np.eye(len(effect_p)))) * signal_pp
        slope_t = np.append(slope_pp.sum() / 2, (value_ps.T @ slope_pp.sum(axis=1))[free_s])
        away_t = (theta_t - mean_t) / doubt_t
        value = effect_p @ solved_p / 2 + np.log(np.diag(factor[0])).sum() + away_t @ away_t / 2
        return float(value), away_t / doubt_t - slope_t

    bounds = [(None, None), *[(0.0, None)] * int(free_s.sum())]
    found = minimize(
        objective, mean_t, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}
    )
    return Strength(float(np.exp(found.x[0])), weights(found.x))


def _scale(value_ps: np.ndarray, weight_s: np.ndarray) -> np.ndarray:
    return np.exp(np.clip(value_ps @ weight_s, -LARGEST_LOG, LARGEST_LOG))
