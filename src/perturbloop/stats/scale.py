"""Scales: standard scores, directions of length 1, and how far true effects vary behind noisy ones."""

import numpy as np
from jaxtyping import Float

LEAST_TRUE_SHARE = 0.1
"""Least share of the variance of effects that is taken for true, however large their errors."""


def standardized(value_g: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """Values minus their mean, in their standard deviation; missing ones stay missing.

    Where the values do not vary, all known ones are 0.

    >>> standardized(np.array([1.0, np.nan, 3.0])), standardized(np.array([5.0, 5.0]))
    (array([-1., nan,  1.]), array([0., 0.]))
    """
    known = value_g[~np.isnan(value_g)]
    spread = float(known.std()) if known.size else 0.0
    return (value_g - known.mean()) / spread if spread > 0 else value_g * 0.0


def unit(vector_gd: Float[np.ndarray, "g d"]) -> Float[np.ndarray, "g d"]:
    """Vectors of length 1 in the same directions, one per row; zero vectors stay zero.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    length_g = np.linalg.norm(vector_gd, axis=1, keepdims=True)
    return vector_gd / np.where(length_g > 0, length_g, 1)


def true_variance(effect_p: Float[np.ndarray, " p"], se_p: Float[np.ndarray, " p"]) -> float:
    r"""Variance of the true effects about 0 behind measured ones; in squared units of the effects.

    Parameters
    ----------
    effect_p
        Measured effects, none missing.
    se_p
        Their standard errors, same unit.

    Returns
    -------
    :math:`\max(\overline{y^2} - \overline{s^2},\; 0.1\,\overline{y^2})`: what errors do not explain, and a tenth of all at the least; 0 only
    where every effect is.

    Notes
    -----
    The method of moments, as DerSimonian and Laird's but with equal weights :cite:`dersimonian1986`. Truncation makes it too large where
    all effects are noise: they are then shrunk too little, by design, so that a screen is never silent.

    Examples
    --------
    >>> true_variance(np.array([1.0, -1.0]), np.array([0.6, 0.6])), true_variance(np.array([1.0, -1.0]), np.array([3.0, 3.0]))
    (0.64, 0.1)
    """
    total = float((effect_p**2).mean())
    return max(total - float((se_p**2).mean()), LEAST_TRUE_SHARE * total)
