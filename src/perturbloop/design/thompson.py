"""The genes that are best in one of many possible truths."""

from typing import final

import numpy as np
from jaxtyping import Int

from perturbloop.design.base import Acquisition, by_score
from perturbloop.design.belief import Belief


@final
class Thompson(Acquisition):
    """The best gene of one joint draw of the effects, then that of another: varied as far as the belief is :cite:`thompson1933`."""

    name = "thompson"
    meaning = "best gene of one joint draw of the effects after another"

    def choose(self, belief: Belief, budget: int, rng: np.random.Generator) -> Int[np.ndarray, " p"]:
        """Choose the best gene of each draw that is not chosen yet; see `Acquisition.choose`."""
        belief.require(budget)
        by_id = by_score(belief, np.zeros(len(belief.gene_ids)))
        chosen: list[int] = []
        for effect_g in belief.draws(rng, budget):
            left = by_id[~np.isin(by_id, chosen)]
            chosen.append(int(left[np.argmax(effect_g[left])]))
        return np.array(chosen, dtype=int)
