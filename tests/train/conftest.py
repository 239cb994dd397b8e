"""A tiny encoder, and cells of two states that it can learn to tell apart."""

import numpy as np
import pytest

from perturbloop.data.tokens import Tokens
from perturbloop.train.examples import open_loop


@pytest.fixture
def encoder(tiny_model):
    return tiny_model()


@pytest.fixture
def states():
    """Tokens of 80 cells and which are goal cells: those have token 2 in front, the others token 3."""
    rng = np.random.default_rng(0)
    is_goal = np.arange(80) % 2 == 0
    rows = [np.append(2 if goal else 3, 4 + rng.permutation(10)[: rng.integers(4, 9)]) for goal in is_goal]
    return Tokens.of_rows(rows), is_goal


@pytest.fixture
def unperturbed(states):
    tokens, is_goal = states
    return open_loop(tokens, is_goal, max_cells=80, rng=np.random.default_rng(0))
