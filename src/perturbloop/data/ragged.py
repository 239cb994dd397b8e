"""Rows of different length, one after another in one array."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int, Int64


def starts(length_n: Int[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Where each part begins in an array of parts of these lengths.

    >>> starts(np.array([2, 0, 3])).tolist()
    [0, 2, 2]
    """
    return np.cumsum(length_n, dtype=np.int64) - length_n


def blocks(length_n: Int[np.ndarray, " n"], most: int) -> Iterator[tuple[int, int]]:
    """Cut a row of parts of these lengths into blocks of about `most` in all; a part is never cut.

    >>> list(blocks(np.array([2, 2, 5, 1]), 4))
    [(0, 2), (2, 3), (3, 4)]
    """
    end_n = np.cumsum(length_n, dtype=np.int64)
    start = 0
    while start < len(length_n):
        done = int(end_n[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(end_n, done + most, side="right")))
        yield start, stop
        start = stop
