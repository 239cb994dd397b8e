"""Edits on one row of tokens; the row itself is never changed."""

import numpy as np
from jaxtyping import Int

Row = Int[np.ndarray, "_"]


def delete(row: Row, tokens: tuple[int, ...]) -> Row:
    """Take genes out of a cell; every later gene moves up.

    >>> delete(np.array([5, 3, 8]), (3,))
    array([5, 8])
    """
    return row[~np.isin(row, tokens)]


def overexpress(row: Row, tokens: tuple[int, ...], *, first: int = 0) -> Row:
    """Move genes to the front of a cell, in the order given; genes it does not express are put in.

    Parameters
    ----------
    row
        Token ids of the cell.
    tokens
        Genes to move.
    first
        Position of the front: 0, or 1 where `<cls>` comes first.

    Examples
    --------
    >>> overexpress(np.array([5, 3, 8]), (8,))
    array([8, 5, 3])
    """
    front = np.array(tokens, dtype=row.dtype)
    return np.concatenate([row[:first], front, delete(row[first:], tokens)])
