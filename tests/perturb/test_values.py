"""Edits of values: against the counts engine, whose arithmetic is another, and against edits made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.encoding import tokenize, vocabulary_of
from perturbloop.models.cell_model import ValueModel
from perturbloop.models.linear import Linear
from perturbloop.models.readout import Readout
from perturbloop.perturb.engines import engine_of
from perturbloop.perturb.plan import plan
from perturbloop.schema import KINDS, PerturbConfig

GENES = np.array([f"ENSG{number:011d}" for number in range(15)], dtype=object)


class Values(ValueModel):
    """The linear control, as a model that reads counts."""

    def __init__(self, linear, highest=np.inf):
        self.linear, self.vocabulary, self.highest = linear, linear.vocabulary, highest
        self.shape = None

    dim = device = digest = shape = None

    def values(self, cells):
        return self.counts(cells)

    def embed_values(self, values_ng):
        dense = values_ng.toarray()
        total = dense.sum(axis=1, keepdims=True)
        return np.log1p(dense / np.where(total > 0, total, 1) * 1e4)

    def gene_embeddings(self):
        return np.eye(len(GENES))

    def save(self, folder, card):
        """Nothing to write."""


@pytest.fixture(scope="module")
def cells():
    counts = np.random.default_rng(0).poisson(1.2, size=(9, 15)) + np.eye(9, 15, dtype=int)
    matrix = sparse.csr_matrix(counts.astype(np.float32))
    return Cells(matrix, GENES, GENES, pd.DataFrame(index=[f"c{n}" for n in range(9)]), "toy", "none")


@pytest.mark.parametrize("not_expressed", ["skip", "insert"])
def test_edited_values_are_read_as_the_counts_engine_reads_edited_counts(cells, not_expressed):
    words = vocabulary_of(cells, max_length=16)
    linear = Linear(words.gene_ids, words)
    tokens = tokenize(cells, words)
    edits = plan(tokens, words, PerturbConfig(kinds=KINDS, dose=0.5, not_expressed=not_expressed))
    rng = np.random.default_rng(1)
    readout = Readout(rng.normal(size=15), rng.normal(size=15), 0.3)
    ours = engine_of(Values(linear), readout, cells).shifts(tokens, edits)
    theirs = engine_of(linear, readout, cells).shifts(tokens, edits)
    pd.testing.assert_frame_equal(ours, theirs, rtol=0, atol=1e-9)
    assert {"delete", "overexpress", "inhibit", "activate"} == set(ours["kind"])


def test_no_value_is_raised_above_the_highest_that_the_model_knows(cells):
    words = vocabulary_of(cells, max_length=16)
    tokens, model = tokenize(cells, words), Values(Linear(words.gene_ids, words), highest=4)
    seen = []
    model.embed_values = lambda values_ng: (
        seen.append(values_ng.toarray()) or np.ones((values_ng.shape[0], 2))
    )
    edits = plan(tokens, words, PerturbConfig(kinds=("overexpress", "delete"), cells_per_gene=1))
    engine_of(model, Readout(np.ones(2), np.ones(2), 0.0), cells).edited(tokens, edits, edits.edits)
    after, before = seen[0], model.values(cells)[edits.edits["cell"].to_numpy(int)].toarray()
    changed = after != before
    assert (changed.sum(axis=1) <= 1).all()
    raised = edits.edits["kind"].to_numpy() == "overexpress"
    column = [words.gene_ids.tolist().index(words.gene_of_token[token]) for token in edits.edits["token"]]
    value = after[np.arange(len(after)), column]
    high = before.max(axis=1)
    np.testing.assert_array_equal(value[raised], np.minimum(high + 1, 4)[raised])
    np.testing.assert_array_equal(value[~raised], 0)
