"""The linear control: what it is trained on, what it finds, and that it can be kept."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score

from perturbloop.data.cells import Cells
from perturbloop.data.encoding import tokenize, vocabulary_of
from perturbloop.models.linear import Linear
from perturbloop.perturb.engines import engine_of
from perturbloop.perturb.plan import plan
from perturbloop.schema import PerturbConfig
from perturbloop.train.checkpoint import load_state_model, save_state_model
from perturbloop.train.linear import train_linear

GENES = np.array([f"ENSG{number:011d}" for number in range(12)], dtype=object)


@pytest.fixture
def cells(rng):
    """Two states of 60 cells; gene 0 marks the goal, gene 1 the start, the others are noise."""
    is_goal = np.arange(120) % 2 == 0
    mean = np.full((120, 12), 4.0)
    mean[is_goal, 0] *= 3
    mean[~is_goal, 1] *= 3
    matrix = sparse.csr_matrix(rng.poisson(mean).astype(np.float32))
    return Cells(
        matrix, GENES, GENES, pd.DataFrame(index=[f"c{n}" for n in range(120)]), "toy", "none"
    ), is_goal


def test_it_finds_the_marker_genes_and_says_how_well_it_tells_held_out_cells(cells):
    rows, is_goal = cells
    train = np.arange(120) < 80
    words = vocabulary_of(rows, max_length=16)
    found = train_linear(rows, is_goal, train, words)
    weight = found.readout.weight_d
    assert (weight.argmax(), weight.argmin()) == (0, 1)
    logit = found.readout.logit(found.model.embed_cells(rows))
    assert found.heldout_auroc == pytest.approx(roc_auc_score(is_goal[~train], logit[~train]))
    assert found.heldout_auroc > 0.9
    np.testing.assert_allclose(
        found.readout.goal_d, found.model.embed_cells(rows)[is_goal & train].mean(axis=0), rtol=1e-5
    )
    start = rows.select(~is_goal)
    tokens = tokenize(start, words)
    edits = plan(tokens, words, PerturbConfig(cells_per_gene=60))
    mean = engine_of(found.model, found.readout, start).shifts(tokens, edits).groupby(["kind", "gene_id"])
    shift = mean["logit_shift"].mean()
    assert shift["delete"].idxmax() == GENES[1]
    assert shift["overexpress"].idxmax() == GENES[0]


def test_held_out_cells_have_no_part_in_the_weights(cells, rng):
    rows, is_goal = cells
    train = np.arange(120) < 80
    words = vocabulary_of(rows, max_length=16)
    wrong = is_goal.copy()
    wrong[80:] = rng.permutation(wrong[80:])
    one, other = (train_linear(rows, labels, train, words) for labels in (is_goal, wrong))
    np.testing.assert_array_equal(one.readout.weight_d, other.readout.weight_d)
    assert other.heldout_auroc < one.heldout_auroc


def test_it_is_kept_beside_a_campaigns_own_encoder(cells, tmp_path):
    rows, is_goal = cells
    words = vocabulary_of(rows, max_length=16)
    found = train_linear(rows, is_goal, np.arange(120) < 80, words)

    base = Linear(GENES[:3], words)
    save_state_model(found, tmp_path / "linear", base=base, card={"method": "linear"})
    again = load_state_model(tmp_path / "linear", base=base)
    assert again.digest == found.digest
    assert again.heldout_auroc == found.heldout_auroc
