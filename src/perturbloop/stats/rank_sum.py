"""Rank-sum test of each group of values against all values together, as the published tool makes it."""

import random
from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import special

from perturbloop.stats.correct import benjamini_hochberg

POOL_LIMIT = 100_000
"""Most values in the pool that a group is compared with."""


def against_pool(value_n: Float[np.ndarray, " n"], group_n: Int[np.ndarray, " n"]) -> pd.DataFrame:
    r"""Mean of each group, and how surely it differs from that of all groups together; two-sided.

    Parameters
    ----------
    value_n
        Values of all groups, any unit, none missing.
    group_n
        Group of each value. For shifts it is the token of the edited gene: the sample of a large pool depends on the order
        of the groups, and of the values within a group.

    Returns
    -------
    One row per group, indexed by it, rising. `n`: values, 12. `mean`: 0.022, in their unit. `pvalue`: rank-sum p against
    the pool, 0.003. `padj`: the same, adjusted over groups.

    Notes
    -----
    The pool is all values, the group's own included; above 100,000 it is a sample of them, drawn with Python's generator
    and seed 42 from the values in the order of their groups, as in :cite:`theodoris2023`. What a reviewer would attack:
    values count as independent, so p falls with their number, and the group itself lies in the pool.

    Examples
    --------
    >>> against_pool(np.array([0.1, 0.2, 0.3, 2.0, 3.0, 4.0]), np.array([7, 7, 7, 5, 5, 5])).round(3)
       n  mean  pvalue   padj
    5  3   3.0   0.245  0.245
    7  3   0.2   0.245  0.245
    """
    order_n = np.argsort(group_n, kind="stable")
    value_n = np.asarray(value_n, dtype=np.float64)[order_n]
    group_g, start_g, n_g = np.unique(group_n[order_n], return_index=True, return_counts=True)
    pvalue_g = rank_sum_pvalues(np.sort(_pool(value_n)), value_n, start_g)
    mean_g = np.add.reduceat(value_n, start_g) / n_g
    return pd.DataFrame(
        {"n": n_g, "mean": mean_g, "pvalue": pvalue_g, "padj": benjamini_hochberg(pvalue_g)}, index=group_g
    )


def rank_sum_pvalues(
    background_b: Float[np.ndarray, " b"],
    value_n: Float[np.ndarray, " n"],
    start_g: Int[np.ndarray, " g"],
) -> Float[np.ndarray, " g"]:
    r"""Two-sided rank-sum p of each group of values against one background; small = the group lies elsewhere.

    Parameters
    ----------
    background_b
        Values to compare with, sorted upward.
    value_n
        Values of all groups, one group after the other, any unit.
    start_g
        Where each group starts; no group is empty.

    Returns
    -------
    P per group, as `scipy.stats.ranksums` gives it.

    Notes
    -----
    Ties have their mean rank, so a value's rank beyond its own group is the number of background values below it
    plus half of those equal to it, and :math:`z = (bn/2 - \sum_i r_i) / \sqrt{bn(b + n + 1)/12}`. The variance is not
    corrected for ties.

    Examples
    --------
    >>> rank_sum_pvalues(np.arange(10.0), np.array([4.5, 20.0, 21.0]), np.array([0, 1])).round(3)
    array([1.   , 0.032])
    """
    below_n = np.searchsorted(background_b, value_n, side="left")
    upto_n = np.searchsorted(background_b, value_n, side="right")
    rank_g = np.add.reduceat((below_n + upto_n) / 2, start_g)
    b, n_g = len(background_b), np.diff(start_g, append=len(value_n)).astype(np.float64)
    z_g = (b * n_g / 2 - rank_g) / np.sqrt(b * n_g * (b + n_g + 1) / 12)
    return 2 * special.ndtr(-np.abs(z_g))


def _pool(value_n: np.ndarray) -> np.ndarray:
    """Draw as the published tool does from a list in this order."""
    if len(value_n) <= POOL_LIMIT:
        return value_n
    return value_n[_sample(len(value_n), POOL_LIMIT)]


@lru_cache(maxsize=4)
def _sample(n: int, k: int) -> np.ndarray:
    return np.array(random.Random(42).sample(range(n), k=k))
