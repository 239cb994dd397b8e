"""Gene vectors from co-expression."""

import numpy as np
import pytest
from scipy import sparse

from perturbloop.stats.coexpression import coexpression_vectors


def two_modules(rng, n_cells=200):
    """Genes 0–9 follow one hidden factor, 10–19 another, 20–29 none."""
    factor = rng.standard_normal((n_cells, 2))
    x = rng.standard_normal((n_cells, 30)) * 0.5 + 3
    x[:, :10] += factor[:, :1]
    x[:, 10:20] += factor[:, 1:]
    return x


def cosine(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def test_equals_a_dense_svd_of_the_standardized_matrix(rng):
    x, file = two_modules(rng), np.arange(200) % 3
    z = np.empty_like(x)
    spread = np.array([x[file == one].std(axis=0) for one in range(3)])
    for one in range(3):
        z[file == one] = (x[file == one] - x[file == one].mean(axis=0)) / (spread[one] + np.median(spread))
    _, scale, right = np.linalg.svd(z, full_matrices=False)
    wanted = right[:2].T @ np.diag(scale[:2]) @ right[:2]  # free of the signs of the dimensions
    found = coexpression_vectors(sparse.csr_matrix(x), file, dim=2, seed=0)
    np.testing.assert_allclose(found @ found.T, wanted, atol=0.05)


def test_genes_of_a_module_point_the_same_way(rng):
    near = cosine(
        coexpression_vectors(sparse.csr_matrix(two_modules(rng)), np.zeros(200, int), dim=2, seed=0)
    )
    assert near[:10, :10].min() > 0.9
    assert abs(near[:10, 10:20]).max() < 0.5


def test_a_difference_between_files_is_no_co_expression(rng):
    x, file = two_modules(rng), np.repeat([0, 1], 100)
    shifted = x.copy()
    shifted[:100, 20:] += 5
    first, second = (coexpression_vectors(sparse.csr_matrix(y), file, dim=2, seed=0) for y in (x, shifted))
    np.testing.assert_allclose(first, second, atol=0.05)


def test_genes_that_never_vary_and_dimensions_beyond_the_rank_are_zero(rng):
    x = np.pad(two_modules(rng), ((0, 0), (0, 1)))
    vectors = coexpression_vectors(sparse.csr_matrix(x), np.zeros(200, int), dim=40, seed=0)
    assert vectors.shape == (31, 40)
    assert vectors[30] == pytest.approx(0, abs=1e-6)
    assert not vectors[:, 30:].any()
    assert not coexpression_vectors(sparse.csr_matrix(np.ones((5, 4))), np.zeros(5, int), dim=2, seed=0).any()


def test_the_order_of_cells_does_not_matter(rng):
    x, order = two_modules(rng), rng.permutation(200)
    first = coexpression_vectors(sparse.csr_matrix(x), np.zeros(200, int), dim=2, seed=0)
    second = coexpression_vectors(sparse.csr_matrix(x[order]), np.zeros(200, int), dim=2, seed=0)
    np.testing.assert_allclose(first, second, atol=0.05)
