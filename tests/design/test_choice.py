"""Batches by goal: hits are found, the space is covered, and no neighborhood fills a batch."""

import re
from dataclasses import replace

import numpy as np
import pytest

from perturbloop.design.belief import Belief
from perturbloop.design.choice import choose, diverse, first_batch
from perturbloop.errors import DesignError
from perturbloop.evidence.kernels import vector_kernel

IDS = np.array([f"gene{place:02}" for place in range(60)], dtype=object)
MODULE = np.repeat(np.arange(6), 10)
KERNEL = vector_kernel("modules", IDS, np.eye(6)[MODULE])


@pytest.fixture
def belief():
    """Genes of module 0 are the most probable hits; of module 5 nothing is known but that they are not open."""
    return Belief(
        IDS,
        mean_g=np.linspace(1, 0, 60),
        sd_g=np.where(MODULE == 3, 1.0, 0.1),
        probability_g=np.linspace(0.9, 0.1, 60),
        open_g=MODULE < 5,
        kernel=KERNEL,
        prior_g=np.where(MODULE == 4, np.arange(60.0), np.nan),
    )


def test_find_takes_the_most_probable_hits_with_a_cap_on_each_neighborhood(belief, rng):
    assert choose(belief, 8, rng, aim="find", most=4).tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    assert choose(belief, 8, rng, aim="find", most=0).tolist() == list(range(8))
    assert choose(replace(belief, kernel=None), 8, rng, aim="find").tolist() == list(range(8))


def test_a_cap_that_leaves_nothing_else_is_exceeded():
    chosen = diverse(np.arange(20), 12, KERNEL, most=2)
    assert chosen.tolist() == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]


def test_learn_covers_the_modules_that_are_least_known_and_not_stood_for(belief, rng):
    assert MODULE[choose(belief, 1, rng, aim="learn")].tolist() == [3]
    assert set(MODULE[choose(belief, 5, rng, aim="learn")]) == {0, 1, 2, 3, 4}
    pending = belief.without(np.array([30]))
    assert set(MODULE[choose(pending, 4, rng, aim="learn")]) == {0, 1, 2, 4}


def test_both_is_half_and_half(belief, rng):
    batch = choose(belief, 8, rng, aim="both", most=2)
    assert batch[:4].tolist() == [0, 1, 10, 11]
    assert set(MODULE[batch[4:7]]) == {2, 3, 4}
    assert len(set(batch)) == 8


def test_a_first_batch_is_half_prior_at_most_and_covers_the_rest(belief, rng):
    batch = first_batch(belief, 9, rng)
    assert batch[:4].tolist() == [49, 48, 47, 46]
    assert set(MODULE[batch[4:8]]) == {0, 1, 2, 3}
    assert (MODULE[first_batch(belief, 6, rng, n_prior=6)] == 4).sum() == 3
    assert (MODULE[first_batch(belief, 5, rng, n_prior=0)] == 4).sum() == 1
    assert len(set(first_batch(replace(belief, prior_g=None), 20, rng))) == 20


def test_what_cannot_be_chosen_is_refused(belief, rng):
    with pytest.raises(DesignError, match=r"50 are left\. Lower the budget to at most 50"):
        choose(belief, 51, rng, aim="find")
    with pytest.raises(DesignError, match=re.escape("Give gene sets, or another goal")):
        choose(replace(belief, kernel=None), 2, rng, aim="learn")


def test_joint_draws_have_the_mean_and_spread_of_the_belief(belief, rng):
    drawn = belief.draws(rng, 4000)
    np.testing.assert_allclose(drawn.mean(axis=0), belief.mean_g, atol=0.1)
    np.testing.assert_allclose(drawn.std(axis=0), belief.sd_g, rtol=0.1)
