"""Rank-value encoding: a cell becomes its genes, ordered by how far each lies above its usual level."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Int32
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError


@dataclass(frozen=True)
class Tokens:
    """Encoded cells: one row of token ids per cell, most telling gene first, padded at the right."""

    tokens_nt: Int32[np.ndarray, "n t"]
    """Token ids; 0 beyond a cell's length."""
    length_n: Int32[np.ndarray, " n"]
    """Tokens of each cell, special ones included."""
    has_cls: bool = False
    """Whether each cell starts with `<cls>` and ends with `<eos>`."""
    spare_nk: Int32[np.ndarray, "n k"] | None = None
    """The next genes beyond the length limit, 0 where there is none; `None` where they were not kept."""

    @property
    def n_cells(self) -> int:
        """How many cells."""
        return len(self.length_n)

    def row(self, cell: int | np.integer) -> Int32[np.ndarray, " t"]:
        """Return one cell's tokens, without padding."""
        return self.tokens_nt[cell, : self.length_n[cell]]

    def rows(self) -> list[np.ndarray]:
        """Return every cell's tokens, without padding."""
        return [self.row(cell) for cell in range(self.n_cells)]

    def spare(self, cell: int | np.integer) -> Int32[np.ndarray, " k"]:
        """Return one cell's genes beyond the length limit, next one first, as far as they were kept."""
        if self.spare_nk is None:
            return self.tokens_nt[cell, :0]
        return self.spare_nk[cell][self.spare_nk[cell] > 0]

    def select(self, rows: np.ndarray) -> "Tokens":
        """Keep these cells, by mask or by position."""
        spare_nk = None if self.spare_nk is None else self.spare_nk[rows]
        return replace(self, tokens_nt=self.tokens_nt[rows], length_n=self.length_n[rows], spare_nk=spare_nk)

    @classmethod
    def of_rows(cls, rows: Sequence[np.ndarray | list[int]], *, has_cls: bool = False) -> "Tokens":
        """Pad rows of different length.

        >>> Tokens.of_rows([[5, 3], [7]]).tokens_nt
        array([[5, 3],
               [7, 0]], dtype=int32)
        """
        length_n = np.array([len(row) for row in rows], dtype=np.int32)
        tokens_nt = np.zeros((len(rows), int(length_n.max(initial=1))), dtype=np.int32)
        for place, row in enumerate(rows):
            tokens_nt[place, : len(row)] = row
        return cls(tokens_nt, length_n, has_cls)


def tokenize(cells: Cells, vocabulary: Vocabulary, *, spare: int = 0) -> Tokens:
    """Encode cells with a vocabulary, cut to its length.

    Parameters
    ----------
    cells
        Raw counts; genes without a token or a median are left out.
    vocabulary
        Tokens, medians, special tokens and length.
    spare
        Genes beyond the length limit to keep beside each cell, for edits that let them move up.

    Returns
    -------
    One row per cell; a cell without any known gene has no gene tokens.

    Notes
    -----
    Genes are ordered by :math:`c_g / (n \\cdot m_g)`, c the count, n the cell's total, m the gene's non-zero median,
    as in :cite:`theodoris2023`. The cell's total does not change the order, so filtering genes beforehand matters
    only through the genes that are gone. Inside exact ties genes keep the file's order.
    """
    total_n = np.asarray(cells.counts_ng.sum(axis=1, dtype=np.float64)).ravel()
    return encode(cells.counts_ng, cells.gene_ids, total_n, vocabulary, spare=spare)


def vocabulary_of(cells: Cells, *, max_length: int) -> Vocabulary:
    """Make a vocabulary for the genes of these cells: medians of their non-zero counts per 10,000.

    For simulated cells. Medians of few real cells of mixed panels are biased; take the published ones there.
    """
    total_n = np.asarray(cells.counts_ng.sum(axis=1, dtype=np.float64)).ravel()
    columns = sparse.csc_matrix(sparse.diags_array(1e4 / np.maximum(total_n, 1)) @ cells.counts_ng)
    parts = np.split(columns.data, columns.indptr[1:-1])
    median_g = np.array([np.median(part) if len(part) else np.nan for part in parts])
    seen_g = np.isfinite(median_g)
    return Vocabulary.of_genes(
        cells.gene_ids[seen_g], cells.gene_names[seen_g], median_g[seen_g], max_length=max_length
    )


def encode(
    counts_ng: sparse.csr_matrix,
    gene_ids: np.ndarray,
    total_n: Float[np.ndarray, " n"],
    vocabulary: Vocabulary,
    *,
    spare: int = 0,
) -> Tokens:
    """Rank the genes of each row by their counts, as `tokenize` describes it.

    Parameters
    ----------
    counts_ng
        Raw counts, cells × genes.
    gene_ids
        Ensembl id of each column; one may repeat, and then its token does.
    total_n
        Counts of each cell, those of genes that are not among the columns included.
    vocabulary
        Tokens, medians, special tokens and length; genes that it lacks are left out.
    spare
        Genes beyond the length limit to keep beside each cell.

    Returns
    -------
    One row per cell, in their order.
    """
    place_g = np.array([vocabulary.position.get(gene, -1) for gene in gene_ids])
    usable_g = (place_g >= 0) & np.isfinite(np.where(place_g >= 0, vocabulary.medians[place_g], np.nan))
    token_g: Int[np.ndarray, " g"] = vocabulary.tokens[place_g[usable_g]]
    median_g = vocabulary.medians[place_g[usable_g]]
    counts = sparse.csr_matrix(counts_ng[:, np.flatnonzero(usable_g)])
    counts.eliminate_zeros()
    counts.sort_indices()
    room = vocabulary.max_length - 2 * vocabulary.has_cls
    rows = []
    spare_nk = np.zeros((counts.shape[0], spare), dtype=np.int32)
    for cell in range(counts.shape[0]):
        part = slice(counts.indptr[cell], counts.indptr[cell + 1])
        columns = counts.indices[part]
        value = counts.data[part].astype(np.float64) / total_n[cell] * 10_000 / median_g[columns]
        ranked = token_g[columns[np.argsort(-value, kind="stable")[: room + spare]]]
        row, beyond = ranked[:room], ranked[room:]
        spare_nk[cell, : len(beyond)] = beyond
        if vocabulary.has_cls:
            row = np.concatenate([[vocabulary.specials["<cls>"]], row, [vocabulary.specials["<eos>"]]])
        rows.append(row)
    tokens = Tokens.of_rows(rows, has_cls=vocabulary.has_cls)
    return replace(tokens, spare_nk=spare_nk) if spare else tokens


def require_some(tokens: Tokens, source: str) -> None:
    """Refuse cells without a token: nothing can be read or edited in them."""
    empty = int((tokens.length_n <= 2 * tokens.has_cls).sum())
    if empty:
        msg = (
            f"Each cell of {source} needs at least one gene with a token; {empty:,} start or goal cells have none. Remove cells "
            "without counts."
        )
        raise InputError(msg)
