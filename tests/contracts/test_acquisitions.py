"""What every policy for choosing experiments must satisfy."""

from dataclasses import replace

import numpy as np
import pytest

from perturbloop.design.belief import Belief
from perturbloop.design.registry import ACQUISITIONS
from perturbloop.errors import DesignError
from perturbloop.evidence.kernels import vector_kernel

IDS = np.array([f"ENSG{place:02}" for place in range(12)], dtype=object)


@pytest.fixture(params=ACQUISITIONS, ids=[policy.name for policy in ACQUISITIONS])
def policy(request):
    return request.param


@pytest.fixture
def belief(rng):
    open_g = np.arange(12) >= 3
    mean_g, sd_g = rng.standard_normal(12), rng.random(12)
    kernel = vector_kernel("likeness", IDS, rng.standard_normal((12, 4)), power=1)
    return Belief(IDS, mean_g, sd_g, rng.random(12), open_g, kernel, known_g=np.arange(12) < 2)


def test_a_batch_holds_open_genes_once_each(policy, belief, rng):
    assert sorted(policy.choose(belief, 9, rng)) == list(range(3, 12))
    assert not set(policy.choose(belief.without(np.array([5])), 8, rng)) & {0, 1, 2, 5}
    assert policy.meaning


def test_the_same_seed_gives_the_same_batch_whatever_the_order_of_genes(policy, belief):
    order = np.random.default_rng(2).permutation(12)
    drawn = belief.draws(np.random.default_rng(3), 40)  # joint draws follow the genes
    turned = Belief(
        IDS[order],
        belief.mean_g[order],
        belief.sd_g[order],
        belief.probability_g[order],
        belief.open_g[order],
        belief.kernel.aligned(IDS[order]),
        draw=lambda rng, n: drawn[:n, order],
        known_g=belief.known_g[order],
    )
    straight = replace(belief, draw=lambda rng, n: drawn[:n])
    batches = [
        IDS[policy.choose(straight, 4, np.random.default_rng(1))].tolist(),
        IDS[order][policy.choose(turned, 4, np.random.default_rng(1))].tolist(),
    ]
    assert batches[0] == batches[1]


def test_a_budget_beyond_what_is_open_is_refused(policy, belief, rng):
    with pytest.raises(DesignError, match=r"9 are left\. Lower the budget to at most 9"):
        policy.choose(belief, 10, rng)
    with pytest.raises(DesignError, match="the budget is 0"):
        policy.choose(belief, 0, rng)
