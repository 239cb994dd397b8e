"""Matrices whose values lie in no order of rows, laid out by rows on the disk, once."""

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import sparse

_OF_PART = 8_000_000
"""Values of a part, about; a part is what is held in memory."""
_RECORD = np.dtype([("row", "<i4"), ("column", "<i4"), ("value", "<f4")])
Entries = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Rows, columns and values, some at a time."""


class Spilled:
    """A sparse matrix in parts of neighboring rows, each a file in a temporary folder that vanishes with it."""

    def __init__(self, shape: tuple[int, int], n_values: int, entries: Entries) -> None:
        """Lay it out.

        Parameters
        ----------
        shape
            Rows and columns.
        n_values
            Values above zero, about.
        entries
            All of them; places outside of the shape are refused.
        """
        self.shape, self.n_values = shape, n_values
        self._size = max(1, shape[0] * _OF_PART // max(n_values, 1))
        self._folder = Path(tempfile.mkdtemp(prefix="perturbloop-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._read: tuple[int, sparse.csr_matrix] | None = None
        for part in range(-(-shape[0] // self._size)):
            self._file(part).touch()
        for row_e, column_e, value_e in entries:
            self._require_inside(row_e, column_e)
            record_e = np.empty(len(row_e), dtype=_RECORD)
            record_e["row"], record_e["column"], record_e["value"] = row_e, column_e, value_e
            part_e = record_e["row"] // self._size
            order_e = np.argsort(part_e, kind="stable")
            parts, starts = np.unique(part_e[order_e], return_index=True)
            for part, own in zip(parts.tolist(), np.split(record_e[order_e], starts[1:]), strict=True):
                with self._file(part).open("ab") as file:
                    file.write(own.tobytes())

    @property
    def laid_out(self) -> "Spilled":
        """Itself: it needs nothing of the file that it was made of."""
        return self

    def __getitem__(self, rows: slice) -> sparse.csr_matrix:
        """Read some rows."""
        first, last = rows.start // self._size, (rows.stop - 1) // self._size
        parts = [self._part(part) for part in range(first, last + 1)]
        joined = parts[0] if len(parts) == 1 else sparse.csr_matrix(sparse.vstack(parts, format="csr"))
        return joined[rows.start - first * self._size : rows.stop - first * self._size]

    def _part(self, part: int) -> sparse.csr_matrix:
        if self._read is None or self._read[0] != part:
            record_e = np.fromfile(self._file(part), dtype=_RECORD)
            start = part * self._size
            shape = (min(self._size, self.shape[0] - start), self.shape[1])
            places = (record_e["row"] - start, record_e["column"])
            self._read = part, sparse.csr_matrix((record_e["value"], places), shape=shape)
        return self._read[1]

    def _file(self, part: int) -> Path:
        return self._folder / str(part)

    def _require_inside(self, row_e: np.ndarray, column_e: np.ndarray) -> None:
        for place_e, size, what in ((row_e, self.shape[0], "row"), (column_e, self.shape[1], "column")):
            if len(place_e) and (place_e.min() < 0 or place_e.max() >= size):
                msg = f"a value stands in a {what} outside of the {size:,} that there are"
                raise ValueError(msg)
