"""Which cells train, how much each target weighs, and what is refused."""

import numpy as np
import pytest

from perturbloop.data.tokens import Tokens
from perturbloop.errors import InputError, LeakageError
from perturbloop.train.examples import closed_loop, open_loop, same_study


def tokens(n_cells):
    return Tokens.of_rows([[2 + cell % 5, 8] for cell in range(n_cells)])


@pytest.fixture
def unperturbed(rng):
    return open_loop(tokens(60), np.arange(60) < 15, max_cells=40, rng=rng)


@pytest.fixture
def perturbed():
    """Targets of 30, 10 and 5 cells and 20 controls; the label of a cell is its place."""
    target = np.array(["A"] * 30 + ["B"] * 10 + ["C"] * 5 + [""] * 20, dtype=object)
    return tokens(65), np.arange(65) / 65, target


def test_both_states_weigh_the_same_and_the_mean_weight_is_one(unperturbed):
    assert unperturbed.tokens.n_cells == 40
    weights = [unperturbed.weight_n[unperturbed.label_n == label].sum() for label in (0, 1)]
    assert weights[0] == pytest.approx(weights[1])
    assert unperturbed.weight_n.mean() == pytest.approx(1)


def test_every_training_target_weighs_the_same_and_perturbed_cells_are_at_most_their_share(
    unperturbed, perturbed, rng
):
    rows, label, target = perturbed
    found = closed_loop(
        unperturbed, rows, label, target, training={"A", "B"}, held_out={"C"}, share=0.3, rng=rng
    )
    assert found.spent == ("A", "B")
    added = np.arange(40, found.tokens.n_cells)
    assert len(added) <= 0.3 * found.tokens.n_cells
    of_a = found.label_n[added] < 30 / 65
    assert found.label_n[added].max() < 40 / 65  # no cell of C and no control
    assert found.weight_n[added][of_a].sum() == pytest.approx(found.weight_n[added][~of_a].sum())
    assert found.weight_n[added].mean() == pytest.approx(1)


def test_genes_without_cells_of_their_own_take_no_room_and_many_targets_no_more_than_there_is(
    unperturbed, perturbed, rng
):
    rows, label, target = perturbed
    options = {"held_out": (), "rng": rng}
    found = closed_loop(unperturbed, rows, label, target, training={"A", "x", "y", "z"}, share=0.3, **options)
    assert found.added_n.sum() == 17  # of 57: as many as are allowed, though a compound hits x, y and z too
    each = np.array([f"t{cell}" for cell in range(65)], dtype=object)
    found = closed_loop(unperturbed, rows, label, each, training=set(each), share=0.3, **options)
    assert found.added_n.sum() == 17


def test_shuffled_labels_are_the_same_labels_on_other_cells(unperturbed, perturbed):
    rows, label, target = perturbed
    options = {"training": {"A", "B"}, "held_out": {"C"}, "share": 0.5}
    true, shuffled = (
        closed_loop(
            unperturbed, rows, label, target, **options, rng=np.random.default_rng(0), shuffled=shuffled
        )
        for shuffled in (False, True)
    )
    np.testing.assert_array_equal(true.tokens.flat_e, shuffled.tokens.flat_e)
    assert sorted(true.label_n) == sorted(shuffled.label_n)
    assert (true.label_n != shuffled.label_n).any()


def test_a_target_that_will_be_judged_cannot_train(unperturbed, perturbed, rng):
    with pytest.raises(LeakageError, match=r"cannot train: 'B'"):
        closed_loop(unperturbed, *perturbed, training={"A", "B"}, held_out={"B"}, share=0.5, rng=rng)


def test_training_targets_without_cells_are_refused(unperturbed, perturbed, rng):
    with pytest.raises(InputError, match="there are none of 'D'"):
        closed_loop(unperturbed, *perturbed, training={"D"}, held_out=(), share=0.5, rng=rng)


def test_cells_know_whether_they_were_added_and_what_was_perturbed_in_them(unperturbed, perturbed, rng):
    found = closed_loop(unperturbed, *perturbed, training={"A", "B"}, held_out=(), share=0.5, rng=rng)
    assert not unperturbed.added_n.any()
    assert not found.added_n[:40].any()
    assert found.added_n[40:].all()
    assert set(found.target_n[:40]) == {""}
    assert set(found.target_n[40:]) == {"A", "B"}


def test_a_target_counts_what_its_weight_says(unperturbed, perturbed, rng):
    weights = {"A": 0.5, "B": 2.0}
    found = closed_loop(
        unperturbed,
        *perturbed,
        training={"A", "B", "C"},
        held_out=(),
        share=0.5,
        rng=rng,
        target_weights=weights,
    )
    total = {target: found.weight_n[found.target_n == target].sum() for target in "ABC"}
    assert total["B"] / total["A"] == pytest.approx(4)
    assert total["B"] / total["C"] == pytest.approx(2)
    assert found.weight_n[found.added_n].mean() == pytest.approx(1)


def test_a_target_whose_weight_is_zero_does_not_train_but_is_spent(unperturbed, perturbed, rng):
    found = closed_loop(
        unperturbed,
        *perturbed,
        training={"A", "B"},
        held_out=(),
        share=0.5,
        rng=rng,
        target_weights={"A": 0},
    )
    assert found.spent == ("A", "B")
    assert set(found.target_n[found.added_n]) == {"B"}
    assert found.weight_n[found.added_n].mean() == pytest.approx(1)


@pytest.mark.parametrize("weights", [{"A": -1.0}, {"A": 0.0, "B": 0.0}])
def test_weights_that_leave_nothing_or_run_backwards_are_refused(unperturbed, perturbed, rng, weights):
    with pytest.raises(InputError, match=r"these are not: .*A"):
        closed_loop(
            unperturbed,
            *perturbed,
            training={"A", "B"},
            held_out=(),
            share=0.5,
            rng=rng,
            target_weights=weights,
        )


def test_control_cells_of_the_study_take_the_place_of_perturbed_ones(unperturbed, perturbed, rng):
    rows, label, target = perturbed
    control = target == ""
    found = same_study(unperturbed, rows, label, control, most=15, share=0.5, rng=rng)
    assert found.added_n.sum() == 15
    assert set(found.label_n[found.added_n]) <= set(label[control])
    assert not found.spent
    assert (found.weight_n[found.added_n] == 1).all()
    fewer = same_study(unperturbed, rows, label, control, most=15, share=0.2, rng=rng)
    assert fewer.added_n.mean() == pytest.approx(0.2)


def test_a_study_without_labelled_controls_is_refused(unperturbed, perturbed, rng):
    rows, label, target = perturbed
    with pytest.raises(InputError, match="needs labelled control cells"):
        same_study(
            unperturbed, rows, np.where(target == "", np.nan, label), target == "", most=5, share=0.5, rng=rng
        )
