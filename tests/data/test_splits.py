"""Held-out targets: who decides, and that it never changes."""

import pytest

from perturbloop.data.splits import assign_folds, half, trains

GENES = [f"ENSG{number:011d}" for number in range(60)]


def test_half_of_many_targets_is_held_out_whatever_their_order():
    folds = assign_folds(GENES, known={}, folds=5)
    assert folds == assign_folds(GENES[::-1], known={}, folds=5)
    assert set(folds.values()) == {-1, 0}
    assert folds == {gene: half(gene) for gene in GENES}


def test_few_targets_are_held_out_in_turn():
    folds = assign_folds(GENES[:20], known={}, folds=5)
    assert 2 < len(set(folds.values())) <= 5
    assert min(folds.values()) >= 0
    for fold in range(5):
        assert trains(folds, without=fold) == {gene for gene in GENES[:20] if folds[gene] != fold}
    assert trains(folds, without=-1) == set(GENES[:20])


@pytest.mark.parametrize("first", [20, 40])
def test_later_targets_follow_the_first_decision_and_move_nobody(first):
    folds = assign_folds(GENES[:first], known={}, folds=5)
    more = assign_folds(GENES, known=folds, folds=5)
    assert folds.items() <= more.items()
    assert (-1 in more.values()) == (first >= 30)


def test_a_held_out_half_trains_nothing():
    folds = assign_folds(GENES, known={}, folds=5)
    assert (
        trains(folds, without=0) == trains(folds, without=-1) == {gene for gene in GENES if folds[gene] == -1}
    )
