"""The genes that promise most."""

from collections.abc import Collection
from typing import final

import numpy as np
import pandas as pd

from perturbloop.design.base import Acquisition, as_proposals, candidates
from perturbloop.design.reasons import reasons_of


@final
class Greedy(Acquisition):
    """Highest benefit first: finds hits where the ranking is right, learns little where it is wrong."""

    name = "greedy"
    meaning = "highest benefit among genes that are neither spent nor pending"

    def choose(
        self, ranking: pd.DataFrame, *, pending: Collection[str], budget: int, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Choose the genes with the highest benefit; see `Acquisition.choose`."""
        left = candidates(ranking, pending=pending, budget=budget)
        chosen = left.head(budget)
        return as_proposals(chosen, policy=self.name, reasons=reasons_of(chosen))
