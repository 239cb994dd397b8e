"""The genes that may promise most."""

from typing import final

import numpy as np
from jaxtyping import Int

from perturbloop.design.base import Acquisition, by_score
from perturbloop.design.belief import Belief

SPREADS = 1.0
"""Standard deviations above the mean."""


@final
class UpperConfidence(Acquisition):
    """Highest mean plus one standard deviation first: what is not known yet has a chance :cite:`srinivas2010`."""

    name = "upper"
    meaning = "highest expected effect plus one standard deviation"

    def choose(self, belief: Belief, budget: int, rng: np.random.Generator) -> Int[np.ndarray, " p"]:
        """Choose the genes with the highest upper end; see `Acquisition.choose`."""
        belief.require(budget)
        return by_score(belief, belief.mean_g + SPREADS * belief.sd_g)[:budget]
