"""Read, check and select cells; the caller's file and object are never changed."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import sparse

from perturbloop.data.containers import Contents, Place, open_cells
from perturbloop.data.containers.anndata_file import of_object
from perturbloop.data.counts import count_matrix, rounded
from perturbloop.data.gene_mapping import GeneReport, genes_of
from perturbloop.data.genes import NO_NAMES, GeneNames
from perturbloop.data.places import counts_place, held_line
from perturbloop.data.ragged import blocks
from perturbloop.data.selection import SELECTS, selected, together
from perturbloop.data.several import batch_names, common_genes, joint_lines, joint_obs, require_apart
from perturbloop.data.stored_counts import StoredCounts, stacked
from perturbloop.data.survey import MOST_HELD, Survey, survey
from perturbloop.errors import InputError, some
from perturbloop.schema.reading import AS_IT_IS, Reading
from perturbloop.store.files import file_digest

_AT_ONCE = 4_000_000
"""Counts of the cells that are looked at in one go."""


@dataclass(frozen=True)
class Cells:
    """Cells as every step sees them: raw counts on Ensembl genes, and what is known of each cell."""

    counts: sparse.csr_matrix | StoredCounts
    """Raw counts, cells × genes, float32, sorted indices, one column per gene; those of many cells stay in their files."""
    gene_ids: np.ndarray
    """Ensembl ids without version, one per column, unique, dtype object."""
    gene_names: np.ndarray
    """Symbols (the id where none is known), one per column, dtype object."""
    obs: pd.DataFrame
    """One row per cell with the file's own columns; index = cell names."""
    source: str
    """Where the cells come from, for messages and the ledger."""
    digest: str
    """Hash of the content they were read from, and of what decided which of it was read."""
    origins: tuple[str, ...] = ()
    """The same of each file, before cells were left out."""
    notes: tuple[str, ...] = ()
    """Where the counts were found, and which cells were left out, in words."""
    warnings: tuple[str, ...] = ()
    """What may be a mistake."""

    @property
    def n_cells(self) -> int:
        """How many cells."""
        return int(self.counts.shape[0])

    @property
    def n_genes(self) -> int:
        """How many genes."""
        return int(self.counts.shape[1])

    @cached_property
    def counts_ng(self) -> sparse.csr_matrix:
        """All raw counts in memory, cells × genes; what needs one pass only takes `blocks`."""
        return self.counts.whole() if isinstance(self.counts, StoredCounts) else self.counts

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Raw counts of some cells after another, cells × genes."""
        if isinstance(self.counts, StoredCounts) and "counts_ng" not in vars(self):
            yield from self.counts.blocks()
        else:
            counts_ng = self.counts_ng
            yield from (counts_ng[start:stop] for start, stop in blocks(np.diff(counts_ng.indptr), _AT_ONCE))

    def select(self, rows_n: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> "Cells":
        """Keep these cells, by mask or by position, in that order."""
        places = np.flatnonzero(rows_n) if rows_n.dtype == bool else rows_n
        ascend = (np.diff(places, prepend=-1) > 0).all()
        if isinstance(self.counts, StoredCounts) and ascend:
            return replace(self, counts=self.counts.select(places), obs=self.obs.iloc[places])
        return replace(self, counts=self.counts_ng[places], obs=self.obs.iloc[places])

    def restrict(self, gene_ids: np.ndarray) -> "Cells":
        """Keep these genes, in this order; every one must be there."""
        place = {gene: column for column, gene in enumerate(self.gene_ids)}
        missing = [gene for gene in gene_ids if gene not in place]
        if missing:
            msg = f"{self.source} lacks {some(missing)}. Keep only genes that both files measure."
            raise InputError(msg)
        columns = np.array([place[gene] for gene in gene_ids], dtype=int)
        counts = self.counts
        return replace(
            self,
            counts=counts.restrict(columns)
            if isinstance(counts, StoredCounts)
            else sparse.csr_matrix(counts[:, columns]),
            gene_ids=self.gene_ids[columns],
            gene_names=self.gene_names[columns],
        )

    def log_normalized(self) -> sparse.csr_matrix:
        """log(1 + counts per 10,000), cells × genes; a cell without counts stays zero."""
        return log_normalized(self.counts_ng)

    def summed(
        self,
        group_n: Int[np.ndarray, " n"],
        *,
        of: Callable[[sparse.csr_matrix], sparse.csr_matrix] = lambda counts_ng: counts_ng,
    ) -> Float[np.ndarray, "r g"]:
        """Sum the counts of each group of cells.

        Parameters
        ----------
        group_n
            Group of each cell, from 0; cells of group -1 are left out.
        of
            What is summed rather than the counts: made of the counts of some cells, one row per cell.

        Returns
        -------
        Groups × genes, or × columns of what is summed.
        """
        width = of(sparse.csr_matrix(np.zeros((1, self.n_genes), dtype=np.float32))).shape[1]
        total_rg, start = np.zeros((int(group_n.max(initial=-1)) + 1, width)), 0
        for counts_ng in self.blocks():
            own_n = group_n[start : start + counts_ng.shape[0]]
            kept = np.flatnonzero(own_n >= 0)
            shape = (len(total_rg), len(own_n))
            member_rn = sparse.csr_matrix((np.ones(len(kept)), (own_n[kept], kept)), shape=shape)
            total_rg += (member_rn @ of(counts_ng)).toarray()
            start += len(own_n)
        return total_rg

    def log_cpm(self) -> np.ndarray:
        """log2(1 + counts per million) of each gene in all cells together."""
        total_g = self.summed(np.zeros(self.n_cells, dtype=int)).sum(axis=0)
        return np.log2(1 + total_g / max(total_g.sum(), 1.0) * 1e6)

    def detection(self) -> np.ndarray:
        """Share of cells that express each gene, 0 to 1."""
        seen_rg = self.summed(np.zeros(self.n_cells, dtype=int), of=lambda counts_ng: counts_ng > 0)
        return seen_rg.sum(axis=0) / max(self.n_cells, 1)


def log_normalized(counts_ng: sparse.csr_matrix) -> sparse.csr_matrix:
    """log(1 + counts per 10,000), cells × genes; a cell without counts stays zero."""
    total_n = np.ravel(counts_ng.sum(axis=1, dtype=np.float64))
    scale_n = np.divide(1e4, total_n, out=np.zeros_like(total_n), where=total_n > 0)
    normalized = sparse.csr_matrix(sparse.diags_array(scale_n) @ counts_ng)
    normalized.data = np.log1p(normalized.data)
    return normalized


def read_cells(
    path: Path | str | Sequence[Path | str],
    *,
    names: GeneNames = NO_NAMES,
    gene_column: str | None = None,
    reading: Reading = AS_IT_IS,
) -> tuple[Cells, GeneReport]:
    """Read a file of raw counts, or several as one: h5ad, zarr, loom, or a 10x matrix.

    Parameters
    ----------
    path
        The file or folder; of several, genes that all of them measure are kept, and `obs` gets a column that names the file.
    names
        Which symbol or retired id means which gene; without them, `var` must hold Ensembl ids.
    gene_column
        Column of `var` with the gene ids; by default the one that maps most genes.
    reading
        Where the counts lie, whether they are rounded, and which cells are kept.

    Returns
    -------
    The cells, and what became of the genes: of the first file, where there are several.

    Raises
    ------
    InputError
        If a file is missing, empty, cut off or of no known format, holds anything but raw counts, or no cell is kept.
    GeneIdError
        If hardly any of its genes is known.
    """
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(one) for one in path]
    require_apart(paths)
    read = []
    for one in paths:
        with open_cells(one) as contents:
            read.append(_read(contents, one.name, names, gene_column, reading, one))
    return _kept(read[0] if len(read) == 1 else _joined(read, batch_names(paths)), reading)


def read_var(path: Path | str) -> pd.DataFrame:
    """What a file of cells says of its genes; index = its own names of them. Counts are not read."""
    with open_cells(Path(path)) as contents:
        return contents.places[0].var.copy()


def from_adata(
    adata: ad.AnnData,
    *,
    source: str = "the AnnData object",
    names: GeneNames = NO_NAMES,
    gene_column: str | None = None,
    reading: Reading = AS_IT_IS,
) -> tuple[Cells, GeneReport]:
    """Check an AnnData object and bring its genes to Ensembl ids; the object is not changed.

    Parameters
    ----------
    adata
        Cells × genes, in memory or backed; raw counts where `reading` says, or in the one place that holds whole numbers.
    source
        What messages call it: the path of the file.
    names
        Maps symbols; without it only Ensembl ids are understood.
    gene_column
        Column of `var` with the genes; found by itself where it is `None`.
    reading
        Where the counts lie, whether they are rounded, and which cells are kept.

    Returns
    -------
    The cells, and what became of their genes.
    """
    return _kept(_read(of_object(adata, source), source, names, gene_column, reading), reading)


@dataclass(frozen=True)
class _Read:
    """One file with all its cells, and what quality control asks of them."""

    cells: Cells
    genes: GeneReport
    found: Survey


def _read(
    contents: Contents,
    source: str,
    names: GeneNames,
    gene_column: str | None,
    reading: Reading,
    path: Path | None = None,
) -> _Read:
    place = _place(contents, source, reading)
    genes = genes_of(place.var, names=names, column=gene_column, source=source)
    obs, others = contents.obs.copy(), partial(held_line, contents.places)
    found = survey(place, genes, obs, path=path, rounds=reading.round, others=others)
    digest = file_digest(path) if path else _content_digest(place, genes.gene_ids, rounds=reading.round)
    content = mixed(digest, _decides(place, found))
    cells = Cells(
        found.counts,
        genes.gene_ids,
        genes.gene_names,
        obs,
        source,
        content,
        (content,),
        (*contents.notes, *_told(place, contents, found)),
        (*contents.warnings, *found.warnings),
    )
    return _Read(cells, genes.report(found.total_r, names), found)


def _place(contents: Contents, source: str, reading: Reading) -> Place:
    """Where the counts lie, in a file that can be read at all."""
    obs, places = contents.obs, contents.places
    if not places or not all(places[0].shape):
        shape = places[0].shape if places else (len(obs), 0)
        msg = f"{source} must hold cells and genes; it holds {shape[0]:,} × {shape[1]:,}. Give another file."
        raise InputError(msg)
    if not obs.index.copy().is_unique:  # of a copy, as an index keeps the table that tells
        twice = obs.index[obs.index.duplicated()].unique()
        msg = f"Cell names of {source} must be unique; these occur twice: {some(twice)}. Call `obs_names_make_unique()`."
        raise InputError(msg)
    place = counts_place(places, reading.counts, source, rounds=reading.round)
    if place.shape != (len(obs), len(place.var)):
        msg = (
            f"{place.shown} of {source} must have a row for each cell and a column for each gene; it is {place.shape[0]:,} × "
            f"{place.shape[1]:,}, for {len(obs):,} cells and {len(place.var):,} genes: the file is damaged or cut off. Copy or write it again."
        )
        raise InputError(msg)
    return place


def _told(place: Place, contents: Contents, found: Survey) -> list[str]:
    """What to say of the place and of the rounding."""
    notes = [f"Raw counts are {place.shown} of {place.source}"] if len(contents.places) > 1 else []
    return notes if found.rounding is None else [*notes, found.rounding.line(place.shown)]


def _decides(place: Place, found: Survey) -> dict[str, Any]:
    """What decided the counts beside the file."""
    decides: dict[str, Any] = {} if place.name == "X" else {"place": place.name}
    return decides | ({"round": True} if found.rounding and found.rounding.n_changed else {})


def _kept(read: _Read, reading: Reading) -> tuple[Cells, GeneReport]:
    """Keep the cells that are asked for; what decides that is part of their digest."""
    cells = read.cells
    kept_n, lines = selected(cells.obs, read.found.measured, reading, cells.source)
    asked = {name: value for name, value in vars(reading).items() if name in SELECTS and value is not None}
    told = replace(cells, digest=mixed(cells.digest, asked), notes=(*cells.notes, *lines))
    return (told if kept_n.all() else told.select(kept_n)), read.genes


def _joined(read: Sequence[_Read], names: Sequence[str]) -> _Read:
    """Several files as one, on the genes that all of them measure."""
    files = _alike(read)
    gene_ids = common_genes([cells.gene_ids for cells in files], names)
    obs, column = joint_obs([cells.obs for cells in files], names)
    parts = [cells.restrict(gene_ids) for cells in files]
    digests = [[name, cells.digest] for name, cells in zip(names, files, strict=True)]
    joint = Cells(
        stacked([part.counts for part in parts]),
        gene_ids,
        parts[0].gene_names,
        obs,
        ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else ""),
        mixed("", {"files": digests}),
        tuple(cells.digest for cells in files),
        (
            *joint_lines(files, names, column, gene_ids),
            *dict.fromkeys(note for one in files for note in one.notes),
        ),
        tuple(dict.fromkeys(warning for one in files for warning in one.warnings)),
    )
    report = replace(read[0].genes, n_genes=len(gene_ids))
    return _Read(
        joint, report, replace(read[0].found, measured=together([one.found.measured for one in read]))
    )


def _alike(read: Sequence[_Read]) -> list[Cells]:
    """Cells of each file: all in memory, or, where they are too many together, all in their files."""
    held = [one.found.held for one in read]
    if sum(one.nnz for one in held if one is not None) <= MOST_HELD and None not in held:
        return [one.cells for one in read]
    return [replace(one.cells, counts=StoredCounts((one.found.stored,))) for one in read if one.found.stored]


def mixed(digest: str, decides: Mapping[str, Any]) -> str:
    """Hash of content and of what decided, beside the file, what of it is read; that of the content where nothing did.

    Parameters
    ----------
    digest
        Hash of the content.
    decides
        Plain values by name.
    """
    if not decides:
        return digest
    text = json.dumps([digest, decides], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _content_digest(place: Place, gene_ids: np.ndarray, *, rounds: bool) -> str:
    """Hash of counts in memory and of their genes."""
    counts = count_matrix(place.whole(), place.source, place.shown)
    counts = rounded(counts)[0] if rounds else counts
    hasher = hashlib.sha256("\n".join(gene_ids).encode())
    for array in (counts.data, counts.indices, counts.indptr):
        hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.hexdigest()[:16]
