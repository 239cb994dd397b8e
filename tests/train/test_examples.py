"""Which cells train, how much each target weighs, and what is refused."""

import numpy as np
import pytest

from perturbloop.data.tokens import Tokens
from perturbloop.errors import InputError, LeakageError
from perturbloop.train.examples import closed_loop, open_loop


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


def test_shuffled_labels_are_the_same_labels_on_other_cells(unperturbed, perturbed):
    rows, label, target = perturbed
    options = {"training": {"A", "B"}, "held_out": {"C"}, "share": 0.5}
    true, shuffled = (
        closed_loop(
            unperturbed, rows, label, target, **options, rng=np.random.default_rng(0), shuffled=shuffled
        )
        for shuffled in (False, True)
    )
    np.testing.assert_array_equal(true.tokens.tokens_nt, shuffled.tokens.tokens_nt)
    assert sorted(true.label_n) == sorted(shuffled.label_n)
    assert (true.label_n != shuffled.label_n).any()


def test_a_target_that_will_be_judged_cannot_train(unperturbed, perturbed, rng):
    with pytest.raises(LeakageError, match=r"cannot train: 'B'"):
        closed_loop(unperturbed, *perturbed, training={"A", "B"}, held_out={"B"}, share=0.5, rng=rng)


def test_training_targets_without_cells_are_refused(unperturbed, perturbed, rng):
    with pytest.raises(InputError, match="there are none of 'D'"):
        closed_loop(unperturbed, *perturbed, training={"D"}, held_out=(), share=0.5, rng=rng)
