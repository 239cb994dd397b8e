"""What a file of cells holds, whatever its format: what is said of cells and genes, and where counts may lie.

A format is a module that makes `Contents` of a path. A matrix stays on disk until it is asked for, whole or by rows.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from perturbloop.errors import InputError, PerturbloopError

_NOT_DAMAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True)
class Place:
    """One matrix of a file, cells × genes."""

    name: str
    """X, raw, or layers/NAME: as `--counts` takes it."""
    var: pd.DataFrame
    """What the file says of its genes, one row per column of the matrix."""
    matrix: Any
    """Array, sparse matrix, or one of them on disk; sliced by rows."""
    source: str
    """What messages call the file."""
    kind: str = "an AnnData file (h5ad)"
    """What the file must be, in words."""

    @property
    def shown(self) -> str:
        """Name in AnnData's words, for messages.

        >>> Place("layers/counts", pd.DataFrame(), None, "").shown
        "`layers['counts']`"
        """
        layer = self.name.removeprefix("layers/")
        return f"`layers['{layer}']`" if layer != self.name else "`raw.X`" if self.name == "raw" else "`X`"

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        n_cells, n_genes = self.matrix.shape
        return int(n_cells), int(n_genes)

    @property
    def n_values(self) -> int:
        """Values that are stored, zeros of a dense matrix left out as far as that is known without reading it."""
        return int(getattr(self.matrix, "n_values", 0))

    @property
    def laid_out(self) -> "Place | None":
        """The same matrix apart from its file, where it was laid out by cells in files of its own; they vanish with it."""
        found = getattr(self.matrix, "laid_out", None)
        return None if found is None else replace(self, matrix=found)

    def rows(self, start: int, stop: int) -> Any:
        """Read the cells from `start` to before `stop`."""
        with sound(self.source, self.kind):
            return _in_memory(self.matrix[start:stop])

    def whole(self) -> Any:
        """Read all of it; what is in memory already is given as it is."""
        with sound(self.source, self.kind):
            return _in_memory(self.matrix)


@dataclass(frozen=True)
class Contents:
    """What a file of cells holds."""

    obs: pd.DataFrame
    """What is said of each cell; index = cell names."""
    places: tuple[Place, ...]
    """Where counts may lie, `X` first; matrices are read when they are asked for."""
    notes: tuple[str, ...] = ()
    """What was left out, in words."""
    warnings: tuple[str, ...] = ()
    """What may be a mistake."""
    close: Callable[[], None] = lambda: None
    """Called when nothing more is read."""


@contextmanager
def sound(source: str, kind: str = "an AnnData file (h5ad)") -> Iterator[None]:
    """Say that a file is damaged, whatever its reader raises.

    Parameters
    ----------
    source
        What messages call the file.
    kind
        What it must be, in words.

    Raises
    ------
    InputError
        In place of any error but those in words, and those of the machine: no permission, memory or disk full, too many files open.
    """
    try:
        yield
    except (PerturbloopError, PermissionError, MemoryError):
        raise
    except OSError as error:
        if error.errno in _NOT_DAMAGE:
            raise
        raise InputError(_damaged(source, kind, error)) from error
    except Exception as error:  # h5py, zarr and anndata raise a dozen kinds for a damaged file
        raise InputError(_damaged(source, kind, error)) from error


def _damaged(source: str, kind: str, error: Exception) -> str:
    return f"{source} must be {kind}; it is damaged or cut off: {error}. Copy or write it again."


def texts(values: Any) -> np.ndarray:
    """Bytes and texts as texts, dtype object."""
    found = [one.decode() if isinstance(one, bytes) else str(one) for one in np.asarray(values).ravel()]
    return np.array(found, dtype=object)


def _in_memory(matrix: Any) -> Any:
    if isinstance(matrix, np.ndarray) or sparse.issparse(matrix):
        return matrix
    for way in ("to_memory", "compute"):  # sparse on disk; dask
        if hasattr(matrix, way):
            return getattr(matrix, way)()
    return matrix[...]
