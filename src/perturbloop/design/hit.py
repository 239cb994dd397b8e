"""The genes that are most probably hits."""

from typing import final

import numpy as np
from jaxtyping import Int

from perturbloop.design.base import Acquisition, by_score
from perturbloop.design.belief import Belief


@final
class ProbabilityOfHit(Acquisition):
    """Highest probability of a hit first: a gene that is known to act a little yields to one that may act a lot."""

    name = "hit"
    meaning = "highest probability of a hit"

    def choose(self, belief: Belief, budget: int, rng: np.random.Generator) -> Int[np.ndarray, " p"]:
        """Choose the genes with the highest probability; see `Acquisition.choose`."""
        belief.require(budget)
        return by_score(belief, belief.probability_g)[:budget]
