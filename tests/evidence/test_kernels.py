"""Kernels between genes: symmetric, positive, blind to what they do not know."""

import numpy as np
import pytest
from scipy import sparse

from perturbloop.errors import GeneIdError, InputError
from perturbloop.evidence.graphs import from_vectors
from perturbloop.evidence.kernels import (
    aligned,
    coexpression_kernel,
    graph_kernel,
    total_columns,
    vector_kernel,
)

GENES = np.array([f"ENSG{number:011d}" for number in range(12)], dtype=object)


def kernels(rng):
    vector_gd = rng.normal(size=(12, 4))
    log_ng = sparse.csr_matrix(np.abs(rng.normal(size=(60, 12))) * (rng.random((60, 12)) < 0.6))
    sets_gd = sparse.csr_matrix((rng.random((12, 6)) < 0.4).astype(float))
    return [
        vector_kernel("dense", GENES, vector_gd),
        vector_kernel("sets", GENES, sets_gd, power=1),
        graph_kernel(from_vectors(GENES, vector_gd, k=3, name="graph")),
        coexpression_kernel(log_ng, GENES, np.repeat(["a", "b"], 30), dim=4),
    ]


@pytest.mark.parametrize("which", range(4))
def test_a_kernel_is_symmetric_positive_and_its_variance_is_its_diagonal(rng, which):
    kernel = kernels(rng)[which]
    full_gg = kernel.columns(np.arange(12))
    np.testing.assert_allclose(full_gg, full_gg.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(full_gg), kernel.variance(), atol=1e-12)
    some_p = np.array([7, 2, 5])
    np.testing.assert_allclose(kernel.among(some_p), full_gg[np.ix_(some_p, some_p)], atol=1e-12)
    assert np.linalg.eigvalsh(full_gg).min() > -1e-9


@pytest.mark.parametrize("which", range(4))
def test_the_order_of_genes_does_not_matter_and_unknown_genes_are_like_none(rng, which):
    kernel = kernels(rng)[which]
    order = rng.permutation(12)
    (turned,) = aligned([kernel], np.append(GENES[order], "ENSG99999999999"))
    found = turned.columns(np.arange(13))
    np.testing.assert_allclose(
        found[:12, :12], kernel.columns(np.arange(12))[np.ix_(order, order)], atol=1e-12
    )
    assert not found[12].any()
    assert turned.variance()[12] == 0


@pytest.mark.parametrize("which", range(4))
def test_draws_have_the_covariance_of_the_kernel(rng, which):
    kernel = kernels(rng)[which]
    drawn_ng = kernel.draw(rng, 20_000)
    np.testing.assert_allclose(drawn_ng.T @ drawn_ng / 20_000, kernel.columns(np.arange(12)), atol=0.06)


def test_several_kernels_are_summed_as_one_by_one(rng):
    made, place_p, weight_p = kernels(rng), np.array([3, 8]), np.array([0.5, -2.0])
    amplitude_k = np.array([0.5, 1.0, 2.0, 0.1])
    one_by_one = [a**2 * kernel.columns(place_p) for a, kernel in zip(amplitude_k, made, strict=True)]
    np.testing.assert_allclose(total_columns(made, amplitude_k, place_p), sum(one_by_one), atol=1e-12)
    for kernel in made:
        np.testing.assert_allclose(
            kernel.pull(place_p, weight_p), kernel.columns(place_p) @ weight_p, atol=1e-12
        )


def test_genes_of_one_program_are_alike_whatever_their_depth(rng):
    program_n = rng.normal(size=400)
    log_ng = rng.normal(scale=0.5, size=(400, 12))
    log_ng[:, :4] += program_n[:, None] * np.array([1.0, 0.6, 1.5, -1.0])
    near_gg = coexpression_kernel(sparse.csr_matrix(log_ng), GENES, np.zeros(400), dim=2).columns(
        np.arange(12)
    )
    assert near_gg[0, 1:3].min() > 0.7
    assert near_gg[0, 3] < -0.7


def test_a_difference_between_groups_makes_no_genes_alike(rng):
    log_ng = rng.normal(size=(400, 12))
    log_ng[:200] += 5 * rng.choice([-1.0, 1.0], size=12)
    group_n = np.repeat(["rest", "stimulated"], 200)
    near_gg = coexpression_kernel(sparse.csr_matrix(log_ng), GENES, group_n, dim=11).columns(np.arange(12))
    assert np.abs(near_gg - np.eye(12)).max() < 0.5


def test_bad_vectors_are_refused_by_name():
    with pytest.raises(
        GeneIdError, match="The kernel 'sets' needs one vector for each gene; these have several: 'ENSG1'"
    ):
        vector_kernel("sets", np.array(["ENSG1", "ENSG1"], dtype=object), np.eye(2))
    with pytest.raises(InputError, match="needs one row for each of its 2 genes; 3 came"):
        vector_kernel("sets", np.array(["ENSG1", "ENSG2"], dtype=object), np.eye(3))
    for made in (np.asarray, sparse.csr_matrix):
        with pytest.raises(InputError, match="must be finite numbers; those of 'ENSG2' are not"):
            vector_kernel(
                "sets", np.array(["ENSG1", "ENSG2"], dtype=object), made([[1.0, 0.0], [0.0, np.inf]])
            )
