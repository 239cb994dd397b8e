"""Names of genes: what a label means, and what stays unknown; one space whatever model reads the cells."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from perturbloop.data.gene_mapping import genes_of
from perturbloop.data.genes import NO_NAMES, GeneNames
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import GeneIdError

STAT1, JAK1, OTHER = "ENSG00000115415", "ENSG00000162434", "ENSG00000105397"


@pytest.fixture
def words():
    made = Vocabulary.of_genes([STAT1, JAK1], ["STAT1", "JAK1"], [1.0, 1.0], max_length=8)
    return replace(made, aliases={**made.aliases, "JTK3": JAK1, "ENSG00000999999": STAT1})


@pytest.mark.parametrize(
    ("label", "gene"),
    [
        ("STAT1", STAT1),
        ("stat1", STAT1),
        ("jtk3", JAK1),
        (f"{STAT1}.20", STAT1),
        ("ENSG00000999999", STAT1),  # a retired id goes before the id itself
        ("ENSG00000999999.3", STAT1),
        (OTHER, OTHER),  # an Ensembl id needs no name
        ("NOT_A_GENE", ""),
        ("HLA.A", ""),  # what stands behind a dot is no version of a symbol
        ("", ""),
    ],
)
def test_a_label_means_one_gene_or_none(words, label, gene):
    assert words.names.resolve([label]) == [gene]


def test_a_gene_has_its_symbol_or_else_its_id(words):
    assert [words.names.name_of(gene) for gene in (JAK1, OTHER)] == ["JAK1", OTHER]
    assert words.names.by_id == {STAT1: "STAT1", JAK1: "JAK1"}


def test_names_belong_to_no_token(words):
    """Two models of one gene space, with other tokens, medians and length, name the same genes."""
    other = replace(words, tokens=words.tokens + 7, medians=words.medians * 3, max_length=4)
    labels = ["STAT1", "jtk3", OTHER, "none"]
    assert other.names.resolve(labels) == words.names.resolve(labels)


def test_a_table_of_symbols_makes_names_the_first_symbol_being_the_name():
    names = GeneNames.of({"STAT1": STAT1, "ISGF3": STAT1, "JAK1": JAK1}, source="my table")
    assert names.resolve(["isgf3", "STAT1", "JAK1"]) == [STAT1, STAT1, JAK1]
    assert names.name_of(STAT1) == "STAT1"
    assert len(names) == 2


def test_without_names_only_ensembl_ids_are_understood():
    assert NO_NAMES.resolve([f"{STAT1}.1", "STAT1"]) == [STAT1, ""]
    assert NO_NAMES.knows(OTHER)
    assert not GeneNames.of({"STAT1": STAT1}).knows(OTHER)
    assert NO_NAMES.name_of(STAT1) == STAT1


def test_genes_that_nobody_knows_are_refused_by_who_should_know_them(words):
    var = pd.DataFrame(index=["A1", "A2", "A3"])
    with pytest.raises(GeneIdError, match=r"that the 'geneformer-v1' vocabulary knows; 0 of the 3 labels"):
        genes_of(var, names=words.names, source="cells.h5ad")
    with pytest.raises(GeneIdError, match=r"that Ensembl knows; 0 of the 3 labels in `var_names`"):
        genes_of(var, names=NO_NAMES, source="cells.h5ad")
    with pytest.raises(GeneIdError, match=r"that the table of symbols knows"):
        genes_of(var, names=GeneNames.of({"STAT1": STAT1}), source="cells.h5ad")


def test_each_row_is_named_by_the_column_that_knows_it(words):
    var = pd.DataFrame({"feature_id": ["?", STAT1], "gene_id": [OTHER, "x"]}, index=["JAK1", "STAT1"])
    found = genes_of(var, names=words.names, source="cells.h5ad")
    report = found.report(np.array([4.0, 6.0]), words.names)
    assert report.column == "feature_id, var_names"
    assert found.gene_ids.tolist() == [JAK1, STAT1]
    assert found.gene_names.tolist() == ["JAK1", "STAT1"]
    assert (report.n_in_vocabulary, report.token_coverage) == (2, 1.0)
