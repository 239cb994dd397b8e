"""The cells of an arm, and what each level makes of them, on the simulated world."""

from dataclasses import replace

import numpy as np
import pytest

from perturbloop.loop.campaign import init
from perturbloop.loop.execute import training_cells
from perturbloop.loop.folder import working
from perturbloop.loop.inputs import read_inputs
from perturbloop.loop.recorded import record
from perturbloop.train.sources import TrainingCells, train_level


@pytest.fixture(scope="module")
def cells(few, tmp_path_factory):
    folder = tmp_path_factory.mktemp("training") / "campaign"
    init(folder, few.config())
    with working(folder) as campaign:
        inputs = read_inputs(campaign.config)
        campaign, _, _ = record(campaign, inputs, few.perturbed())
        return training_cells(campaign, inputs)


def with_examples(cells, perturbed):
    return TrainingCells(cells.states, cells.view, cells.config, perturbed)


@pytest.fixture
def targets(cells):
    return sorted(set(cells.perturbed.target_n) - {""})


def test_controls_and_edits_are_known_of_every_cell(cells):
    perturbed = cells.perturbed
    assert 0 < perturbed.is_control_n.sum() < len(perturbed.is_control_n)
    assert set(perturbed.target_n[perturbed.is_control_n]) == {""}
    assert set(perturbed.kind_n) == {"delete"}
    assert cells.study.n_cells == len(perturbed.kind_n)


def test_the_frozen_level_keeps_the_encoder_and_moves_the_head(cells, targets):
    base = cells.view.model
    models = {
        variant: train_level(cells, "frozen", variant, training=targets[:5], held_out=targets[5:])
        for variant in ("closed", "shuffled")
    }
    assert {found.model.digest for found in models.values()} == {base.digest}
    heads = [found.readout.weight_d for found in models.values()]
    assert np.abs(heads[0] - heads[1]).max() > 1e-3
    goals = [found.readout.goal_d for found in models.values()]
    np.testing.assert_array_equal(*goals)


def test_a_row_is_embedded_once_and_as_the_model_embeds_it(cells):
    once = cells.embedded(cells.study)
    rows = [cells.study.row(cell) for cell in range(cells.study.n_cells)]
    np.testing.assert_allclose(once, cells.view.model.embed(rows), atol=1e-5)
    known = dict(cells._known)
    cells.embedded(cells.study)
    assert cells._known.keys() == known.keys()


def test_same_study_controls_are_as_many_as_the_closed_loop_may_add(cells, targets):
    closed, _ = cells.examples("closed", targets, ())
    unperturbed, _ = cells.examples("unperturbed", (), ())
    n_controls = int(cells.perturbed.is_control_n.sum())
    assert unperturbed.added_n.sum() == min(closed.added_n.sum(), n_controls)
    assert not unperturbed.spent
    np.testing.assert_array_equal(
        closed.tokens.padded(np.flatnonzero(~closed.added_n)),
        unperturbed.tokens.padded(np.flatnonzero(~unperturbed.added_n)),
    )


def test_controls_without_a_label_count_as_start_cells(cells):
    perturbed = cells.perturbed
    label_n = np.where(perturbed.is_control_n, np.nan, perturbed.label_n)
    unlabelled = with_examples(cells, replace(perturbed, label_n=label_n))
    found, _ = unlabelled.examples("unperturbed", (), ())
    assert set(found.label_n[found.added_n]) == {0.0}


def test_weights_of_targets_reach_the_examples(cells, targets):
    weighed = replace(cells.perturbed, target_weights={targets[0]: 0.25})
    found, _ = with_examples(cells, weighed).examples("closed", targets[:2], ())
    total = [found.weight_n[found.target_n == target].sum() for target in targets[:2]]
    assert total[0] / total[1] == pytest.approx(0.25)


def test_aims_are_made_where_the_consistency_loss_is_on(cells, targets):
    rng = np.random.default_rng(0)
    examples, _ = cells.examples("closed", targets[:5], targets[5:])
    assert cells.aims(examples, rng) is None
    config = replace(cells.config, consistency=0.5)
    on = TrainingCells(cells.states, cells.view, config, cells.perturbed)
    aims = on.aims(examples, rng)
    assert len(aims.logit_p) <= 5
    words, spent = cells.view.vocabulary, set(examples.spent)
    held_out = {gene for gene in targets[5:] if gene in words.position}
    assert not spent & held_out
    n_controls = int(cells.perturbed.is_control_n.sum())
    assert len(aims.target_n) <= min(32, n_controls) * 5
    unperturbed, _ = on.examples("unperturbed", (), ())
    assert on.aims(unperturbed, rng) is None
