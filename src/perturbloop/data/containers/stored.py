"""Matrices that stay on disk until rows of them are asked for; HDF5 and zarr alike."""

from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from perturbloop.data.containers.spilled import Entries, Spilled

_AT_ONCE = 4_000_000
"""Values that are read in one go where they lie by genes."""
MOST_TURNED = 25_000_000
"""Most values of a matrix stored by genes, or in text, that is turned in memory."""


class StoredSparse:
    """A sparse matrix of an AnnData or 10x file. Its index is checked before rows are cut out of it: a damaged one would end Python."""

    def __init__(self, group: Any, shape: tuple[int, int] | None = None) -> None:
        self.group = group
        n_cells, n_genes = shape or group.attrs["shape"]
        self.shape = int(n_cells), int(n_genes)
        self.n_values = int(group["data"].shape[0])
        self.by_rows = shape is not None or group.attrs["encoding-type"] == "csr_matrix"
        stored, wanted = (getattr(group["data"], name, 0) for name in ("nchunks_initialized", "nchunks"))
        if stored < wanted:  # zarr would read what is missing as zeros
            msg = f"{wanted - stored} of {wanted} parts of its values are missing"
            raise ValueError(msg)

    def __getitem__(self, rows: slice) -> sparse.csr_matrix:
        """Read some cells; a matrix that is stored by genes is laid out by cells for them, once."""
        if not self.by_rows:
            return sparse.csr_matrix(self._turned[rows])
        bounds = self._indptr[rows.start : rows.stop + 1]
        start, stop = int(bounds[0]), int(bounds[-1])
        data, indices = (self.group[name][start:stop] for name in ("data", "indices"))
        shape = (len(bounds) - 1, self.shape[1])
        return _checked(sparse.csr_matrix((data, indices, bounds - start), shape=shape))

    @property
    def laid_out(self) -> "Spilled | None":
        """The same by cells in files of its own, where it had to be turned for want of memory."""
        turned = vars(self).get("_turned")
        return turned if isinstance(turned, Spilled) else None

    def to_memory(self) -> sparse.csr_matrix | sparse.csc_matrix:
        """Read all of it."""
        made = sparse.csr_matrix if self.by_rows else sparse.csc_matrix
        parts = tuple(self.group[name][...] for name in ("data", "indices", "indptr"))
        return _checked(made(parts, shape=self.shape))

    @cached_property
    def _indptr(self) -> np.ndarray:
        indptr = np.asarray(self.group["indptr"][...])
        size = self.group["data"].shape[0]
        if (
            len(indptr) != self.shape[0 if self.by_rows else 1] + 1
            or indptr[0] != 0
            or indptr[-1] > size
            or (np.diff(indptr) < 0).any()
        ):
            msg = "the index of its rows points outside of its values"
            raise ValueError(msg)
        return indptr

    @cached_property
    def _turned(self) -> "sparse.csc_matrix | Spilled":
        if self.n_values > MOST_TURNED:
            return Spilled(self.shape, int(self._indptr[-1]), self._entries())
        return sparse.csc_matrix(self.to_memory())

    def _entries(self) -> Entries:
        """All values of a matrix stored by genes."""
        for start in range(0, int(self._indptr[-1]), _AT_ONCE):
            stop = min(start + _AT_ONCE, int(self._indptr[-1]))
            value_e, cell_e = (np.asarray(self.group[name][start:stop]) for name in ("data", "indices"))
            yield cell_e, np.searchsorted(self._indptr, np.arange(start, stop), side="right") - 1, value_e


def _checked(matrix: Any) -> Any:
    """Refuse indices that point outside of the matrix: cutting columns out of it, or joining it to others, would end Python or mix them up."""
    matrix.check_format(full_check=True)
    return matrix


class Turned:
    """A dense matrix on disk with rows and columns swapped."""

    def __init__(self, stored: Any) -> None:
        self.stored = stored
        self.shape = (int(stored.shape[1]), int(stored.shape[0]))

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Read some rows; `...` = all."""
        return np.asarray(self.stored[...] if rows is Ellipsis else self.stored[:, rows]).T


class Columns:
    """Some columns of a matrix."""

    def __init__(self, matrix: Any, kept: np.ndarray) -> None:
        self.matrix, self.kept = matrix, np.flatnonzero(kept)
        self.shape = (int(matrix.shape[0]), len(self.kept))
        self.n_values = int(getattr(matrix, "n_values", 0))

    def __getitem__(self, rows: slice) -> sparse.csr_matrix:
        """Read some rows."""
        return sparse.csr_matrix(self.matrix[rows])[:, self.kept]

    @property
    def laid_out(self) -> "Columns | None":
        """The same of a matrix that lies by cells in files of its own."""
        found = getattr(self.matrix, "laid_out", None)
        return None if found is None else Columns(found, np.isin(np.arange(found.shape[1]), self.kept))

    def to_memory(self) -> sparse.csr_matrix:
        """Read all of it."""
        return self[slice(0, self.shape[0])]
