"""Whether a matrix holds raw counts, what else it may hold, and fractions of molecules rounded to whole ones."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy import sparse

from perturbloop.errors import InputError

Kind = Literal["counts", "fractions", "normalized", "negative", "missing", "zero"]
MEANING: dict[Kind, str] = {
    "counts": "whole numbers",
    "fractions": "fractions",
    "normalized": "normalized values",
    "negative": "negative values",
    "missing": "missing values",
    "zero": "zeros only",
}
"""What a matrix may hold, in words."""
_EQUAL, _WHOLE, _MOST = 0.02, 0.02, 0.9
"""Coefficient of variation below which sums are equal; how near a whole number is one; share of values that decides."""
_LEAST_VALUES, _LEAST_CELLS = 5, 5
"""Values of a cell, and cells, that can tell anything."""
_REMEDY = "They were normalized or scaled; use the raw counts, often kept in `layers['counts']` or `raw`."


@dataclass(frozen=True)
class Rounding:
    """What rounding changed."""

    n_changed: int
    """Values that were no whole numbers."""
    n_values: int
    """Values other than zero before."""
    n_zero: int
    """Values that became zero."""
    before: float
    after: float
    """Sum of all values."""

    def __add__(self, other: "Rounding") -> "Rounding":
        """What both changed together."""
        return Rounding(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Rounding)))

    def line(self, shown: str) -> str:
        """Say it in words.

        Parameters
        ----------
        shown
            Name of the matrix.

        Examples
        --------
        >>> Rounding(2, 4, 1, 8.0, 7.0).line("`X`")
        '2 of 4 values of `X` were fractions and are rounded, 1 of them to zero; the sum of all changes by -12.50 %, from 8 to 7'
        """
        change = 100 * (self.after - self.before) / max(self.before, 1e-12)
        return (
            f"{self.n_changed:,} of {self.n_values:,} values of {shown} were fractions and are rounded, {self.n_zero:,} of them to "
            f"zero; the sum of all changes by {change:+.2f} %, from {self.before:,.0f} to {self.after:,.0f}"
        )


def count_matrix(matrix: Any, source: str, shown: str = "`X`") -> sparse.csr_matrix:
    """Bring a matrix to CSR, float32, each value once and in order; the caller's is not changed.

    Parameters
    ----------
    matrix
        Array or sparse matrix, cells × genes.
    source, shown
        What messages call the file and the matrix.
    """
    require_whole(matrix, source, shown)
    counts = sparse.csr_matrix(matrix, dtype=np.float32)
    if not counts.has_canonical_format:
        counts = counts.copy()
        counts.sum_duplicates()
    return counts


def require_whole(matrix: Any, source: str, shown: str = "`X`") -> None:
    """Refuse a matrix whose index arrays point outside of it, as those of a damaged file do: used unchecked they end Python.

    Parameters
    ----------
    matrix
        Array or sparse matrix.
    source, shown
        What messages call the file and the matrix.
    """
    try:
        if isinstance(matrix, (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array)):
            shallow = type(matrix)(matrix)  # the check cuts arrays that are too long
            shallow.check_format(full_check=True)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        msg = (
            f"{shown} of {source} must be a whole matrix of numbers; it is damaged: {error}. Copy or write the file again, "
            "compressed: damage is then noticed when it is read."
        )
        raise InputError(msg) from error


def require_raw(
    counts_ng: sparse.csr_matrix,
    source: str,
    shown: str = "`X`",
    *,
    others: Callable[[], str] = str,
    can_round: bool = False,
    cells: tuple[int, int] | None = None,
    like: sparse.csr_matrix | None = None,
) -> None:
    """Refuse counts that are missing, negative or no whole numbers.

    Parameters
    ----------
    counts_ng
        Values, cells × genes.
    source, shown
        What messages call the file and the matrix.
    others
        Says what else the file holds, as a sentence; asked for in a refusal only.
    can_round
        Whether fractions are rounded afterwards, so that they may be there.
    cells
        First cell of the file that is here, and the one after the last; `None` = all are.
    like
        Cells that tell how the values were made; `None` = these.

    Raises
    ------
    InputError
        If they are no counts.
    """
    values, sample = counts_ng.data, counts_ng if like is None else like
    of = "its" if cells is None else "the"
    where = "" if cells is None else f" of cells {cells[0] + 1:,} to {cells[1]:,}"
    checks = (
        (~np.isfinite(values), "missing or infinite", "Remove the cells or genes that hold them."),
        (values < 0, "negative", _REMEDY),
        (values != np.round(values), "no whole numbers", ""),
    )
    for wrong, what, todo in checks:
        if wrong.any() and (todo or not can_round or is_normalized(sample)):
            msg = (
                f"{shown} of {source} must hold raw counts; {int(wrong.sum()):,} of {of} {values.size:,} non-zero values{where} are "
                f"{what}: {', '.join(f'{value:g}' for value in values[wrong][:5])}. {others()}{todo or _of_fractions(sample, can_round)}"
            )
            raise InputError(msg)


def _of_fractions(values_ng: sparse.csr_matrix, can_round: bool) -> str:
    if is_normalized(values_ng):
        return f"Rounding makes no counts of them. {_REMEDY}" if can_round else _REMEDY
    return (
        "Where these are counts corrected for ambient RNA (SoupX, CellBender, DecontX) or estimates (Salmon, RSEM), `--round` rounds "
        "them and says what that changes; where they were normalized, use the raw counts, often kept in `layers['counts']` or `raw`."
    )


def kind_of(values_ng: sparse.csr_matrix) -> Kind:
    """What some rows of a matrix hold.

    Parameters
    ----------
    values_ng
        Some cells, all genes.

    Examples
    --------
    >>> kind_of(sparse.csr_matrix([[1.0, 2.0]])), kind_of(sparse.csr_matrix([[0.0, 0.0]]))
    ('counts', 'zero')
    """
    values = values_ng.data
    if not np.isfinite(values).all():
        return "missing"
    if (values < 0).any():
        return "negative"
    if not values.any():
        return "zero"
    if (values == np.round(values)).all():
        return "counts"
    return "normalized" if is_normalized(values_ng) else "fractions"


def is_normalized(values_ng: sparse.csr_matrix) -> bool:
    """Whether values were made from counts by scaling each cell, and perhaps a logarithm; whole numbers are not asked about.

    The sums of all cells are then equal, or all values of a cell are multiples of its smallest one, before or after the logarithm
    is undone. Corrections for ambient RNA and estimates are neither.

    Parameters
    ----------
    values_ng
        Some cells, all genes; not negative.
    """
    if np.mean(values_ng.data == np.round(values_ng.data)) > 0.5:
        return False
    undone = (
        values_ng.data,
        np.expm1(np.minimum(values_ng.data, 80)),
        np.exp2(np.minimum(values_ng.data, 80)) - 1,
    )
    for values in undone:
        matrix = sparse.csr_matrix((values, values_ng.indices, values_ng.indptr), shape=values_ng.shape)
        if _sums_are_equal(matrix) or np.mean(_rows(matrix, _are_multiples) or [False]) > 0.5:
            return True
    return False


def looks_odd(counts_ng: sparse.csr_matrix, source: str, shown: str = "`X`") -> tuple[str, ...]:
    """Warn of whole numbers that can hardly be counts of molecules: scaled and rounded, or only whether there was any.

    Parameters
    ----------
    counts_ng
        Whole numbers, cells × genes.
    source, shown
        What messages call the file and the matrix.
    """
    todo = "Give the raw counts, often kept in `layers['counts']` or `raw`."
    if counts_ng.data.max(initial=0) <= 1:
        why = "no value is above 1, so that they say only whether a gene was seen"
    elif _sums_are_equal(counts_ng):
        total = float(f"{np.median(_sums(counts_ng)):.3g}")
        why = f"the values of every cell sum to about {total:,.0f}, as counts per {total:,.0f} that were rounded do"
    elif np.mean(_rows(counts_ng, lambda values: bool(values.min() > 1)) or [False]) > 0.5:
        why = "most cells hold no value of 1, as scaled counts that were rounded do"
    else:
        return ()
    return (f"The whole numbers in {shown} of {source} may be no raw counts: {why}. {todo}",)


def rounded(values_ng: sparse.csr_matrix) -> tuple[sparse.csr_matrix, Rounding]:
    """Round to the nearest whole number, halves to the even one; and what that changed.

    Parameters
    ----------
    values_ng
        Values, cells × genes; not changed.
    """
    found = values_ng.copy()
    found.data = np.round(found.data)
    changed = int((found.data != values_ng.data).sum())
    zero = int(((found.data == 0) & (values_ng.data != 0)).sum())
    sums = (float(one.sum(dtype=np.float64)) for one in (values_ng, found))
    found.eliminate_zeros()
    return found, Rounding(changed, int(np.count_nonzero(values_ng.data)), zero, *sums)


def _sums(values_ng: sparse.csr_matrix) -> Float[np.ndarray, " n"]:
    """Sum of each cell that holds anything."""
    total_n = np.asarray(values_ng.sum(axis=1, dtype=np.float64)).ravel()
    return total_n[total_n > 0]


def _sums_are_equal(values_ng: sparse.csr_matrix) -> bool:
    total_n = _sums(values_ng)
    return len(total_n) >= _LEAST_CELLS and bool(total_n.std() < _EQUAL * total_n.mean())


def _rows(values_ng: sparse.csr_matrix, ask: Any, most: int = 500) -> list[bool]:
    """Ask of the values of each of the first cells that hold some."""
    bounds = zip(values_ng.indptr[:most], values_ng.indptr[1 : most + 1], strict=False)
    rows = (values_ng.data[start:stop] for start, stop in bounds if stop - start >= _LEAST_VALUES)
    return [ask(values[values > 0]) for values in rows if (values > 0).sum() >= _LEAST_VALUES]


def _are_multiples(values: np.ndarray) -> bool:
    """Whether all values of a cell are multiples of its smallest; a cell of one value says nothing."""
    times = values / values.min()
    return bool(np.ptp(times) > _WHOLE and np.mean(np.abs(times - np.round(times)) < _WHOLE) > _MOST)
