"""Read, check and select cells; the caller's file and object are never changed."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from scipy import sparse

from perturbloop.data.genes import NO_NAMES, GeneNames, GeneReport, map_genes
from perturbloop.errors import InputError, some
from perturbloop.store.files import file_digest


@dataclass(frozen=True)
class Cells:
    """Cells as every step sees them: raw counts on Ensembl genes, and what is known of each cell."""

    counts_ng: sparse.csr_matrix
    """Raw counts, cells × genes, float32, sorted indices, one column per gene."""
    gene_ids: np.ndarray
    """Ensembl ids without version, one per column, unique, dtype object."""
    gene_names: np.ndarray
    """Symbols (the id where none is known), one per column, dtype object."""
    obs: pd.DataFrame
    """One row per cell with the file's own columns; index = cell names."""
    source: str
    """Where the cells come from, for messages and the ledger."""
    digest: str
    """Hash of the content they were read from."""

    @property
    def n_cells(self) -> int:
        """How many cells."""
        return int(self.counts_ng.shape[0])

    @property
    def n_genes(self) -> int:
        """How many genes."""
        return int(self.counts_ng.shape[1])

    def select(self, rows_n: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> "Cells":
        """Keep these cells, by mask or by position, in that order."""
        places = np.flatnonzero(rows_n) if rows_n.dtype == bool else rows_n
        return replace(self, counts_ng=self.counts_ng[places], obs=self.obs.iloc[places])

    def restrict(self, gene_ids: np.ndarray) -> "Cells":
        """Keep these genes, in this order; every one must be there."""
        place = {gene: column for column, gene in enumerate(self.gene_ids)}
        missing = [gene for gene in gene_ids if gene not in place]
        if missing:
            msg = f"{self.source} lacks {some(missing)}. Keep only genes that both files measure."
            raise InputError(msg)
        columns = [place[gene] for gene in gene_ids]
        return replace(
            self,
            counts_ng=sparse.csr_matrix(self.counts_ng[:, columns]),
            gene_ids=self.gene_ids[columns],
            gene_names=self.gene_names[columns],
        )

    def log_normalized(self) -> sparse.csr_matrix:
        """log(1 + counts per 10,000), cells × genes; a cell without counts stays zero."""
        total_n = np.asarray(self.counts_ng.sum(axis=1, dtype=np.float64)).ravel()
        scale_n = np.divide(1e4, total_n, out=np.zeros_like(total_n), where=total_n > 0)
        normalized = sparse.csr_matrix(sparse.diags_array(scale_n) @ self.counts_ng)
        normalized.data = np.log1p(normalized.data)
        return normalized

    def log_cpm(self) -> np.ndarray:
        """log2(1 + counts per million) of each gene in all cells together."""
        total_g = np.asarray(self.counts_ng.sum(axis=0, dtype=np.float64)).ravel()
        return np.log2(1 + total_g / max(total_g.sum(), 1.0) * 1e6)

    def detection(self) -> np.ndarray:
        """Share of cells that express each gene, 0 to 1."""
        return np.asarray((self.counts_ng > 0).sum(axis=0)).ravel() / max(self.n_cells, 1)


def read_cells(
    path: Path | str, *, names: GeneNames = NO_NAMES, gene_column: str | None = None
) -> tuple[Cells, GeneReport]:
    """Read an h5ad file with raw counts.

    Parameters
    ----------
    path
        The file.
    names
        Which symbol or retired id means which gene; without them, `var` must hold Ensembl ids.
    gene_column
        Column of `var` with the gene ids; by default the one that maps most genes.

    Raises
    ------
    InputError
        If the file is missing, empty, cut off, no h5ad, or holds anything but raw counts.
    GeneIdError
        If hardly any of its genes is known.
    """
    path = Path(path)
    adata = _opened(path)
    return from_adata(adata, source=path.name, names=names, gene_column=gene_column, digest=file_digest(path))


def read_var(path: Path | str) -> pd.DataFrame:
    """What a h5ad file says of its genes; index = its own names of them. Counts are not read."""
    opened = _opened(Path(path), backed="r")
    try:
        return opened.var.copy()
    finally:
        opened.file.close()


def _opened(path: Path, *, backed: Literal["r"] | None = None) -> ad.AnnData:
    _require_h5ad(path)
    try:
        return ad.read_h5ad(path, backed=backed)
    except Exception as error:  # h5py and anndata raise a dozen kinds for a damaged file
        msg = f"{path.name} must be an AnnData file (h5ad); it is damaged or cut off: {error}. Copy or write it again."
        raise InputError(msg) from error


def from_adata(
    adata: ad.AnnData,
    *,
    source: str = "the AnnData object",
    names: GeneNames = NO_NAMES,
    gene_column: str | None = None,
    digest: str | None = None,
) -> tuple[Cells, GeneReport]:
    """Check an AnnData object and bring its genes to Ensembl ids; the object is not changed.

    Parameters
    ----------
    adata
        Raw counts in `X`, cells × genes.
    source
        What messages call it: the path of the file.
    names
        Maps symbols; without it only Ensembl ids are understood.
    gene_column
        Column of `var` with the genes; found by itself where it is `None`.
    digest
        Digest of the file; of the counts and genes where it is `None`.

    Returns
    -------
    The cells, and what became of their genes.
    """
    if adata.X is None or 0 in adata.shape:
        msg = f"{source} must hold cells and genes; it holds {adata.n_obs:,} × {adata.n_vars:,}. Give another file."
        raise InputError(msg)
    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()].unique()
        msg = f"Cell names of {source} must be unique; these occur twice: {some(twice)}. Call `obs_names_make_unique()`."
        raise InputError(msg)
    counts = count_matrix(adata.X, source)
    require_raw(counts, source)
    mapped, gene_ids, gene_names, report = map_genes(
        counts, adata.var, names=names, column=gene_column, source=source
    )
    content = digest or _content_digest(counts, gene_ids)
    return Cells(mapped, gene_ids, gene_names, adata.obs.copy(), source, content), report


