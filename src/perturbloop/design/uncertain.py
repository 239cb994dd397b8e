"""The genes of which least is known."""

from typing import final

import numpy as np
from jaxtyping import Int

from perturbloop.design.base import Acquisition, by_score
from perturbloop.design.belief import Belief


@final
class Uncertainty(Acquisition):
    """Largest standard deviation first: genes that may be anything, alike or not."""

    name = "uncertainty"
    meaning = "largest standard deviation of the effect"

    def choose(self, belief: Belief, budget: int, rng: np.random.Generator) -> Int[np.ndarray, " p"]:
        """Choose the genes with the largest standard deviation; see `Acquisition.choose`."""
        belief.require(budget)
        return by_score(belief, belief.sd_g)[:budget]
