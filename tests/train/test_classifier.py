"""The state head on a frozen encoder: its axis, its logit, and what is refused."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from perturbloop.errors import ModelError
from perturbloop.models.cell_model import CellModel
from perturbloop.train.classifier import state_head, train_frozen


class Encoder(CellModel):
    """Stands where an encoder is only passed on."""

    dim, device, digest = 5, None, "none"

    def embed_cells(self, cells):
        raise AssertionError

    def save(self, folder, card):
        raise AssertionError


@pytest.fixture
def cells(rng):
    """Two states that differ along the first of five dimensions; the last hardly varies."""
    is_goal = np.arange(200) % 4 == 0
    emb = rng.normal(size=(200, 5)) * [1.0, 1.0, 1.0, 1.0, 0.001]
    emb[is_goal, 0] += 3.0
    return emb.astype(np.float32), is_goal, np.arange(200) % 5 > 0


def test_the_head_points_from_the_start_to_the_goal_mean(cells):
    emb, is_goal, train = cells
    found = train_frozen(Encoder(), emb, is_goal, train)
    axis = emb[is_goal & train].mean(axis=0) - emb[~is_goal & train].mean(axis=0)
    cosine = axis @ found.readout.weight_d / np.linalg.norm(axis) / np.linalg.norm(found.readout.weight_d)
    assert cosine == pytest.approx(1, abs=1e-5)
    assert found.heldout_auroc > 0.95
    assert found.n_train == train.sum()
    np.testing.assert_allclose(found.readout.goal_d, emb[is_goal & train].mean(axis=0), rtol=1e-5)


def test_the_logit_is_that_of_logistic_regression_along_the_axis(cells):
    emb, is_goal, train = cells
    readout = train_frozen(Encoder(), emb, is_goal, train).readout
    axis = readout.weight_d / np.linalg.norm(readout.weight_d)
    place = emb.astype(float) @ axis
    spread = place[train].std()
    oracle = LogisticRegression(class_weight="balanced").fit(place[train, None] / spread, is_goal[train])
    np.testing.assert_allclose(
        readout.logit(emb), oracle.decision_function(place[:, None] / spread), atol=1e-3
    )


def test_scale_and_place_of_the_embeddings_change_no_logit(cells):
    emb, is_goal, train = cells
    before = train_frozen(Encoder(), emb, is_goal, train).readout.logit(emb)
    moved = (emb * 7 + 2).astype(np.float32)
    np.testing.assert_allclose(
        train_frozen(Encoder(), moved, is_goal, train).readout.logit(moved), before, atol=1e-3
    )


def test_states_with_the_same_mean_are_refused(cells):
    _, is_goal, train = cells
    with pytest.raises(ModelError, match="cannot tell them apart"):
        train_frozen(Encoder(), np.ones((200, 5), dtype=np.float32), is_goal, train)


def test_a_soft_label_is_a_cell_of_each_state_with_its_share_of_the_weight(cells, rng):
    emb, is_goal, _ = cells
    label = np.clip(is_goal + rng.normal(0, 0.1, 200), 0.05, 0.95)
    weight = rng.uniform(0.5, 1.5, 200)
    twice = np.concatenate([emb, emb])
    split = np.concatenate([weight * label, weight * (1 - label)])
    hard = np.repeat([1.0, 0.0], 200)
    (one, bias), (other, other_bias) = state_head(emb, label, weight), state_head(twice, hard, split)
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert bias == pytest.approx(other_bias, rel=1e-3)


def test_cells_that_count_nothing_change_no_head(cells, rng):
    emb, is_goal, _ = cells
    counted = np.arange(200) < 120
    alone = state_head(emb[counted], is_goal[counted].astype(float), np.ones(120))
    beside = state_head(emb, is_goal.astype(float), counted.astype(float))
    cosine = alone[0] @ beside[0] / np.linalg.norm(alone[0]) / np.linalg.norm(beside[0])
    assert cosine == pytest.approx(1, abs=1e-5)
