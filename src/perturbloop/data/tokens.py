"""Encoded cells: rows of token ids of different length in one array, which may lie on disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int, Int32, Int64, Integer

from perturbloop.data.ragged import blocks, starts
from perturbloop.errors import InputError

_ENTRIES = 4_000_000
"""Tokens that are looked at in one go."""


@dataclass(frozen=True)
class Tokens:
    """Encoded cells, most telling gene first; taking some of them copies no token."""

    flat_e: Integer[np.ndarray, " e"]
    """Token ids of all cells, one cell after another: its row, then its genes beyond the length limit; may be mapped from a file."""
    start_n: Int64[np.ndarray, " n"]
    """Where each cell begins."""
    length_n: Int32[np.ndarray, " n"]
    """Tokens of each cell, special ones included."""
    has_cls: bool = False
    """Whether each cell starts with `<cls>` and ends with `<eos>`."""
    spare_n: Int32[np.ndarray, " n"] | None = None
    """Genes beyond the length limit that are kept of each cell; `None` where none are."""

    @property
    def n_cells(self) -> int:
        """How many cells."""
        return len(self.length_n)

    def row(self, cell: int | np.integer) -> Int32[np.ndarray, " t"]:
        """Return one cell's tokens."""
        start = self.start_n[cell]
        return np.asarray(self.flat_e[start : start + self.length_n[cell]], dtype=np.int32)

    def rows(self) -> list[np.ndarray]:
        """Return every cell's tokens."""
        return [self.row(cell) for cell in range(self.n_cells)]

    def spare(self, cell: int | np.integer) -> Int32[np.ndarray, " k"]:
        """Return one cell's genes beyond the length limit, next one first, as far as they were kept."""
        start = self.start_n[cell] + self.length_n[cell]
        count = 0 if self.spare_n is None else self.spare_n[cell]
        return np.asarray(self.flat_e[start : start + count], dtype=np.int32)

    def padded(self, cells: Int[np.ndarray, " b"]) -> Int32[np.ndarray, "b t"]:
        """Tokens of some cells, 0 beyond a cell's length, as wide as the longest of them."""
        length_b = self.length_n[cells]
        place_bt = self.start_n[cells][:, None] + np.arange(int(length_b.max(initial=1)))
        filled_bt = place_bt < (self.start_n[cells] + length_b)[:, None]
        tokens_bt = np.zeros(place_bt.shape, dtype=np.int32)
        tokens_bt[filled_bt] = self.flat_e[place_bt[filled_bt]]
        return tokens_bt

    def select(self, cells: np.ndarray) -> "Tokens":
        """Keep these cells, by mask or by position."""
        spare_n = None if self.spare_n is None else self.spare_n[cells]
        return replace(self, start_n=self.start_n[cells], length_n=self.length_n[cells], spare_n=spare_n)

    def count(self) -> Int64[np.ndarray, " v"]:
        """How many cells hold each gene, by its token; special tokens are not counted."""
        found = [np.bincount(token_e) for _, _, token_e in self._genes()]
        count_v = np.zeros(max(map(len, found), default=0), dtype=np.int64)
        for one in found:
            count_v[: len(one)] += one
        return count_v

    def find(
        self, wanted: Int[np.ndarray, " w"]
    ) -> tuple[Int64[np.ndarray, " f"], Int32[np.ndarray, " f"], Int32[np.ndarray, " f"]]:
        """Find genes in all cells.

        Parameters
        ----------
        wanted
            Tokens that are looked for.

        Returns
        -------
        Cell, position among the cell's genes from 0, and token of each place where one stands, in the order of the cells.
        """
        found = [
            (cell_e[kept_e], position_e[kept_e], token_e[kept_e])
            for cell_e, position_e, token_e in self._genes()
            for kept_e in [np.isin(token_e, wanted)]
        ]
        nothing = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32)
        cell_f, position_f, token_f = (np.concatenate(one) for one in zip(nothing, *found, strict=True))
        return cell_f, position_f, token_f

    @classmethod
    def of_rows(
        cls,
        rows: Sequence[np.ndarray | list[int]],
        *,
        has_cls: bool = False,
        spare: Sequence[np.ndarray | list[int]] | None = None,
    ) -> "Tokens":
        """Put rows of different length one after another, each followed by its genes beyond the limit.

        >>> tokens = Tokens.of_rows([[5, 3], [7]])
        >>> tokens.padded(np.array([0, 1]))
        array([[5, 3],
               [7, 0]], dtype=int32)
        """
        beyond = spare if spare is not None else [[]] * len(rows)
        length_n, spare_n = (np.array([len(row) for row in one], dtype=np.int32) for one in (rows, beyond))
        parts = [np.asarray(part, dtype=np.int32) for pair in zip(rows, beyond, strict=True) for part in pair]
        flat_e = np.concatenate([np.zeros(0, np.int32), *parts])
        return cls(flat_e, starts(length_n + spare_n), length_n, has_cls, None if spare is None else spare_n)

    @classmethod
    def joined(cls, parts: Sequence["Tokens"]) -> "Tokens":
        """Put cells of one encoding below each other; genes beyond the limit are kept where all parts have them."""
        held = [part.spare_n for part in parts if part.spare_n is not None]
        spare_n = np.concatenate(held) if len(held) == len(parts) else None
        length_n = np.concatenate([part.length_n for part in parts])
        size_n = length_n if spare_n is None else length_n + spare_n
        flat_e = np.concatenate([part._compact(keeps_spare=spare_n is not None) for part in parts])
        return cls(flat_e, starts(size_n), length_n, parts[0].has_cls, spare_n)

    def _compact(self, *, keeps_spare: bool) -> Int32[np.ndarray, " e"]:
        """All cells one after another, without gaps."""
        size_n = self.length_n + self.spare_n if keeps_spare and self.spare_n is not None else self.length_n
        if len(self.flat_e) == size_n.sum() and np.array_equal(self.start_n, starts(size_n)):
            return np.asarray(self.flat_e, dtype=np.int32)
        place_e = np.arange(int(size_n.sum())) + np.repeat(self.start_n - starts(size_n), size_n)
        return np.asarray(self.flat_e[place_e], dtype=np.int32)

    def _genes(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Cell, position and token of every gene, some cells at a time."""
        edge = int(self.has_cls)
        n_genes_n = np.maximum(self.length_n - 2 * edge, 0)
        for start, stop in blocks(n_genes_n, _ENTRIES):
            of_block = n_genes_n[start:stop]
            cell_e = np.repeat(np.arange(start, stop), of_block)
            position_e = np.arange(len(cell_e)) - np.repeat(starts(of_block), of_block)
            token_e = np.asarray(self.flat_e[self.start_n[cell_e] + edge + position_e], dtype=np.int32)
            yield cell_e, position_e.astype(np.int32), token_e


def require_some(tokens: Tokens, source: str) -> None:
    """Refuse cells without a token: nothing can be read or edited in them."""
    empty = int((tokens.length_n <= 2 * tokens.has_cls).sum())
    if empty:
        msg = (
            f"Each cell of {source} needs at least one gene with a token; {empty:,} start or goal cells have none. Remove cells "
            "without counts."
        )
        raise InputError(msg)
