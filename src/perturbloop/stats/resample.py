"""Intervals by the bootstrap over genes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Shaped

_DRAWN_AT_ONCE = 100
"""Bootstrap samples that are drawn in one go, to keep the memory small."""


@dataclass(frozen=True)
class Interval:
    """A number, where it lies, and from how much."""

    value: float
    """The statistic on the data as they are; NaN where it is undefined."""
    low: float
    """Lower end; NaN where fewer than half of the bootstrap samples define the statistic."""
    high: float
    """Upper end."""
    n_samples: int
    """Bootstrap samples that define the statistic."""
    n_undefined: int
    """Samples left out because the statistic was undefined in them, such as an AUROC without a hit."""


def bootstrap_interval(
    statistic: Callable[..., float],
    *column_g: Shaped[np.ndarray, " g"],
    rng: np.random.Generator,
    n_samples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic over genes.

    Parameters
    ----------
    statistic
        Function of the columns; it returns NaN where it is undefined.
    column_g
        Columns with one entry per gene, resampled together: scores and hits, for example.
    rng
        Source of the resampling.
    n_samples
        Bootstrap samples.
    level
        Coverage.

    Returns
    -------
    `Interval` in the unit of the statistic.

    Notes
    -----
    Genes are drawn with replacement :cite:`efron1979`; samples in which the statistic is NaN are left out and counted in
    `n_undefined`, so that the interval is conditional on the statistic being defined. Genes are taken as
    independent; those of one pathway are not, so the interval is too narrow for families of genes. With a
    handful of hits percentile intervals are too narrow as well: four hits are four facts.

    Examples
    --------
    >>> value = np.arange(100.0)
    >>> interval = bootstrap_interval(np.mean, value, rng=np.random.default_rng(0))
    >>> interval.low < interval.value == 49.5 < interval.high
    True
    """
    n_genes = len(column_g[0])
    if n_genes == 0:
        return Interval(np.nan, np.nan, np.nan, 0, n_samples)
    drawn = rng.integers(n_genes, size=(n_samples, n_genes))
    value_b = np.array([statistic(*(column[rows] for column in column_g)) for rows in drawn], dtype=float)
    return percentile_interval(float(statistic(*column_g)), value_b, level=level)


def percentile_interval(value: float, value_b: Float[np.ndarray, " b"], *, level: float = 0.95) -> Interval:
    """Interval of a statistic whose values in the bootstrap samples are known.

    Parameters
    ----------
    value
        The statistic on the data as they are.
    value_b
        The statistic in each bootstrap sample; NaN where it is undefined.
    level
        Coverage.

    Returns
    -------
    `Interval` in the unit of the statistic; without ends where fewer than half of the samples define it.
    """
    defined = value_b[~np.isnan(value_b)]
    tail = 100 * (1 - level) / 2
    enough = defined.size > 0 and 2 * defined.size >= value_b.size
    low, high = np.percentile(defined, [tail, 100 - tail]) if enough else (np.nan, np.nan)
    return Interval(value, float(low), float(high), defined.size, value_b.size - defined.size)


def times_drawn(n_genes: int, *, rng: np.random.Generator, n_samples: int = 1000) -> Float[np.ndarray, "n b"]:
    """How often each gene is in each bootstrap sample: the samples of `bootstrap_interval` by the same generator.

    Parameters
    ----------
    n_genes
        Genes that are drawn from.
    rng
        Source of the resampling.
    n_samples
        Bootstrap samples.

    Returns
    -------
    Whole numbers, genes × samples, float32 so that products with them are quick and exact.

    Examples
    --------
    >>> times_drawn(4, rng=np.random.default_rng(0), n_samples=100).sum(axis=0).tolist() == [4] * 100
    True
    """
    times_bn = np.empty((n_samples, n_genes), dtype=np.float32)
    for first in range(0, n_samples, _DRAWN_AT_ONCE):
        rows_bn = times_bn[first : first + _DRAWN_AT_ONCE]
        for row_n, drawn_n in zip(rows_bn, rng.integers(n_genes, size=rows_bn.shape), strict=True):
            row_n[:] = np.bincount(drawn_n, minlength=n_genes)
    return np.ascontiguousarray(times_bn.T)


def draws(seed: int, n_samples: int) -> Callable[[int], Float[np.ndarray, "n b"]]:
    """Bootstrap samples of any number of genes, the same for all that ask for as many, the last few kept.

    Parameters
    ----------
    seed
        Every number of genes is drawn from by a generator of this seed.
    n_samples
        Bootstrap samples.

    Returns
    -------
    Number of genes -> `times_drawn`.
    """

    @lru_cache(maxsize=4)
    def drawn(n_genes: int) -> Float[np.ndarray, "n b"]:
        return times_drawn(n_genes, rng=np.random.default_rng(seed), n_samples=n_samples)

    return drawn
