"""Intervals by the bootstrap over genes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped


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
    sample = np.array([statistic(*(column[rows] for column in column_g)) for rows in drawn], dtype=float)
    defined = sample[~np.isnan(sample)]
    tail = 100 * (1 - level) / 2
    enough = defined.size > 0 and 2 * defined.size >= n_samples
    low, high = np.percentile(defined, [tail, 100 - tail]) if enough else (np.nan, np.nan)
    return Interval(
        float(statistic(*column_g)), float(low), float(high), defined.size, n_samples - defined.size
    )
