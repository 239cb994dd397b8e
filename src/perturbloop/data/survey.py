"""One pass over the counts of a file: they are checked, brought to genes, and what quality control asks of each cell is measured."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from perturbloop import progress
from perturbloop.data.containers import Place
from perturbloop.data.counts import Rounding, count_matrix, looks_odd, require_raw, rounded
from perturbloop.data.gene_mapping import GeneMapping
from perturbloop.data.places import looked
from perturbloop.data.selection import Measured, mito_column, mito_genes
from perturbloop.data.stored_counts import FileCounts, StoredCounts, mapped, spans, stamp
from perturbloop.errors import InputError

MOST_HELD = 25_000_000
"""Most counts above zero that are held in memory; those of larger files are read when they are asked for."""


@dataclass(frozen=True)
class Survey:
    """What one pass over the counts of a file found."""

    held: sparse.csr_matrix | None
    """Raw counts, cells × genes; `None` where they are too many to be held."""
    stored: FileCounts | None
    """The same, in their file; `None` where they come from memory."""
    total_r: Float[np.ndarray, " r"]
    """Counts of each row of `var` in all cells."""
    measured: Measured
    """What quality control asks of each cell."""
    rounding: Rounding | None
    """What rounding changed; `None` where none was asked for."""
    warnings: tuple[str, ...]
    """What may be a mistake."""

    @property
    def counts(self) -> sparse.csr_matrix | StoredCounts:
        """Raw counts, cells × genes, in memory where they are held."""
        if self.held is None and self.stored is not None:
            return StoredCounts((self.stored,))
        return cast("sparse.csr_matrix", self.held)


@dataclass
class _Sums:
    """What adds up from one part of the cells to the next."""

    total_r: np.ndarray
    per_cell: np.ndarray
    """Counts, genes, counts of mitochondrial and of known genes of each cell."""
    mito_g: np.ndarray
    most_held: float
    parts: list[sparse.csr_matrix] = field(default_factory=list)
    """Raw counts by gene, as long as they are few enough."""
    n_values: int = 0

    def add(self, start: int, counts_nr: sparse.csr_matrix, counts_ng: sparse.csr_matrix) -> None:
        """Take in the cells from `start` on, by row of `var` and by gene."""
        self.total_r += np.ravel(counts_nr.sum(axis=0, dtype=np.float64))
        sums = (counts_nr, counts_nr.astype(bool), counts_ng[:, self.mito_g], counts_ng)
        rows = slice(start, start + counts_nr.shape[0])
        self.per_cell[rows] = np.column_stack([np.ravel(one.sum(axis=1, dtype=np.float64)) for one in sums])
        self.n_values += counts_ng.nnz
        if self.n_values <= self.most_held:
            self.parts.append(counts_ng)
        else:
            self.parts.clear()

    @property
    def held(self) -> sparse.csr_matrix | None:
        """All counts, where they are few enough."""
        return sparse.csr_matrix(sparse.vstack(self.parts, format="csr")) if self.parts else None

    def measured(self, obs: pd.DataFrame) -> Measured:
        """Bring the sums of all cells together; what `obs` says of mitochondrial counts where no such gene is there."""
        total_n, genes_n, mito_n, known_n = self.per_cell.T
        share_n = np.divide(mito_n, known_n, out=np.zeros_like(known_n), where=known_n > 0)
        return Measured(total_n, genes_n, share_n if len(self.mito_g) else mito_column(obs))


def survey(
    place: Place,
    genes: GeneMapping,
    obs: pd.DataFrame,
    *,
    path: Path | None,
    rounds: bool,
    others: Callable[[], str] = str,
) -> Survey:
    """Read all counts once, some cells at a time.

    Parameters
    ----------
    place
        Where they lie.
    genes
        Which gene each row of `var` is.
    obs
        What is known of each cell.
    path
        The file; `None` where the counts are in memory, and stay there.
    rounds
        Whether fractions are rounded.
    others
        Says what else the file holds, as a sentence; asked for in a refusal only.

    Raises
    ------
    InputError
        If they are no raw counts.
    """
    collapse_rg, everything = genes.collapse, np.arange(place.shape[0])
    known = None if path is None else stamp(path)
    mito_g = np.flatnonzero(mito_genes(genes.gene_ids, genes.gene_names))
    most = np.inf if path is None else MOST_HELD if place.n_values <= MOST_HELD else 0
    sums = _Sums(np.zeros(place.shape[1]), np.zeros((len(everything), 4)), mito_g, most)
    rounding, any_value, sample = Rounding(0, 0, 0, 0.0, 0.0), False, looked(place)
    for start, stop in spans(place):
        counts = count_matrix(place.rows(start, stop), place.source, place.shown)
        part = None if stop - start == len(everything) else (start, stop)
        require_raw(
            counts, place.source, place.shown, others=others, can_round=rounds, cells=part, like=sample
        )
        any_value |= bool(counts.data.any())
        if rounds:
            counts, change = rounded(counts)
            rounding += change
        sums.add(start, counts, mapped(counts, collapse_rg))
        if not sums.parts:  # what is small enough to be held is read in a moment
            progress.tell(f"read {place.source}", stop, len(everything))
    if not any_value:
        msg = f"{place.shown} of {place.source} must hold raw counts; all its values are zero. {others()}Give another file."
        raise InputError(msg)
    odd = looks_odd(rounded(sample)[0] if rounds else sample, place.source, place.shown)
    told = rounding if rounds else None
    stored = (
        FileCounts(path, known, place.name, collapse_rg, rounds, everything, place.laid_out)
        if path is not None and known
        else None
    )
    return Survey(sums.held, stored, sums.total_r, sums.measured(obs), told, odd)
