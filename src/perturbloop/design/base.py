"""What every policy for choosing experiments has in common."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float, Int

from perturbloop.design.belief import Belief


class Acquisition(ABC):
    """A policy: from what is believed of genes to the experiments that are worth their cost."""

    name: str
    """Name in the column `policy`."""
    meaning: str
    """What it looks for, in one sentence."""

    @abstractmethod
    def choose(self, belief: Belief, budget: int, rng: np.random.Generator) -> Int[np.ndarray, " p"]:
        """Choose genes to perturb next, best first.

        Parameters
        ----------
        belief
            What is believed of each gene, and which may be chosen.
        budget
            How many genes.
        rng
            Source of any randomness.

        Returns
        -------
        Rows of the chosen genes, `budget` of them, each open and once. Ties are broken by gene id, so that the order of the genes does
        not matter.

        Raises
        ------
        DesignError
            If fewer genes than the budget are open.
        """


def by_score(belief: Belief, score_g: Float[np.ndarray, " g"]) -> Int[np.ndarray, " p"]:
    """Rows of the open genes, highest score first; those without a score last, ties by gene id."""
    place_p = np.flatnonzero(belief.open_g)
    filled_p = np.nan_to_num(score_g[place_p], nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    return place_p[np.lexsort((belief.gene_ids[place_p].astype(str), -filled_p))]
