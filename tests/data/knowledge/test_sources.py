"""Published files as a collection holds them."""

import numpy as np
import pytest

from perturbloop.data.knowledge.content import pack, unpack
from perturbloop.data.knowledge.sources import read_source
from perturbloop.errors import InputError


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


def edges_of(content):
    found = content.value_gc.tocoo()
    return {
        (content.labels[one], content.labels[other]): round(float(weight), 3)
        for one, other, weight in zip(found.row, found.col, found.data, strict=True)
    }


def test_edges_of_symbols(tmp_path):
    path = written(tmp_path, "net.csv", "gene_a,gene_b\nJAK2,STAT1\nSTAT1,JAK2\nCD3E,CD3E\nZAP70,LCP2\n")
    kind, content = read_source(path)
    assert kind == "edges"
    assert edges_of(content) == {("JAK2", "STAT1"): 1, ("LCP2", "ZAP70"): 1}


def test_edges_of_numbered_proteins_get_genes_by_two_files_of_aliases(tmp_path):
    path = written(tmp_path, "string.edgelist", "0 1\n1 2\n")
    nodes = written(tmp_path, "nodes.txt", "index\tSTRING_id\n0\t9606.P0\n1\t9606.P1\n2\t9606.P2\n")
    genes = written(
        tmp_path,
        "aliases.txt",
        "#string_protein_id\talias\tsource\n9606.P0\tp43\tUniProt\n9606.P0\tSTAT1\tHGNC\n9606.P1\tENSG00000096968\tEnsembl\n",
    )
    kind, content = read_source(path, aliases=[nodes, genes])
    assert kind == "edges"
    assert edges_of(content) == {("ENSG00000096968", "STAT1"): 1}  # the third protein is no gene


def test_weights_of_edges_are_told_by_the_largest(tmp_path):
    path = written(tmp_path, "net.txt", "protein1 protein2 combined_score\nA B 500\nB A 300\nA C 1000\n")
    assert edges_of(read_source(path)[1]) == {("A", "B"): 0.5, ("A", "C"): 1}


def test_embeddings_tables_and_references(tmp_path):
    path = written(tmp_path, "emb.csv", "gene,x,y,word\nSTAT1,1,2,a\nJAK2,3,4,b\nSTAT1,3,4,c\n")
    kind, content = read_source(path)
    assert kind == "vectors"
    assert list(content.columns) == ["x", "y"]
    place = list(content.labels).index("STAT1")
    np.testing.assert_array_equal(content.value_gc[place], [2, 3])
    np.savez(tmp_path / "emb.npz", genes=np.array(["A", "B"]), vectors=np.eye(2))
    np.testing.assert_array_equal(read_source(tmp_path / "emb.npz")[1].value_gc, np.eye(2))
    assert read_source(path, kind="reference")[0] == "reference"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty.csv", ""),
        ("words.csv", "gene,a,b,c\nSTAT1,x,y,z\n"),
        ("bad.npz", "no archive"),
        ("none.gmt", "x"),
    ],
)
def test_files_that_are_none_of_these_are_refused(tmp_path, name, text):
    with pytest.raises(InputError, match=name):
        read_source(written(tmp_path, name, text))


def test_damaged_files_are_refused_or_read_but_never_break(tmp_path, damaged):
    text = "gene_a,gene_b,weight\nJAK2,STAT1,3\nZAP70,LCP2,2\n"
    for number, raw in enumerate(damaged(text.encode(), 60)):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(raw)
        try:
            read_source(path)
        except InputError:
            continue


def test_what_is_packed_comes_back_in_the_same_bytes(tmp_path, rng):
    path = written(
        tmp_path,
        "net.csv",
        "gene_a,gene_b\n" + "".join(f"g{a},g{b}\n" for a, b in rng.integers(400, size=(900, 2))),
    )
    _, content = read_source(path)
    for place in ("one", "two"):
        pack(tmp_path / place, content)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    back = unpack(tmp_path / "one")
    assert list(back.labels) == list(content.labels)
    assert (back.value_gc != content.value_gc).nnz == 0
