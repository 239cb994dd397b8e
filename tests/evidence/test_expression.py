"""Expression by state and type, and sets of genes: against plain loops."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data import toy
from perturbloop.data.cells import read_cells
from perturbloop.data.gene_sets import GeneSets
from perturbloop.data.states import state_cells
from perturbloop.evidence.expression import expression_of, sets_of
from perturbloop.schema import CellsConfig


@pytest.fixture(scope="module")
def config():
    return CellsConfig(
        path="cells.h5ad", state_column="state", start="stimulated", goal="resting", donor_column="donor_id"
    )


@pytest.fixture(scope="module")
def states(world, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("expression")
    toy.write(world, folder, k=4, n_cells=8)
    cells, _ = read_cells(folder / "cells.h5ad")
    return state_cells(cells, config, seed=0)


def typed(states, column, labels):
    cells = states.cells
    return replace(states, cells=replace(cells, obs=cells.obs.assign(**{column: labels})))


def test_means_and_shares_are_those_of_each_state(states, config):
    table = expression_of(states, config)
    counts = states.cells.counts_ng.toarray()
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    assert set(table["cell_type"]) == {""}
    for state, own in (("resting", states.is_goal_n), ("stimulated", ~states.is_goal_n)):
        rows = table[table["state"].eq(state)].set_index("gene_id").loc[states.cells.gene_ids]
        np.testing.assert_allclose(rows["mean"], logged[own].mean(axis=0), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(rows["detection"], (counts[own] > 0).mean(axis=0))
        assert set(rows["n_cells"]) == {int(own.sum())}


def test_a_column_of_types_divides_each_state(states, config):
    labels = np.where(np.arange(states.cells.n_cells) % 3 == 0, "monocyte", "T cell")
    table = expression_of(typed(states, "Cell_Type", labels), config)
    counts = states.cells.counts_ng.toarray()
    own = states.is_goal_n & (labels == "monocyte")
    rows = table[table["state"].eq("resting") & table["cell_type"].eq("monocyte")].set_index("gene_id")
    np.testing.assert_allclose(rows.loc[states.cells.gene_ids, "detection"], (counts[own] > 0).mean(axis=0))
    assert set(table["cell_type"]) == {"", "monocyte", "T cell"}


def test_every_gene_is_there_once_a_group(states, config):
    table = expression_of(states, config)
    assert not table.duplicated(["gene_id", "state", "cell_type"]).any()
    assert len(table) == 2 * len(states.cells.gene_ids)


def test_sets_of_a_gene_are_those_that_hold_it_small_ones_first():
    member = sparse.csr_matrix(np.array([[1, 1], [1, 0], [1, 0]], dtype=np.float32))
    sets = GeneSets(
        "mine", np.array(["large", "small"], dtype=object), np.array(["A", "B", "C"], dtype=object), member
    )
    table = sets_of(sets, np.array(["A", "B"], dtype=object))
    assert table.to_dict("records") == [
        {"gene_id": "A", "gene_set": "small", "n_genes": 1},
        {"gene_id": "A", "gene_set": "large", "n_genes": 3},
        {"gene_id": "B", "gene_set": "large", "n_genes": 3},
    ]


def test_without_sets_there_are_none():
    assert isinstance(sets_of(None, np.array(["A"], dtype=object)), pd.DataFrame)
    assert sets_of(None, np.array(["A"], dtype=object)).empty
