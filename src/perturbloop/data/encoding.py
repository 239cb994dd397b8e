"""Rank-value encoding: a cell becomes its genes, ordered by how far each lies above its usual level."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int, Int64
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.ragged import blocks, starts
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary

ENCODING = 1
"""Version of what a cell becomes: raised by whoever changes that, so that tokens kept before are made anew."""
_AT_ONCE = 250_000
"""Counts that are ranked in one go: what a processor keeps at hand."""


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
    parts = [*encode_blocks(cells, vocabulary, spare=spare)]
    return Tokens.joined(parts) if parts else Tokens.of_rows([], has_cls=vocabulary.has_cls)


def encode_blocks(cells: Cells, vocabulary: Vocabulary, *, spare: int = 0) -> Iterator[Tokens]:
    """Encode some cells after another, as `tokenize` does it."""
    for counts in cells.blocks():
        total_n = np.ravel(counts.sum(axis=1, dtype=np.float64))
        yield encode(counts, cells.gene_ids, total_n, vocabulary, spare=spare)


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
    genes = _Genes.of(gene_ids, vocabulary)
    counts = sparse.csr_matrix(counts_ng)
    if not counts.has_sorted_indices:
        counts = counts.sorted_indices()
    parts = [
        genes.encode(counts[start:stop], total_n[start:stop], spare)
        for start, stop in blocks(np.diff(counts.indptr), _AT_ONCE)
    ]
    return Tokens.joined(parts) if parts else Tokens.of_rows([], has_cls=vocabulary.has_cls)


@dataclass(frozen=True)
class _Genes:
    """What a vocabulary says of the columns of a matrix."""

    vocabulary: Vocabulary
    token_g: np.ndarray
    """Token of each column."""
    median_g: np.ndarray
    """Its median; NaN where it has no token."""

    @classmethod
    def of(cls, gene_ids: np.ndarray, vocabulary: Vocabulary) -> "_Genes":
        place_g = np.array([vocabulary.position.get(gene, -1) for gene in gene_ids], dtype=int)
        median_g = np.where(place_g >= 0, vocabulary.medians[place_g], np.nan)
        return cls(vocabulary, vocabulary.tokens[place_g].astype(np.int32), median_g)

    def encode(self, counts_ng: sparse.csr_matrix, total_n: np.ndarray, spare: int) -> Tokens:
        kept_e = (counts_ng.data > 0) & np.isfinite(self.median_g)[counts_ng.indices]
        indptr = np.concatenate([[0], np.cumsum(kept_e)])[counts_ng.indptr]
        columns_e, total_e = counts_ng.indices[kept_e], np.repeat(total_n, np.diff(indptr))
        value_e = counts_ng.data[kept_e].astype(np.float64) / total_e * 10_000 / self.median_g[columns_e]
        return _cut(
            self.token_g[columns_e][_falling(value_e, indptr)], np.diff(indptr), self.vocabulary, spare
        )


def _falling(value_e: Float[np.ndarray, " e"], indptr: Int[np.ndarray, " n1"]) -> Int64[np.ndarray, " e"]:
    """Order of the values within each row, largest first, equal ones as they stand.

    Values rounded to 32 bits are sorted together with their places, as one integer each, which is several times as fast as a
    stable sort; rows in which the rounding changed the order are then sorted exactly.
    """
    high_e = ~value_e.astype(np.float32).view(np.uint32)  # of positive numbers the bits rise with the value
    key_e = (high_e.astype(np.uint64) << np.uint64(32)) | np.arange(len(value_e), dtype=np.uint64)
    for start, stop in pairwise(indptr.tolist()):
        key_e[start:stop].sort()
    order_e = (key_e & np.uint64(0xFFFFFFFF)).astype(np.int64)
    rises = np.flatnonzero(np.diff(value_e[order_e]) > 0)  # between two rows it may
    inside = rises[~np.isin(rises + 1, indptr)]
    for row in np.unique(np.searchsorted(indptr, inside, side="right") - 1):
        start, stop = indptr[row], indptr[row + 1]
        order_e[start:stop] = start + np.argsort(-value_e[start:stop], kind="stable")
    return order_e


def _cut(
    ranked_e: Int[np.ndarray, " e"], count_n: Int[np.ndarray, " n"], vocabulary: Vocabulary, spare: int
) -> Tokens:
    """Cut the ranked genes of each cell to the length of the vocabulary, between its special tokens."""
    edge = int(vocabulary.has_cls)
    room = vocabulary.max_length - 2 * edge
    rank_e = np.arange(len(ranked_e)) - np.repeat(starts(count_n), count_n)
    row_n, spare_n = np.minimum(count_n, room), np.clip(count_n - room, 0, spare)
    length_n = (row_n + 2 * edge).astype(np.int32)
    start_n = starts(length_n + spare_n)
    flat_e = np.zeros(int((length_n + spare_n).sum()), dtype=np.int32)
    kept_e = rank_e < room + spare
    beyond_e = np.where(rank_e < room, edge, 2 * edge)
    flat_e[(np.repeat(start_n, count_n) + rank_e + beyond_e)[kept_e]] = ranked_e[kept_e]
    if edge:
        flat_e[start_n] = vocabulary.specials["<cls>"]
        flat_e[start_n + length_n - 1] = vocabulary.specials["<eos>"]
    return Tokens(flat_e, start_n, length_n, vocabulary.has_cls, spare_n.astype(np.int32) if spare else None)
