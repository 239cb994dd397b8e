"""One number per gene from one number per cell and gene: cell, then donor, then gene."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from scipy import stats

from perturbloop.errors import InputError

CHUNK = 2**20
"""Pairs worked on at a time, so that memory follows the number of genes and not the number of pairs."""
ROUNDING = 4 * np.finfo(float).eps
"""Relative spread below which equal replicates differ only by the arithmetic."""


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each group; an empty group has count 0 and mean 0."""

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray


def mean_by_gene(
    value_n: Float[np.ndarray, " n"],
    gene_n: Shaped[np.ndarray, " n"] | pd.Categorical,
    donor_n: Shaped[np.ndarray, " n"] | pd.Categorical | None = None,
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    r"""Mean per gene with Student's t interval and test; the donor is the replicate where donors are named.

    A mean has the sign and unit of the values: of shifts to the goal, positive is toward the goal.

    Parameters
    ----------
    value_n
        One value per (cell, gene) pair, such as a shift; pairs with NaN are left out.
    gene_n
        Gene of each pair: names, integers, or a Categorical, whose codes are used as they are. Pairs without a gene
        are left out.
    donor_n
        Donor of each pair, likewise; `None` where no donors are known.
    level
        Coverage of the interval.

    Returns
    -------
    Table indexed by gene, sorted: `mean` and `se` (unit of the values), `ci_low`, `ci_high`, `n_cells`, `n_donors`
    (0 without donors), `pvalue` (two-sided, that the mean over replicates is 0), and the same with cells as
    replicates, `cell_se` and `cell_pvalue`. A single replicate has no interval: `se`, the ends and the p are NaN.
    The p is NaN, too, where the replicates do not differ at all.

    Notes
    -----
    With donors, cells are averaged to one value per donor and :math:`\bar x \pm t_{r-1} s / \sqrt r` is taken over
    the r donors, each with equal weight; cells of one donor are not independent, and a test over cells would say
    more than is known :cite:`squair2021`. Without donors r counts cells, and the interval speaks of these cells only.

    `cell_se` and `cell_pvalue` are of the plain mean over cells, which is `mean` where donors have equally many
    cells. They are there for comparison with tools that test cells. Where donors exist they are anti-conservative:
    the m cells of a donor share its deviation, so the variance of the mean is larger by about
    :math:`1 + (m - 1)\rho`, with :math:`\rho` the correlation within a donor, and more cells make p ever smaller
    without a single donor more. Without donors they equal `se` and `pvalue`, and a reviewer may say that of those.

    Sums are taken over deviations from the group's mean, in two passes, so that a large offset costs no digits.

    Examples
    --------
    >>> mean_by_gene(np.array([1.0, 3.0, 5.0]), np.array(["JAK2", "JAK2", "STAT1"]))[["mean", "se", "n_cells"]]
           mean   se  n_cells
    gene
    JAK2    2.0  1.0        2
    STAT1   5.0  NaN        1
    """
    gene_code_n, genes = coded(gene_n)
    donor_code_n, donors = (None, range(1)) if donor_n is None else coded(donor_n)
    require_pairs(len(value_n), gene_n=len(gene_n), donor_n=len(value_n if donor_n is None else donor_n))
    by_donor = _moments(value_n, gene_code_n, donor_code_n, n_genes=len(genes), n_donors=len(donors))
    gene_r = np.repeat(np.arange(len(genes)), len(donors))
    over_cells = _merged(by_donor, gene_r, len(genes))
    ones = Moments(np.minimum(by_donor.count, 1), by_donor.mean, np.zeros_like(by_donor.mean))
    over_donors = over_cells if donor_n is None else _merged(ones, gene_r, len(genes))
    table = pd.DataFrame({"mean": over_donors.mean}, index=pd.Index(genes, name="gene"))
    table["se"], table["pvalue"] = _student(over_donors)
    reach = table["se"] * stats.t.isf((1 - level) / 2, df=over_donors.count - 1)
    table["ci_low"], table["ci_high"] = table["mean"] - reach, table["mean"] + reach
    table["n_cells"] = over_cells.count
    table["n_donors"] = 0 if donor_n is None else over_donors.count
    table["cell_se"], table["cell_pvalue"] = _student(over_cells)
    columns = ["mean", "se", "ci_low", "ci_high", "n_cells", "n_donors", "pvalue", "cell_se", "cell_pvalue"]
    return table.loc[table["n_cells"] > 0, columns].sort_index()


def coded(label_n: Shaped[np.ndarray, " n"] | pd.Categorical) -> tuple[Int[np.ndarray, " n"], pd.Index]:
    """Number the labels; -1 = missing. A Categorical keeps its codes, so that no label is made a Python string.

    Parameters
    ----------
    label_n
        Labels: names, integers or a Categorical.

    Returns
    -------
    Code of each label, and the label of each code; of a Categorical also those that no pair has.

    Examples
    --------
    >>> code, names = coded(np.array(["STAT1", "JAK2", "STAT1"]))
    >>> code.tolist(), list(names)
    ([0, 1, 0], ['STAT1', 'JAK2'])
    """
    if isinstance(label_n, pd.Categorical):
        return label_n.codes, pd.Index(label_n.categories)
    code_of: dict[object, int] = {}
    code_n = np.empty(len(label_n), dtype=np.int32)
    for start in range(0, len(label_n), CHUNK):
        within, found = pd.factorize(label_n[start : start + CHUNK])
        code = [code_of.setdefault(label, len(code_of)) for label in found.tolist()]
        code_n[start : start + CHUNK] = np.array([*code, -1])[within]  # pandas calls a missing label -1
    return code_n, pd.Index(list(code_of))


def require_pairs(n_pairs: int, **length: int) -> None:
    """Refuse labels that are not as many as the values, each under the name of its argument."""
    for name, came in length.items():
        if came != n_pairs:
            msg = (
                f"`{name}` must hold one label for each of the {n_pairs:,} values; it holds {came:,}. "
                "Take values and labels from the same rows."
            )
            raise InputError(msg)


def _moments(
    value_n: np.ndarray, gene_n: np.ndarray, donor_n: np.ndarray | None, *, n_genes: int, n_donors: int
) -> Moments:
    """Moments of each gene and donor, donors fastest."""
    n_groups = n_genes * n_donors
    count, total, off, squares = np.zeros((4, n_groups))
    chunks = range(0, len(value_n), max(CHUNK, n_groups))  # a chunk costs as much as the groups are many

    def pairs(start: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(start, start + chunks.step)
        value, gene = value_n[rows], gene_n[rows].astype(np.intp)
        donor = np.zeros_like(gene) if donor_n is None else donor_n[rows]
        known = ~np.isnan(value) & (gene >= 0) & (donor >= 0)
        return value[known], (gene * n_donors + donor)[known]

    with np.errstate(invalid="ignore"):  # an infinite value makes its own gene NaN
        for start in chunks:
            value, group = pairs(start)
            count += np.bincount(group, minlength=n_groups)
            total += np.bincount(group, weights=value, minlength=n_groups)
        mean = total / np.maximum(count, 1)
        for start in chunks:
            value, group = pairs(start)
            deviation = value - mean[group]
            off += np.bincount(group, weights=deviation, minlength=n_groups)
            squares += np.bincount(group, weights=deviation**2, minlength=n_groups)
        return Moments(count.astype(int), mean + off / np.maximum(count, 1), squares)


def _merged(part: Moments, gene_r: np.ndarray, n_genes: int) -> Moments:
    """Moments of each gene from those of its parts: the spread within them, and between their means."""
    count = np.bincount(gene_r, weights=part.count, minlength=n_genes)
    mean = np.bincount(gene_r, weights=part.count * part.mean, minlength=n_genes) / np.maximum(count, 1)
    with np.errstate(invalid="ignore"):
        between = part.count * (part.mean - mean[gene_r]) ** 2
    squares = np.bincount(gene_r, weights=part.squares + between, minlength=n_genes)
    return Moments(count.astype(int), mean, squares)


def _student(over: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Standard error of the mean and two-sided p that it is 0; NaN from a single replicate."""
    df = np.where(over.count > 1, over.count - 1.0, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        equal = over.squares <= over.count * (ROUNDING * over.mean) ** 2
        se = np.where(equal, 0.0, np.sqrt(over.squares / df / over.count)) * np.where(df > 0, 1, np.nan)
        t = np.where(se > 0, np.abs(over.mean) / se, np.nan)
    return se, np.asarray(2 * stats.t.sf(t, df=df))