def count_matrix(matrix: Any, source: str) -> sparse.csr_matrix:
    """Bring a matrix to CSR, float32, each value once and in order; the caller's is not changed."""
    require_whole(matrix, source)
    counts = sparse.csr_matrix(matrix, dtype=np.float32)
    if not counts.has_canonical_format:
        counts = counts.copy()
        counts.sum_duplicates()
    return counts


def require_whole(matrix: Any, source: str) -> None:
    """Refuse a matrix whose index arrays point outside of it, as those of a damaged file do: used unchecked they end Python."""
    try:
        if isinstance(matrix, (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array)):
            shallow = type(matrix)(matrix)  # the check cuts arrays that are too long
            shallow.check_format(full_check=True)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        msg = (
            f"`X` of {source} must be a whole matrix of numbers; it is damaged: {error}. Copy or write the file again, "
            "compressed: damage is then noticed when it is read."
        )
        raise InputError(msg) from error


def require_raw(counts_ng: sparse.csr_matrix, source: str) -> None:
    """Refuse counts that are missing, negative or no whole numbers."""
    values = counts_ng.data
    checks = (
        (~np.isfinite(values), "missing or infinite", "Remove the cells or genes that hold them."),
        (
            values < 0,
            "negative",
            "They were scaled; use the raw counts, often kept in `layers['counts']` or `raw`.",
        ),
        (
            values != np.round(values),
            "no whole numbers",
            "They were normalized; use the raw counts, often kept in `layers['counts']` or `raw`.",
        ),
    )
    for wrong, what, todo in checks:
        if wrong.any():
            msg = (
                f"`X` of {source} must hold raw counts; {int(wrong.sum()):,} of its {values.size:,} non-zero values are "
                f"{what}: {', '.join(f'{value:g}' for value in values[wrong][:5])}. {todo}"
            )
            raise InputError(msg)
    if not values.any():
        msg = f"`X` of {source} must hold raw counts; all its values are zero. Give another file."
        raise InputError(msg)


def _require_h5ad(path: Path) -> None:
    todo = "Give an AnnData file (h5ad) with raw counts."
    if not path.is_file():
        near = sorted(other.name for other in path.parent.glob("*.h5ad")) if path.parent.is_dir() else []
        msg = f"A file is needed at `{path}`; there is none. h5ad files beside it: {some(near)}. {todo}"
        raise InputError(msg)
    if path.stat().st_size == 0:
        msg = f"{path.name} must be an AnnData file (h5ad); it is empty. {todo}"
        raise InputError(msg)
    if not h5py.is_hdf5(path):
        msg = f"{path.name} must be an AnnData file (h5ad); it is no HDF5 file. {todo}"
        raise InputError(msg)


def _content_digest(counts_ng: sparse.csr_matrix, gene_ids: np.ndarray) -> str:
    hasher = hashlib.sha256("\n".join(gene_ids).encode())
    for array in (counts_ng.data, counts_ng.indices, counts_ng.indptr):
        hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.hexdigest()[:16]
