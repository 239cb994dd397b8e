"""Lineage: which genes a cell type expresses more than others do, and what that foretells before anything is perturbed.

The numbers are log2 expression of reference cell types, genes × cell types (`c`), such as sorted blood cells in TPM.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from perturbloop.errors import InputError, closest, some
from perturbloop.stats.scale import standardized

LEAST_EXPRESSED = 1.0
"""A gene tells cell types apart where one of them reaches this log2 expression."""
LEAST_GENES = 50
"""Fewest such genes by which cells are recognized."""
ALSO_OURS = 2 / 3
"""A cell type is the cells' own too where its likeness is at least this share of the best one's, as CD8 beside CD4 T cells."""


@dataclass(frozen=True)
class Lineage:
    """What the cells express more than other cell types do, and which types were compared."""

    score_g: Float[np.ndarray, " g"]
    """`lineage_score` of each gene, log2; NaN where the reference does not know it."""
    own: tuple[str, ...]
    """Reference types that are the cells' own."""
    others: tuple[str, ...]

    @property
    def line(self) -> str:
        """Say it in words."""
        return f"lineage: expression in {some(self.own)} against {some(self.others)}"


def lineage_of(
    reference_gc: Float[np.ndarray, "g c"],
    cell_types: Sequence[str],
    log_expression_g: Float[np.ndarray, " g"],
    *,
    cell_type: Sequence[str] = (),
) -> Lineage | None:
    """Recognize the cells among reference types, and score every gene by its lineage.

    Parameters
    ----------
    reference_gc
        Log2 expression of the reference types, rows in the order of the cells' genes; NaN where a gene is not known.
    cell_types
        Names of its columns.
    log_expression_g
        Log2 expression of the start cells.
    cell_type
        The cells' own types, where they are named.

    Returns
    -------
    `None` where the cells are like no type or like all, or share too few genes with the reference: then there is no lineage to tell.

    Raises
    ------
    InputError
        If a type is named that the reference lacks.
    """
    unknown = [name for name in cell_type if name not in cell_types]
    if unknown:
        msg = (
            f"A cell type must be one of the reference's {some(cell_types, limit=20)}; {unknown[0]!r} came. The closest is "
            f"{closest(unknown[0], cell_types, limit=1)}."
        )
        raise InputError(msg)
    if not enough(reference_gc, log_expression_g):
        return None
    own_c = (
        np.isin(np.array(cell_types, dtype=str), list(cell_type))
        if cell_type
        else own_types(likeness(reference_gc, log_expression_g))
    )
    if own_c.all() or not own_c.any():
        return None
    names = np.array(cell_types, dtype=object)
    return Lineage(lineage_score(reference_gc, own_c), tuple(names[own_c]), tuple(names[~own_c]))


def likeness(
    reference_gc: Float[np.ndarray, "g c"], log_expression_g: Float[np.ndarray, " g"]
) -> Float[np.ndarray, " c"]:
    """Correlation of what is special in the cells with what is special in each reference type, -1 to 1; high = alike.

    Parameters
    ----------
    reference_gc
        Log2 expression of the reference types; NaN where a gene is not known.
    log_expression_g
        Log2 expression of the cells, same genes.

    Raises
    ------
    InputError
        If there are fewer than two types, or they share too few genes with the cells.

    Notes
    -----
    Special is what the mean over the types does not foretell: the mean is taken off each type, and regressed off the cells. Housekeeping
    genes, which all types share, would else make all cells alike.
    """
    known_g = _telling(reference_gc, log_expression_g)
    if not enough(reference_gc, log_expression_g):
        msg = (
            f"Cells are recognized by at least {LEAST_GENES} genes and 2 reference cell types; {int(known_g.sum())} shared genes that "
            f"one of {reference_gc.shape[1]} types expresses came. Give a reference with more genes or types."
        )
        raise InputError(msg)
    reference_gc, own_g = reference_gc[known_g], log_expression_g[known_g]
    mean_g = reference_gc.mean(axis=1)
    shared_g2 = np.column_stack([np.ones_like(mean_g), mean_g])
    special_g = own_g - shared_g2 @ np.linalg.lstsq(shared_g2, own_g, rcond=None)[0]
    return np.array([_correlation(column_g - mean_g, special_g) for column_g in reference_gc.T], dtype=float)


