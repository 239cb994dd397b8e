"""What a gene's shift would be if the gene did not matter: the shifts of genes like it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats
from scipy.spatial import cKDTree

from perturbloop.stats.scale import standardized

LEAST_GENES = 10
"""Fewest null genes from which a spread is worth computing."""
Nearest = Callable[[np.ndarray, int], np.ndarray]
"""(points, k) -> indices of the k nearest other points, one row per point."""
_MAD_OF_NORMAL = stats.norm.ppf(0.75)


@dataclass(frozen=True)
class MatchedNull:
    """Each gene beside the genes that sit as deep in the encoding and are as highly expressed."""

    z_g: Float[np.ndarray, " g"]
    """Shift in standard deviations of the matched genes; positive = further toward the goal than they go."""
    pvalue_g: Float[np.ndarray, " g"]
    """Two-sided p of `z_g`."""
    center_g: Float[np.ndarray, " g"]
    """Median shift of the matched genes, in the unit of the shifts."""
    spread_g: Float[np.ndarray, " g"]
    """Robust standard deviation of the matched genes, same unit."""


def nearest_others(point_gc: Float[np.ndarray, "g c"], k: int) -> Int[np.ndarray, "g k"]:
    """Indices of the k nearest other points, one row per point; ties fall anywhere but never on the point itself."""
    _, near = cKDTree(point_gc).query(point_gc, k=k + 1)
    near = np.asarray(near)
    own = near == np.arange(len(point_gc))[:, None]
    own[~own.any(axis=1), -1] = True  # many equal points: the point is not among its own neighbors
    return near[~own].reshape(len(point_gc), k)


def remembered(nearest: Nearest = nearest_others) -> Nearest:
    """Search for neighbors that answers at once where it was asked before: rankings of the same genes have the same ones."""
    known: dict[tuple[bytes, int], np.ndarray] = {}

    def found(point_gc: Float[np.ndarray, "g c"], k: int) -> Int[np.ndarray, "g k"]:
        asked = point_gc.tobytes(), k
        if asked not in known:
            known[asked] = nearest(point_gc, k)
        return known[asked]

    return found


def matched_null(
    shift_g: Float[np.ndarray, " g"],
    position_g: Float[np.ndarray, " g"],
    expression_g: Float[np.ndarray, " g"],
    *,
    null_genes: int = 100,
    nearest: Nearest = nearest_others,
) -> MatchedNull:
    r"""Compare each gene's mean shift with the genes of like rank and expression.

    Positive z: the edit moves cells further toward the goal than editing a gene that merely sits at the same
    place in the encoding. An edit near the front of the encoding moves any embedding more than one at its end,
    whatever the gene; without this comparison a ranking is a ranking of expression.

    Parameters
    ----------
    shift_g
        Mean shift per gene, any unit; NaN where the gene was not scored.
    position_g
        Mean rank position of the gene in the cells it was edited in, 0 = front.
    expression_g
        Expression of the gene, best on a log scale (log mean, or logit of detection).
    null_genes
        Matched genes per gene; all others where there are fewer.
    nearest
        Finds the matched genes by their covariates; `remembered()` where several rankings of the same genes are compared.

    Returns
    -------
    `MatchedNull` in the same gene order. Genes with a missing value are NaN and serve as nobody's null; all are
    NaN where fewer than 10 others are scored; z and p are NaN where the matched genes do not vary at all.

    Notes
    -----
    :math:`z_g = (s_g - \mathrm{median}_{j \in N(g)} s_j) / (1.4826\,\mathrm{MAD}_{j \in N(g)} s_j)`, with
    :math:`N(g)` the nearest genes by Euclidean distance of the two standardized covariates, without g. The p is
    Student's t with one degree of freedom fewer than matched genes. The assumption a reviewer would attack: most
    matched genes do nothing, so that their spread is noise and not effect; where many of them matter the
    test is conservative. Heavier tails than t's make it liberal far out, so read p beside the rank.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shift, position, expression = rng.normal(size=(3, 200))
    >>> shift[7] = 9.0
    >>> int(np.argmin(matched_null(shift, position, expression, null_genes=50).pvalue_g))
    7
    """
    known = np.flatnonzero(~np.isnan(shift_g + position_g + expression_g))
    n_null = min(null_genes, known.size - 1)
    center, spread, z, pvalue = (np.full(shift_g.shape, np.nan) for _ in range(4))
    if n_null >= LEAST_GENES:
        covariates = np.column_stack([standardized(position_g[known]), standardized(expression_g[known])])
        null_shift_gk = np.sort(shift_g[known][nearest(covariates, n_null)], axis=1)
        center[known] = _median_of_sorted(null_shift_gk)
        distance_gk = np.abs(null_shift_gk - center[known][:, None])
        spread[known] = _median_of_sorted(np.sort(distance_gk, axis=1)) / _MAD_OF_NORMAL
        varied = spread > 0
        z[varied] = (shift_g[varied] - center[varied]) / spread[varied]
        pvalue = 2 * stats.t.sf(np.abs(z), df=n_null - 1)
    return MatchedNull(z_g=z, pvalue_g=pvalue, center_g=center, spread_g=spread)


def beyond_null(
    shift_g: Float[np.ndarray, " g"],
    z_g: Float[np.ndarray, " g"],
    padj_g: Float[np.ndarray, " g"],
    *,
    fdr: float,
    ci_low_g: Float[np.ndarray, " g"] | None = None,
    ci_high_g: Float[np.ndarray, " g"] | None = None,
) -> Int[np.ndarray, " g"]:
    """Which genes are called by the rule `matched-null`: 1 = toward the goal, -1 = away from it, 0 = neither.

    Parameters
    ----------
    shift_g
        Shift or score, positive = toward the goal.
    z_g, padj_g
        `MatchedNull.z_g`, and its p-values adjusted over genes.
    fdr
        Highest padj of a call, itself not included.
    ci_low_g, ci_high_g
        Interval of the shift, where it has one: then a call needs an interval that excludes 0.

    Returns
    -------
    One value per gene; 0 where any of its numbers is missing.

    Notes
    -----
    Shift and z must agree in sign. A gene beyond its null in the other direction than it moves cells (less than its like) is not
    called: that it does less harm than its like is no benefit.

    Examples
    --------
    >>> shift, z, padj = np.array([2.0, -2.0, -0.1, 3.0]), np.array([4.0, -4.0, 4.0, 1.0]), np.array([0.01, 0.01, 0.01, 0.2])
    >>> beyond_null(shift, z, padj, fdr=0.05)
    array([ 1, -1,  0,  0])
    >>> beyond_null(shift, z, padj, fdr=0.05, ci_low_g=shift - 2.5, ci_high_g=shift + 1)
    array([ 0, -1,  0,  0])
    """
    side_g = np.where((shift_g > 0) & (z_g > 0), 1, np.where((shift_g < 0) & (z_g < 0), -1, 0))
    called_g = padj_g < fdr
    if ci_low_g is not None:
        called_g &= np.where(side_g > 0, ci_low_g > 0, True)
    if ci_high_g is not None:
        called_g &= np.where(side_g < 0, ci_high_g < 0, True)
    return np.where(called_g, side_g, 0)


def _median_of_sorted(value_gk: Float[np.ndarray, "g k"]) -> Float[np.ndarray, " g"]:
    """Median of each row of sorted values, which NumPy sorts faster than it finds their middle."""
    k = value_gk.shape[1]
    return value_gk[:, [(k - 1) // 2, k // 2]].mean(axis=1)
