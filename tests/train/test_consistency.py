"""The consistency loss: where edited control cells should land, and what training makes of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logit

from perturbloop.data.tokens import Tokens
from perturbloop.perturb.edit import Target
from perturbloop.schema import TrainConfig
from perturbloop.train.consistency import EDGE, aims_of, consistency_loss
from perturbloop.train.examples import closed_loop
from perturbloop.train.fit import fine_tune, padded

EDITS = {"A": Target(5, "delete"), "B": Target(6, "delete")}


@pytest.fixture
def examples(unperturbed):
    """Perturbed cells of two targets that look alike; those of A are goal cells, those of B start cells."""
    rng = np.random.default_rng(2)
    rows = Tokens.of_rows([4 + rng.permutation(10)[:6] for _ in range(40)])
    target = np.array(["A", "B"] * 20, dtype=object)
    label = np.where(target == "A", 0.9, 0.2)
    return closed_loop(unperturbed, rows, label, target, training={"A", "B"}, held_out=(), share=0.5, rng=rng)


@pytest.fixture
def controls():
    rng = np.random.default_rng(3)
    return Tokens.of_rows([4 + rng.permutation(10)[:7] for _ in range(30)])


@pytest.fixture
def aims(examples, controls, rng):
    return aims_of(examples, controls, EDITS, limit=16, rng=rng)


def test_an_aim_is_the_mean_logit_of_the_targets_labels_and_its_cells_lack_the_target(aims):
    np.testing.assert_allclose(aims.logit_p, logit([0.9, 0.2]))
    for cell, target in enumerate(aims.target_n):
        assert (5, 6)[target] not in aims.tokens.row(cell)
        assert len(aims.tokens.row(cell)) == 6


def test_labels_of_certainty_have_an_end(examples, controls, rng):
    sure = replace(examples, label_n=np.where(examples.target_n == "A", 1.0, examples.label_n))
    found = aims_of(sure, controls, EDITS, limit=16, rng=rng)
    assert found.logit_p[0] == pytest.approx(logit(1 - EDGE))


def test_targets_that_no_control_cell_expresses_have_no_aim(examples, controls, rng):
    absent = {name: Target(99, "delete") for name in "AB"}
    assert aims_of(examples, controls, absent, limit=16, rng=rng) is None
    found = aims_of(examples, controls, absent | {"B": EDITS["B"]}, limit=16, rng=rng)
    np.testing.assert_allclose(found.logit_p, logit([0.2]))


def test_the_loss_is_smooth_l1_of_the_difference_of_means(aims):
    shift = {0: 0.5, 1: 3.0}

    def logit_of(tokens, rows):
        target = int(aims.target_n[rows[0]])
        noise = torch.linspace(-1, 1, len(rows))
        return float(aims.logit_p[target]) + shift[target] + noise

    losses = {
        round(float(consistency_loss(logit_of, aims, rng=np.random.default_rng(seed))), 5)
        for seed in range(12)
    }
    assert losses == {round(0.5 * 0.5**2, 5), 3.0 - 0.5}


def test_with_a_weight_edited_cells_come_closer_to_the_perturbed_ones(encoder, examples, aims):
    def distance(tuned):
        def logit_of(tokens, rows):
            emb_bd = tuned.model.encode(*padded(tokens, rows))
            return emb_bd @ torch.from_numpy(tuned.weight_d) + tuned.bias

        with torch.no_grad():
            losses = [
                float(consistency_loss(logit_of, aims, rng=np.random.default_rng(n))) for n in range(20)
            ]
        return np.mean(losses)

    config = TrainConfig(model="none", learning_rate=1e-2, epochs=25, batch_tokens=400)
    without = fine_tune(encoder, examples, config, aims=aims)
    with_it = fine_tune(encoder, examples, replace(config, consistency=3.0), aims=aims)
    assert distance(with_it) < 0.7 * distance(without)


def test_without_a_weight_training_is_what_it_is_without_aims(encoder, examples, aims):
    config = TrainConfig(model="none", epochs=1)
    one, other = (fine_tune(encoder, examples, config, aims=given) for given in (aims, None))
    assert one.model.digest == other.model.digest
    np.testing.assert_array_equal(one.weight_d, other.weight_d)
