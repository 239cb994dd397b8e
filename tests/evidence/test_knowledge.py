"""Kernels of collections."""

import numpy as np
import pytest

from perturbloop.data.genes import NO_NAMES, GeneNames
from perturbloop.data.knowledge import shipped
from perturbloop.data.knowledge.adding import add
from perturbloop.evidence.knowledge import LEAST_GENES, gene_sets_of, knowledge_kernels, set_degree


def ids(count):
    return np.array([f"ENSG{number:011d}" for number in range(count)], dtype=object)


@pytest.fixture
def added_sets(tmp_path, monkeypatch):
    """30 genes; set s holds genes s, s + 1, …, s + 3."""
    monkeypatch.setenv("PERTURBLOOP_HOME", str(tmp_path))
    rows = ["\t".join([f"set {start}", "", *ids(30)[start : start + 4]]) for start in range(27)]
    (tmp_path / "own.gmt").write_text(
        "\n".join([*rows, "pair\t\t" + "\t".join(ids(30)[[0, 29]]), "all\t\t" + "\t".join(ids(30))])
    )
    return add("own", tmp_path / "own.gmt")


def test_sets_speak_by_the_cosine_of_weighted_membership(added_sets):
    (kernel,) = knowledge_kernels([added_sets], ids(40), names=NO_NAMES)
    assert kernel.name == "own"
    member = np.zeros((30, 28))
    for start in range(27):
        member[start : start + 4, start] = np.log(30 / 4)
    member[:, 27] = np.log(30 / 30)  # a set of all genes says nothing; one of two is not read
    unit = member / np.linalg.norm(member, axis=1, keepdims=True)
    dense = kernel.aligned(ids(40)).columns(np.arange(30))
    np.testing.assert_allclose(dense[:30], unit @ unit.T, atol=1e-6)
    assert not dense[30:].any()


def test_a_collection_that_hardly_knows_the_genes_says_nothing(added_sets):
    assert knowledge_kernels([added_sets], ids(LEAST_GENES - 1), names=NO_NAMES) == []


def test_the_degree_of_a_gene_counts_its_sets(added_sets):
    degree = set_degree([gene_sets_of(added_sets, NO_NAMES)], ids(31))
    assert degree[[0, 5, 30]].tolist() == [3, 5, 0]  # set 0, the pair and all; four sets and all; none


def test_edges_vectors_and_tables_speak(tmp_path, monkeypatch):
    monkeypatch.setenv("PERTURBLOOP_HOME", str(tmp_path))
    (tmp_path / "ring.csv").write_text(
        "gene_a,gene_b\n" + "".join(f"{ids(30)[i]},{ids(30)[(i + 1) % 30]}\n" for i in range(30))
    )
    rows = "".join(f"{ids(30)[i]},{np.cos(i)},{1000 * np.sin(i)}\n" for i in range(30))
    (tmp_path / "vectors.csv").write_text("gene,x,y\n" + rows)
    ring = add("ring", tmp_path / "ring.csv")
    vectors = add("vectors", tmp_path / "vectors.csv", kind="vectors")
    table = add("table", tmp_path / "vectors.csv", kind="table")
    kernels = knowledge_kernels([ring, vectors, table], ids(30), names=NO_NAMES)
    edges, raw, scaled = (kernel.aligned(ids(30)).columns(np.arange(30)) for kernel in kernels)
    np.testing.assert_allclose(
        [edges[0, 0], edges[0, 1], edges[0, 2], edges[0, 3]], [1, 2 / 3, 1 / 3, 0], atol=1e-6
    )
    assert raw[1, 2] > 0.9  # the second number drowns the first
    assert scaled[0, 3] < -0.5  # opposite on the circle


def test_what_is_shipped_knows_a_pathway():
    names = GeneNames.of(
        {name: f"ENSG{place:011d}" for place, name in enumerate(one for one in shipped()[0].content.labels)}
    )
    reactome = knowledge_kernels(shipped()[:1], names.gene_ids, names=names)[0]
    place = {names.name_of(gene): at for at, gene in enumerate(reactome.gene_ids)}
    near = reactome.columns(np.array([place["ZAP70"]])).ravel()
    assert near[place["LCK"]] > 0.3 > 0.05 > near[place["COL1A1"]]
