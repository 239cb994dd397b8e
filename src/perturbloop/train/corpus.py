"""The cells a small model is pretrained on: encoded, freed of copies, a part held out by cell name."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.encoding import tokenize
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import GeneIdError, InputError, some

LEAST_GENES = 5
"""A cell with fewer known genes says too little to learn from and is left out."""
_LEAST_SHARED = 5


@dataclass(frozen=True)
class Corpus:
    """Encoded cells of several files, and which of them are held out."""

    rows: tuple[np.ndarray, ...]
    """Token ids of each cell, most telling gene first, without padding."""
    expression_ng: sparse.csr_matrix
    """log(1 + counts per 10,000) of the same cells; columns are token ids."""
    file_n: Int[np.ndarray, " n"]
    """Place of each cell's file in `files`."""
    held_n: Bool[np.ndarray, " n"]
    """Whether a cell is held out: never trained on, and not in the co-expression."""
    files: tuple[str, ...]
    """Names of the files."""
    digests: tuple[str, ...]
    """Hashes of their content."""
    n_copies: tuple[int, ...]
    """Cells of each file left out because another file holds the same cell with more genes."""
    n_short: tuple[int, ...]
    """Cells of each file left out because they have fewer than `LEAST_GENES` known genes."""
    vocabulary: Vocabulary
    """Tokens, medians and length."""

    @property
    def n_cells(self) -> int:
        """How many cells, held-out ones included."""
        return len(self.rows)

    @cached_property
    def is_gene_v(self) -> Bool[np.ndarray, " v"]:
        """Which token ids are genes: special tokens are never masked and never predicted."""
        is_gene_v = np.zeros(self.vocabulary.size, dtype=bool)
        is_gene_v[self.vocabulary.tokens] = True
        return is_gene_v

    def token_counts(self, *, file: int | None = None) -> Int[np.ndarray, " v"]:
        """Count how often each token occurs in the training cells, of one file or of all."""
        chosen_n = ~self.held_n if file is None else ~self.held_n & (self.file_n == file)
        rows = [self.rows[place] for place in np.flatnonzero(chosen_n)]
        counts_v = np.bincount(np.concatenate([*rows, np.zeros(0, np.int64)]), minlength=self.vocabulary.size)
        return np.where(self.is_gene_v, counts_v, 0)

    def log_unigram(self, *, file: int | None = None) -> Float[np.ndarray, " v"]:
        """Log frequency of each gene among the training tokens, one added to every count; −inf for no gene."""
        counts_v = np.where(self.is_gene_v, self.token_counts(file=file) + 1.0, 0.0)
        with np.errstate(divide="ignore"):
            return np.log(counts_v / counts_v.sum())


def build_corpus(
    files: Sequence[Cells], vocabulary: Vocabulary, *, holdout: float = 0.05, seed: int = 0
) -> Corpus:
    """Encode the cells of several files, drop copies, and hold a share of the cells out.

    Parameters
    ----------
    files
        Raw counts; gene panels may differ.
    vocabulary
        Tokens, medians and length of the model to be.
    holdout
        Share of cells held out, drawn by cell name, so that a name lies on one side in all files.
    seed
        Seed of that draw.

    Returns
    -------
    The cells in the order of the files.

    Notes
    -----
    Two cells are copies if they have the same name and the same counts in all shared genes (at least five of
    them above zero); the one with fewer genes is left out. Otherwise the same cell, measured on a smaller panel,
    would be learned twice, and one held out here could be learned there.

    Raises
    ------
    GeneIdError
        If a file shares no gene with the vocabulary or with any other file.
    InputError
        If too few cells are left to train on and to hold out.
    """
    _require_shared_genes(files, vocabulary)
    kept = _without_copies(files)
    rows: list[np.ndarray] = []
    parts, file_n, names, short = [], [], [], []
    for place, (cells, kept_n) in enumerate(zip(files, kept, strict=True)):
        encoded = tokenize(cells, vocabulary)
        long_n = kept_n & (encoded.length_n - 2 * encoded.has_cls >= LEAST_GENES)
        chosen = np.flatnonzero(long_n)
        rows += [encoded.row(cell) for cell in chosen]
        parts.append(_by_token(cells, vocabulary)[chosen])
        file_n += [place] * len(chosen)
        names += cells.obs.index[chosen].astype(str).tolist()
        short.append(int((kept_n & ~long_n).sum()))
    if len(set(names)) < 10:
        msg = (
            f"Pretraining needs at least 10 cells with {LEAST_GENES} genes of the vocabulary; {len(set(names))} are left of "
            f"{some([cells.source for cells in files])}. Give more cells, or the vocabulary that fits them."
        )
        raise InputError(msg)
    return Corpus(
        rows=tuple(rows),
        expression_ng=sparse.csr_matrix(sparse.vstack(parts)),
        file_n=np.array(file_n, dtype=np.int64),
        held_n=_held_out(names, holdout, seed),
        files=tuple(cells.source for cells in files),
        digests=tuple(cells.digest for cells in files),
        n_copies=tuple(int((~kept_n).sum()) for kept_n in kept),
        n_short=tuple(short),
        vocabulary=vocabulary,
    )


