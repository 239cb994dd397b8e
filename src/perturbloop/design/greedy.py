"""The genes that promise most."""

from typing import final

import numpy as np
from jaxtyping import Int

from perturbloop.design.base import Acquisition, by_score
from perturbloop.design.belief import Belief


@final
class Greedy(Acquisition):
    """Highest expected effect first: finds hits where the expectation is right, learns little where it is wrong."""

    name = "greedy"
    meaning = "highest expected effect toward the goal"

    def choose(self, belief: Belief, budget: int, rng: np.random.Generator) -> Int[np.ndarray, " p"]:
        """Choose the genes with the highest mean; see `Acquisition.choose`."""
        belief.require(budget)
        return by_score(belief, belief.mean_g)[:budget]
