"""Intervals: by the bootstrap over genes, and by Student's t over cells or donors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy import stats


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
    Genes are drawn with replacement; samples in which the statistic is NaN are left out and counted in
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


def mean_by_gene(
    value_n: Float[np.ndarray, " n"],
    gene_n: Shaped[np.ndarray, " n"],
    donor_n: Shaped[np.ndarray, " n"] | None = None,
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    r"""Mean per gene with Student's t interval; the donor is the replicate where donors are named.

    Parameters
    ----------
    value_n
        One value per (cell, gene) pair, such as a shift; pairs with NaN are left out.
    gene_n
        Gene of each pair.
    donor_n
        Donor of each pair; `None` where no donors are known.
    level
        Coverage of the interval.

    Returns
    -------
    Table indexed by gene, sorted: `mean` and `se` (unit of the values), `ci_low`, `ci_high`, `n_cells`, `n_donors`
    (0 without donors). A single replicate has no interval: `se` and the ends are NaN.

    Notes
    -----
    With donors, cells are averaged to one value per donor and :math:`\bar x \pm t_{r-1} s / \sqrt r` is taken over
    the r donors, each with equal weight; cells of one donor are not independent, and a test over cells would say
    more than is known. Without donors r counts cells, and the interval speaks of these cells only.

    Examples
    --------
    >>> mean_by_gene(np.array([1.0, 3.0, 5.0]), np.array(["JAK2", "JAK2", "STAT1"]))[["mean", "se", "n_cells"]]
           mean   se  n_cells
    gene
    JAK2    2.0  1.0        2
    STAT1   5.0  NaN        1
    """
    pairs = pd.DataFrame({"gene": gene_n, "value": value_n, "donor": "" if donor_n is None else donor_n})
    pairs = pairs.dropna(subset=["value"])
    replicate = pairs if donor_n is None else pairs.groupby(["gene", "donor"], as_index=False)["value"].mean()
    by_gene = replicate.groupby("gene")["value"]
    count = by_gene.size()
    table = pd.DataFrame({"mean": by_gene.mean(), "se": by_gene.std() / np.sqrt(count)})
    reach = table["se"] * stats.t.isf((1 - level) / 2, df=count - 1)
    table["ci_low"], table["ci_high"] = table["mean"] - reach, table["mean"] + reach
    table["n_cells"] = pairs.groupby("gene").size()
    table["n_donors"] = 0 if donor_n is None else count
    return table
