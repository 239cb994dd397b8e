"""The batch that every policy must beat."""

from typing import final

import numpy as np
from jaxtyping import Int

from perturbloop.design.base import Acquisition, by_score
from perturbloop.design.belief import Belief


@final
class Chance(Acquisition):
    """Genes drawn at random, each as likely as any other."""

    name = "chance"
    meaning = "drawn at random among the open genes"

    def choose(self, belief: Belief, budget: int, rng: np.random.Generator) -> Int[np.ndarray, " p"]:
        """Draw genes at random; see `Acquisition.choose`."""
        belief.require(budget)
        by_id = by_score(belief, np.zeros(len(belief.gene_ids)))
        return by_id[rng.choice(len(by_id), size=budget, replace=False)]
