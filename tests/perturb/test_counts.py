"""The counts engine: against a slow loop that edits one cell at a time, and what each edit means."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.encoding import tokenize, vocabulary_of
from perturbloop.errors import ModelError
from perturbloop.models.cell_model import CellModel
from perturbloop.models.linear import Linear
from perturbloop.models.readout import Readout
from perturbloop.perturb.counts import CountsEngine, edited_counts
from perturbloop.perturb.engines import engine_of
from perturbloop.perturb.plan import plan
from perturbloop.schema import KINDS, PerturbConfig

GENES = np.array([f"ENSG{number:011d}" for number in range(20)], dtype=object)


@pytest.fixture
def cells():
    counts = np.random.default_rng(3).poisson(1.5, size=(12, 20)) + np.eye(12, 20, dtype=int)
    matrix = sparse.csr_matrix(counts.astype(np.float32))
    return Cells(matrix, GENES, GENES, pd.DataFrame(index=[f"c{n}" for n in range(12)]), "toy", "none")


@pytest.fixture
def readout(rng):
    return Readout(rng.normal(size=20), rng.normal(size=20), -0.7)


def read(counts_g, readout):
    """Cosine and logit of one cell, straight from the definition."""
    x = np.log1p(1e4 * counts_g / counts_g.sum())
    cosine = x @ readout.goal_d / np.linalg.norm(x) / np.linalg.norm(readout.goal_d)
    return cosine, x @ readout.weight_d + readout.bias


@pytest.mark.parametrize("dose", [1.0, 0.4])
@pytest.mark.parametrize("not_expressed", ["skip", "insert"])
def test_the_engine_equals_a_loop_that_edits_one_cell_at_a_time(cells, readout, dose, not_expressed):
    words = vocabulary_of(cells, max_length=32)
    tokens = tokenize(cells, words)
    config = PerturbConfig(kinds=KINDS, dose=dose, not_expressed=not_expressed)
    planned = plan(tokens, words, config)
    found = CountsEngine(Linear(cells.gene_ids, words), readout, cells).shifts(tokens, planned)
    assert not_expressed == "skip" or (found["position"] < 0).any()
    for row in found.itertuples():
        before = cells.counts_ng[row.cell].toarray().ravel().astype(float)
        after, place = before.copy(), list(GENES).index(row.gene_id)
        lowest, highest = before[before > 0].min(), before.max()
        if row.kind == "delete":
            after[place] = 0
        elif row.kind == "overexpress":
            after[place] = highest + 1
        elif row.kind == "activate":
            after[place] += dose * (highest + 1 - before[place])
        else:
            after[place] -= dose * (before[place] - lowest)
        expected = np.subtract(read(after, readout), read(before, readout))
        np.testing.assert_allclose([row.shift_to_goal, row.logit_shift], expected, atol=1e-10)


def test_the_order_of_genes_in_the_file_changes_nothing(cells, readout, rng):
    words = vocabulary_of(cells, max_length=32)
    tokens = tokenize(cells, words)
    planned = plan(tokens, words, PerturbConfig())
    one = CountsEngine(Linear(cells.gene_ids, words), readout, cells).shifts(tokens, planned)
    order = rng.permutation(20)
    moved = Readout(readout.goal_d[order], readout.weight_d[order], readout.bias)
    other = CountsEngine(Linear(GENES[order], words), moved, cells).shifts(tokens, planned)
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-12)


def test_a_gene_the_head_does_not_read_moves_it_through_the_total_alone(cells):
    weight = np.zeros(20)
    weight[0] = 1.0
    words = vocabulary_of(cells, max_length=32)
    tokens = tokenize(cells, words)
    planned = plan(tokens, words, PerturbConfig(kinds=("delete",)), gene_ids=[GENES[5]])
    engine = CountsEngine(Linear(cells.gene_ids, words), Readout(np.ones(20), weight, 0.0), cells)
    for row in engine.shifts(tokens, planned).itertuples():
        counts = cells.counts_ng[row.cell].toarray().ravel()
        assert row.logit_shift >= 0
        assert (row.logit_shift > 0) == (counts[0] > 0)


@pytest.mark.parametrize(
    ("kind", "dose", "expected"),
    [
        ("delete", 1.0, 0.0),
        ("overexpress", 1.0, 10.0),
        ("activate", 1.0, 10.0),
        ("activate", 0.0, 4.0),
        ("inhibit", 1.0, 1.0),
        ("inhibit", 0.5, 2.5),
    ],
)
def test_an_edit_is_a_new_count(kind, dose, expected):
    assert edited_counts(np.array([4.0]), kind, low=1.0, high=9.0, dose=dose) == pytest.approx(expected)


def test_a_model_that_reads_neither_tokens_nor_counts_has_no_engine(cells, readout):
    class Other(CellModel):
        dim, device, digest = 20, None, "none"

        def embed_cells(self, cells):
            raise AssertionError

        def save(self, folder, card):
            raise AssertionError

    with pytest.raises(ModelError, match="`Other` reads neither"):
        engine_of(Other(), readout, cells)
