from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.gene_sets import GeneSets
from perturbloop.errors import InputError
from perturbloop.evaluate.baselines import baselines
from perturbloop.evaluate.pathways import StaticPathway, static_pathway
from perturbloop.schema import PREDICTIONS


@pytest.fixture
def four_cells():
    counts = np.array([[9, 1, 0], [7, 0, 3], [1, 9, 0], [0, 6, 4]], dtype=np.float32)
    ids = np.array(["ENSG01", "ENSG02", "ENSG03"], dtype=object)
    obs = pd.DataFrame(index=list("abcd"))
    return Cells(sparse.csr_matrix(counts), ids, ids, obs, "four cells", "")


@pytest.fixture
def scores(four_cells, rng):
    return baselines(four_cells, np.array([False, False, True, True]), rng=rng)


def test_every_baseline_scores_every_gene_in_both_kinds(scores):
    assert list(scores.columns) == PREDICTIONS.names
    assert (scores["fold"] == -1).all()
    assert scores.groupby(["method", "kind"]).size().eq(3).all()
    assert set(scores["method"]) == {"de", "de-absolute", "expression", "detection", "chance"}


def test_expression_and_detection_are_read_in_the_start_cells(scores):
    found = scores[scores["kind"] == "delete"].pivot_table(index="gene_id", columns="method", values="score")
    assert found["detection"].tolist() == [1, 0.5, 0.5]
    np.testing.assert_allclose(
        found["expression"],
        [np.log1p([9000, 7000]).mean(), np.log1p(1000) / 2, np.log1p(3000) / 2],
        rtol=1e-6,
    )


def test_signed_de_takes_both_sides_and_chance_differs_between_kinds(scores):
    found = scores.pivot_table(index="gene_id", columns=["method", "kind"], values="score")
    np.testing.assert_array_equal(found["de", "delete"], -found["de", "overexpress"])
    assert found["de", "delete"]["ENSG01"] > 0
    assert (found["chance", "delete"] != found["chance", "overexpress"]).all()


def test_absolute_de_is_the_same_for_both_kinds_and_has_no_sign(scores):
    found = scores.pivot_table(index="gene_id", columns=["method", "kind"], values="score")
    np.testing.assert_array_equal(found["de-absolute", "delete"], found["de", "delete"].abs())
    np.testing.assert_array_equal(found["de-absolute", "delete"], found["de-absolute", "overexpress"])


def test_degree_counts_the_sets_of_each_gene_and_is_there_only_with_gene_sets(four_cells, rng):
    member_gs = sparse.csr_matrix(np.array([[1, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=np.float32))
    sets = GeneSets(
        "three.gmt",
        np.array(["a", "b", "c"], dtype=object),
        np.array(["ENSG02", "ENSG03", "ENSG99"], dtype=object),
        member_gs,
    )
    pathway = StaticPathway("one", frozenset({"ENSG03"}))
    table = baselines(
        four_cells, np.array([False, False, True, True]), rng=rng, gene_sets=sets, pathway=pathway
    )
    found = table[table["kind"] == "delete"].pivot_table(index="gene_id", columns="method", values="score")
    assert found["degree"].tolist() == [0, 2, 1]
    assert found["pathway"].idxmax() == "ENSG03"


def test_a_named_gene_set_serves_as_the_pathway(four_cells, rng):
    member_gs = sparse.csr_matrix(np.array([[1, 0], [0, 1]], dtype=np.float32))
    sets = GeneSets(
        "two.gmt",
        np.array(["TCR", "IFN"], dtype=object),
        np.array(["ENSG02", "ENSG03"], dtype=object),
        member_gs,
    )
    symbols = replace(four_cells, gene_names=np.array(["ACTB", "CD3E", "STAT1"], dtype=object))
    pathway = static_pathway("TCR", (), gene_sets=sets)
    assert pathway.gene_names == {"ENSG02"}
    table = baselines(symbols, np.array([False, False, True, True]), rng=rng, pathway=pathway)
    found = table[table["method"].eq("pathway") & table["kind"].eq("delete")].set_index("gene_id")["score"]
    assert found.idxmax() == "ENSG02"
    with pytest.raises(InputError, match=r"'TCRR'\. The closest is 'TCR'"):
        static_pathway("TCRR", (), gene_sets=sets)


def test_a_pathway_that_no_start_cell_expresses_is_no_baseline(four_cells, rng):
    pathway = StaticPathway("other", frozenset({"ENSG77"}))
    table = baselines(four_cells, np.array([False, False, True, True]), rng=rng, pathway=pathway)
    assert "pathway" not in set(table["method"])
