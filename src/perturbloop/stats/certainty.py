"""How sure a number is, for the height of a dot."""

import numpy as np
from jaxtyping import Float

NORMAL = 1.96
"""Half of a 95 % interval, in standard deviations."""


def surprise(pvalue_n: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """−log10 of p-values; one of zero counts as the smallest other one, a missing one stays missing.

    >>> surprise(np.array([0.01, 0.0, 0.1])).tolist()
    [2.0, 2.0, 1.0]
    """
    above = pvalue_n[pvalue_n > 0]
    least = above.min() if len(above) else np.nextafter(0, 1)
    return np.asarray(-np.log10(np.maximum(pvalue_n, least)))


def errors_from_zero(
    effect_n: Float[np.ndarray, " n"], low_n: Float[np.ndarray, " n"], high_n: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """How many standard deviations each effect is from zero, without sign; missing where the interval has no width.

    Parameters
    ----------
    effect_n
        Effects, of any unit.
    low_n, high_n
        Ends of their 95 % intervals.

    Examples
    --------
    >>> errors_from_zero(np.array([-2.0]), np.array([-3.96]), np.array([-0.04])).tolist()
    [2.0]
    """
    sd_n = (high_n - low_n) / (2 * NORMAL)
    return np.asarray(np.abs(effect_n) / np.where(sd_n > 0, sd_n, np.nan))
