"""The genes that promise most."""

from collections.abc import Collection
from typing import final

import numpy as np
import pandas as pd

from perturbloop.design.base import Acquisition, as_proposals, candidates


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
        reasons = [
            f"place {place} of {len(left):,} genes not yet perturbed, by benefit"
            for place in range(1, budget + 1)
        ]
        return as_proposals(left.head(budget), policy=self.name, reasons=reasons)