def _require_shared_genes(files: Sequence[Cells], vocabulary: Vocabulary) -> None:
    if not files:
        msg = "Pretraining needs at least one file of cells; none came. Name h5ad files with raw counts."
        raise InputError(msg)
    known = [{gene for gene in cells.gene_ids if gene in vocabulary.position} for cells in files]
    for cells, genes in zip(files, known, strict=True):
        if not genes:
            msg = (
                f"{cells.source} must measure genes of the vocabulary ({vocabulary.version}); none of its {cells.n_genes:,} "
                f"genes is in it: {some(cells.gene_ids)}. Leave the file out, or map its genes to human Ensembl ids."
            )
            raise GeneIdError(msg)
    for place, cells in enumerate(files):
        others = set().union(*(genes for other, genes in enumerate(known) if other != place))
        if len(files) > 1 and not known[place] & others:
            msg = (
                f"Files pretrained on together must share genes; {cells.source} shares none of its {len(known[place]):,} "
                "with any other, so nothing would tie its genes to theirs. Leave it out, or pretrain on it alone."
            )
            raise GeneIdError(msg)


def _without_copies(files: Sequence[Cells]) -> list[Bool[np.ndarray, " n"]]:
    """Say which cells of each file to keep."""
    kept = [np.ones(cells.n_cells, dtype=bool) for cells in files]
    expressed = [np.diff(cells.counts_ng.indptr) for cells in files]
    for a, b in combinations(range(len(files)), 2):
        names, in_a, in_b = np.intersect1d(files[a].obs.index, files[b].obs.index, return_indices=True)
        _, genes_a, genes_b = np.intersect1d(files[a].gene_ids, files[b].gene_ids, return_indices=True)
        if not len(names) or not len(genes_a):
            continue
        part_a = sparse.csr_matrix(files[a].counts_ng[in_a][:, genes_a])
        part_b = sparse.csr_matrix(files[b].counts_ng[in_b][:, genes_b])
        differ_n = np.asarray(abs(part_a - part_b).sum(axis=1)).ravel() > 0
        same_n = ~differ_n & (np.asarray((part_a > 0).sum(axis=1)).ravel() >= _LEAST_SHARED)
        poorer_a = expressed[a][in_a] < expressed[b][in_b]
        kept[a][in_a[same_n & poorer_a]] = False
        kept[b][in_b[same_n & ~poorer_a]] = False
    return kept


def _by_token(cells: Cells, vocabulary: Vocabulary) -> sparse.csr_matrix:
    """Bring log-normalized counts to columns of token ids; genes without a token are left out."""
    place_g = np.array([vocabulary.position.get(gene, -1) for gene in cells.gene_ids])
    known = np.flatnonzero(place_g >= 0)
    part = cells.log_normalized()[:, known].tocoo()
    columns = vocabulary.tokens[place_g[known]][part.col]
    return sparse.csr_matrix((part.data, (part.row, columns)), shape=(cells.n_cells, vocabulary.size))


def _held_out(names: Sequence[str], share: float, seed: int) -> Bool[np.ndarray, " n"]:
    """Hold out the names with the smallest hashes, at least one."""
    unique = sorted(set(names), key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    held = set(unique[: max(1, round(share * len(unique)))])
    return np.array([name in held for name in names])