def enough(reference_gc: Float[np.ndarray, "g c"], log_expression_g: Float[np.ndarray, " g"]) -> bool:
    """Whether cells can be recognized: two types or more, and enough genes that one of them expresses and the cells measure."""
    return reference_gc.shape[1] >= 2 and int(_telling(reference_gc, log_expression_g).sum()) >= LEAST_GENES


def own_types(like_c: Float[np.ndarray, " c"]) -> Bool[np.ndarray, " c"]:
    """Which reference types are the cells' own: the one most like them, and those nearly as much; none where nothing is like them.

    >>> own_types(np.array([0.33, 0.34, 0.14, -0.2])).tolist(), own_types(np.array([-0.1, 0.0])).tolist()
    ([True, True, False, False], [False, False])
    """
    best = float(like_c.max(initial=0.0))
    return (like_c >= ALSO_OURS * best) & (like_c > 0)


def lineage_score(
    reference_gc: Float[np.ndarray, "g c"], own_c: Bool[np.ndarray, " c"]
) -> Float[np.ndarray, " g"]:
    """Log2 expression in one's own cell types minus that in the others: positive = a gene of this lineage.

    Parameters
    ----------
    reference_gc
        Log2 expression of the reference types.
    own_c
        Which of them are one's own.

    Returns
    -------
    Means over own and other types, subtracted; log2, NaN where a gene is not known.

    Raises
    ------
    InputError
        If no type, or every type, is one's own.

    Examples
    --------
    >>> lineage_score(np.array([[6.0, 6.0, 1.0, 0.0], [3.0, 3.0, 3.0, 3.0]]), np.array([True, True, False, False]))
    array([5.5, 0. ])
    """
    if own_c.all() or not own_c.any():
        msg = (
            f"A lineage needs reference types that are one's own and others; {int(own_c.sum())} of {own_c.size} are one's own. "
            "Name the cell type, or give a reference that holds other types too."
        )
        raise InputError(msg)
    return reference_gc[:, own_c].mean(axis=1) - reference_gc[:, ~own_c].mean(axis=1)


def lineage_prior(
    lineage_g: Float[np.ndarray, " g"],
    log_expression_g: Float[np.ndarray, " g"],
    degree_g: Float[np.ndarray, " g"],
) -> Float[np.ndarray, " g"]:
    r"""Expected size of a gene's effect before any is measured; high = rather a hit, of either sign.

    Parameters
    ----------
    lineage_g
        `lineage_score`, log2; NaN where it is not known.
    log_expression_g
        Log expression in the start cells.
    degree_g
        In how many gene sets the gene is.

    Returns
    -------
    :math:`\max(l, 0) + z(e)/2 + z(\log(1 + d))/2`, about -3 to 9.

    Notes
    -----
    A gene that other cell types express more is no less a regulator than one that all express, so that only the positive part
    of the lineage counts. It foretells where the phenotype is the lineage's own programme, as cytokines are of T cells; where it is not (viability,
    housekeeping) it foretells little more than expression does. The form was chosen on the CRISPRa TNF screen and donor 1 of the CRISPRi IFN-γ screen.
    """
    return (
        np.maximum(np.nan_to_num(lineage_g), 0.0)
        + 0.5 * np.nan_to_num(standardized(log_expression_g))
        + 0.5 * np.nan_to_num(standardized(np.log1p(degree_g)))
    )


def _telling(reference_gc: np.ndarray, log_expression_g: np.ndarray) -> np.ndarray:
    """Genes that are known of all types and of the cells, and expressed in a type."""
    known_g = np.isfinite(reference_gc).all(axis=1) & np.isfinite(log_expression_g)
    return known_g & (np.nan_to_num(reference_gc).max(axis=1, initial=0.0) >= LEAST_EXPRESSED)


def _correlation(first_g: np.ndarray, second_g: np.ndarray) -> float:
    """Pearson's; 0 where either does not vary."""
    if np.ptp(first_g) == 0 or np.ptp(second_g) == 0:
        return 0.0
    return float(np.corrcoef(first_g, second_g)[0, 1])
