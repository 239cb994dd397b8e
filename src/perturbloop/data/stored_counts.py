"""Raw counts that stay in their files: read some cells at a time, mapped to genes, whenever they are asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int
from scipy import sparse

from perturbloop.data.containers import Place, open_cells
from perturbloop.data.counts import count_matrix, rounded
from perturbloop.errors import InputError

_AT_ONCE = 2**23
"""Values, zeros included, of the cells that are read in one go."""


@dataclass(frozen=True)
class FileCounts:
    """Some cells and genes of one file; its counts were checked when it was first read."""

    path: Path
    """The file."""
    stamp: tuple[int, int]
    """Its size and time of change when it was checked."""
    place: str
    """Where in it the counts lie."""
    collapse_rg: sparse.csr_matrix
    """Rows of `var` × genes, 1 where a row is the gene."""
    rounds: bool
    """Whether fractions are rounded."""
    cells_n: Int[np.ndarray, " n"]
    """Which cells of the file, ascending."""
    laid_out: Place | None = None
    """The matrix where it lies by cells, apart from the file: what does not lie so is turned once."""

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Read the counts of some cells after another, cells × genes."""
        if stamp(self.path) != self.stamp:
            msg = f"{self.path} changed while it was read. Start again, and leave it as it is until this is done."
            raise InputError(msg)
        if self.laid_out is not None:
            yield from self._blocks(self.laid_out)
            return
        with open_cells(self.path) as contents:
            yield from self._blocks(next(one for one in contents.places if one.name == self.place))

    def _blocks(self, place: Place) -> Iterator[sparse.csr_matrix]:
        for start, stop in spans(place):
            first, last = np.searchsorted(self.cells_n, (start, stop))
            if first < last:
                yield self._read(place, self.cells_n[first:last])

    def _read(self, place: Place, cells: np.ndarray) -> sparse.csr_matrix:
        read = place.rows(int(cells[0]), int(cells[-1]) + 1)
        counts = count_matrix(read, place.source, place.shown)[cells - cells[0]]
        return mapped(rounded(counts)[0] if self.rounds else counts, self.collapse_rg)


@dataclass(frozen=True)
class StoredCounts:
    """Cells of one file, or of several below each other on the same genes."""

    parts: tuple[FileCounts, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return sum(len(part.cells_n) for part in self.parts), int(self.parts[0].collapse_rg.shape[1])

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Read the counts of some cells after another, cells × genes."""
        for part in self.parts:
            yield from part.blocks()

    def whole(self) -> sparse.csr_matrix:
        """Read all of it."""
        none = sparse.csr_matrix(np.zeros((0, self.shape[1]), dtype=np.float32))
        return sparse.csr_matrix(sparse.vstack([none, *self.blocks()], format="csr"))

    def select(self, cells: Int[np.ndarray, " m"]) -> "StoredCounts":
        """Keep these cells; their positions ascend."""
        ends = np.cumsum([len(part.cells_n) for part in self.parts])
        own = np.split(cells, np.searchsorted(cells, ends[:-1]))
        kept = [
            replace(part, cells_n=part.cells_n[rows - (end - len(part.cells_n))])
            for part, rows, end in zip(self.parts, own, ends, strict=True)
        ]
        return StoredCounts(tuple(kept))

    def restrict(self, genes: Int[np.ndarray, " g"]) -> "StoredCounts":
        """Keep these genes, by position."""
        kept = [
            replace(part, collapse_rg=sparse.csr_matrix(part.collapse_rg[:, genes])) for part in self.parts
        ]
        return StoredCounts(tuple(kept))


def stacked(parts: Sequence[sparse.csr_matrix | StoredCounts]) -> sparse.csr_matrix | StoredCounts:
    """Put counts on the same genes below each other: all are in memory, or all in their files."""
    held = [part for part in parts if isinstance(part, sparse.csr_matrix)]
    if held:
        return sparse.csr_matrix(sparse.vstack(held, format="csr"))
    return StoredCounts(
        tuple(file for part in parts if isinstance(part, StoredCounts) for file in part.parts)
    )


def mapped(counts_nr: sparse.csr_matrix, collapse_rg: sparse.csr_matrix) -> sparse.csr_matrix:
    """Counts by gene: those of rows of `var` that are one gene are summed."""
    found = sparse.csr_matrix(counts_nr @ collapse_rg, dtype=np.float32)
    found.sort_indices()
    return found


def spans(place: Place) -> Iterator[tuple[int, int]]:
    """Cut the cells of a matrix into parts that fit the memory.

    >>> import pandas as pd
    >>> [stop - start for start, stop in spans(Place("X", pd.DataFrame(), np.zeros((3000, 20_000), np.int8), ""))]
    [419, 419, 419, 419, 419, 419, 419, 67]
    """
    n_cells, n_genes = place.shape
    size = max(1, _AT_ONCE // max(n_genes, 1))
    for start in range(0, n_cells, size):
        yield start, min(start + size, n_cells)


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of the last change of a file, or of all files of a folder."""
    found = [one.stat() for one in (path, *path.rglob("*"))]
    return sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)
