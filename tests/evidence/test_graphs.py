import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from perturbloop.data.cells import Cells
from perturbloop.errors import GeneIdError, InputError
from perturbloop.evidence.graphs import coexpression, from_vectors


def names(n):
    return np.array([f"ENSG{place:011d}" for place in range(n)], dtype=object)


def modules(rng, n_cells=400, n_modules=4, size=5):
    """Cells in which the genes of a module rise and fall together."""
    activity = np.repeat(rng.normal(size=(n_cells, n_modules)), size, axis=1)
    counts = sparse.csr_matrix(rng.poisson(np.exp(1 + activity)).astype(np.float32))
    return Cells(
        counts,
        names(n_modules * size),
        names(n_modules * size),
        pd.DataFrame(index=range(n_cells)),
        "toy",
        "",
    )


def test_neighbors_and_weights_equal_scikit_learns(rng):
    vector = rng.normal(size=(50, 6)) + 1
    graph = from_vectors(names(50), vector, k=7, name="test")
    distance, near = NearestNeighbors(n_neighbors=7, metric="cosine").fit(vector).kneighbors()
    cosine = np.maximum(1 - distance, 0)
    expected = np.zeros((50, 50))
    np.put_along_axis(expected, near, cosine / cosine.sum(axis=1, keepdims=True), axis=1)
    np.testing.assert_allclose(graph.weights_gg.toarray(), expected, atol=1e-12)


def test_correlation_without_groups_equals_numpys(rng):
    cells = modules(rng)
    graph = coexpression(cells, k=19)
    correlation = np.maximum(np.corrcoef(cells.log_normalized().toarray().T) - np.eye(20), 0)
    np.testing.assert_allclose(
        graph.weights_gg.toarray(), correlation / correlation.sum(axis=1, keepdims=True), atol=1e-5
    )


def test_genes_of_a_module_are_neighbors(rng):
    graph = coexpression(modules(rng), k=4)
    edges = graph.weights_gg.tocoo()
    inside = edges.row // 5 == edges.col // 5
    assert edges.data[inside].sum() > 0.9 * edges.data.sum()


def test_a_difference_between_groups_makes_no_edge(rng):
    group = np.arange(400) % 2
    rate = np.exp(1 + 2.0 * group[:, None] * (np.arange(12) < 6))
    cells = Cells(
        sparse.csr_matrix(rng.poisson(rate).astype(np.float32)),
        names(12),
        names(12),
        pd.DataFrame(index=range(400)),
        "",
        "",
    )

    def within(graph):
        return graph.weights_gg[:6, :6].sum() / graph.weights_gg[:6].sum()

    assert within(coexpression(cells, k=5)) > 0.95
    assert within(coexpression(cells, group, k=5)) < 0.8


def test_rows_sum_to_one_or_nothing_and_the_order_of_genes_does_not_matter(rng):
    vector = rng.normal(size=(30, 3))
    vector[4] = 0
    graph = from_vectors(names(30), vector, k=5, name="test")
    total = np.asarray(graph.weights_gg.sum(axis=1)).ravel()
    assert total[4] == 0
    np.testing.assert_allclose(np.delete(total, 4), 1)
    assert graph.weights_gg.diagonal().sum() == 0
    order = rng.permutation(30)
    shuffled = from_vectors(names(30)[order], vector[order], k=5, name="test")
    np.testing.assert_allclose(
        shuffled.weights_gg.toarray(), graph.weights_gg.toarray()[np.ix_(order, order)]
    )


def test_chunks_of_genes_join_without_a_seam(rng, monkeypatch):
    vector = rng.normal(size=(30, 4))
    whole = from_vectors(names(30), vector, k=5, name="test").weights_gg.toarray()
    monkeypatch.setattr("perturbloop.evidence.graphs._CHUNK", 7)
    np.testing.assert_allclose(from_vectors(names(30), vector, k=5, name="test").weights_gg.toarray(), whole)


def test_rare_genes_are_left_out(rng):
    cells = modules(rng)
    counts = cells.counts_ng.tolil()
    counts[:, 3] = 0
    counts[:5, 3] = 1
    graph = coexpression(Cells(counts.tocsr(), cells.gene_ids, cells.gene_names, cells.obs, "", ""), k=4)
    assert graph.places(cells.gene_ids[2:5]).tolist() == [2, -1, 3]


def test_neighbors_of_an_unknown_gene_are_refused_with_the_closest(rng):
    graph = from_vectors(names(5), rng.normal(size=(5, 3)), k=2, name="test")
    assert graph.neighbors(names(5)[0])["weight"].is_monotonic_decreasing
    with pytest.raises(GeneIdError, match=r"The graph 'test' holds 5 genes; 'ENSG1' is not among them"):
        graph.neighbors("ENSG1")


def test_doubled_genes_broken_vectors_and_empty_graphs_are_refused(rng):
    vector = rng.normal(size=(3, 2))
    with pytest.raises(GeneIdError, match=r"these have several: 'a'\. Keep one of each"):
        from_vectors(np.array(["a", "b", "a"], dtype=object), vector, k=1, name="test")
    with pytest.raises(InputError, match=r"must be finite numbers; those of 'ENSG00000000001' are not"):
        from_vectors(names(3), np.where([[0], [1], [0]], np.nan, vector), k=1, name="test")
    with pytest.raises(InputError, match=r"at least 2 genes and 1 neighbor; it got 3 and 0"):
        from_vectors(names(3), vector, k=0, name="test")
    with pytest.raises(
        InputError, match=r"at least 2 genes expressed in 900 cells; toy has 0 among 20 genes"
    ):
        coexpression(modules(rng), min_cells=900)
