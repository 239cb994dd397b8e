"""Gene vectors from co-expression: where a small model starts, instead of at random."""

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds


def coexpression_vectors(
    expression_ng: sparse.csr_matrix,
    file_n: Int[np.ndarray, " n"],
    *,
    dim: int,
    seed: int,
) -> Float[np.ndarray, "g d"]:
    r"""Vectors whose inner products follow how genes vary together within files.

    Two genes that are up and down in the same cells point the same way, two that exclude each other point apart.

    Parameters
    ----------
    expression_ng
        Log-normalized counts, cells × genes.
    file_n
        File of each cell.
    dim
        Length of a vector.
    seed
        Seed of the solver's starting vector.

    Returns
    -------
    One row per gene, genes × dimensions; zero for a gene that no cell expresses or that never varies.

    Notes
    -----
    Truncated SVD :math:`U S V^T` of :math:`z_{ng} = (x_{ng} - \bar x_{fg}) / (s_{fg} + s_0)`, mean and standard
    deviation taken within the file f that n comes from, :math:`s_0` their median, so that a gene seen in three
    cells does not outshout the others; the rows of :math:`V S^{1/2}` are returned. Centering within files keeps
    the difference between panels and laboratories out of the vectors; differences in composition *within* a file
    stay, so cell types are what the first dimensions tell apart. A gene that a file does not measure counts as
    average there. The solver stops at 1 % of each singular value, as the last dimensions are noise; the result
    still follows from the seed. Signs of the dimensions are fixed: the largest entry is positive.

    Examples
    --------
    >>> x = sparse.csr_matrix(np.array([[2.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 2.0]] * 5))
    >>> vectors = coexpression_vectors(x, np.zeros(10, dtype=int), dim=1, seed=0)
    >>> np.sign(vectors[:, 0] * vectors[0, 0]).tolist()
    [1.0, 1.0, -1.0, -1.0]
    """
    n_cells, n_genes = expression_ng.shape
    rank = min(dim, n_cells - 1, n_genes - 1)
    starting = np.random.default_rng(seed).standard_normal(min(n_cells, n_genes)).astype(np.float32)
    operator, varies = _standardized(sparse.csr_matrix(expression_ng, dtype=np.float32), file_n)
    if rank < 1 or not varies:
        return np.zeros((n_genes, dim), dtype=np.float32)
    _, scale_d, vectors_dg = svds(operator, k=rank, v0=starting, tol=1e-2)
    order = np.argsort(-scale_d)
    vectors_gd = (vectors_dg[order] * np.sqrt(np.maximum(scale_d[order], 0))[:, None]).T
    largest = np.abs(vectors_gd).argmax(axis=0)
    vectors_gd = vectors_gd * np.where(vectors_gd[largest, np.arange(rank)] < 0, -1.0, 1.0)
    return np.pad(vectors_gd, ((0, 0), (0, dim - rank))).astype(np.float32)


def _standardized(
    expression_ng: sparse.csr_matrix, file_n: Int[np.ndarray, " n"]
) -> tuple[LinearOperator, bool]:
    """Standardize within files without ever writing the dense matrix; say whether anything varies."""
    files, place_n = np.unique(file_n, return_inverse=True)
    member_nf = sparse.csr_matrix((np.ones(len(file_n), np.float32), (np.arange(len(file_n)), place_n)))
    size_f = np.bincount(place_n)[:, None]
    mean_fg = (member_nf.T @ expression_ng).toarray() / size_f
    square_fg = (member_nf.T @ expression_ng.multiply(expression_ng)).toarray() / size_f
    sd_fg = np.sqrt(np.maximum(square_fg - mean_fg**2, 0))
    floor = float(np.median(sd_fg[sd_fg > 0])) if (sd_fg > 0).any() else 1.0
    weight_fg = np.where(sd_fg > 0, 1 / (sd_fg + floor), 0).astype(np.float32)
    parts = [expression_ng[place_n == file].multiply(weight_fg[file]) for file in range(len(files))]
    back = np.argsort(np.concatenate([np.flatnonzero(place_n == file) for file in range(len(files))]))
    scaled_ng = sparse.csr_matrix(sparse.vstack(parts))[back]
    shift_fg = (mean_fg * weight_fg).astype(np.float32)
    turned_gn = sparse.csr_matrix(scaled_ng.T)

    def forward(x: np.ndarray) -> np.ndarray:
        return scaled_ng @ x - member_nf @ (shift_fg @ x)

    def backward(y: np.ndarray) -> np.ndarray:
        return turned_gn @ y - shift_fg.T @ (member_nf.T @ y)

    operator = LinearOperator(
        shape=expression_ng.shape,
        dtype=np.float32,
        matvec=forward,
        rmatvec=backward,
        matmat=forward,
        rmatmat=backward,
    )
    return operator, bool((sd_fg > 0).any())
