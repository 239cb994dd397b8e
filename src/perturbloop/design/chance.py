"""The batch that every policy must beat."""

from collections.abc import Collection
from typing import final

import numpy as np
import pandas as pd

from perturbloop.design.base import Acquisition, as_proposals, candidates


@final
class Chance(Acquisition):
    """Genes drawn at random, each as likely as any other."""

    name = "chance"
    meaning = "drawn at random among genes that are neither spent nor pending"

    def choose(
        self, ranking: pd.DataFrame, *, pending: Collection[str], budget: int, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Draw genes at random; see `Acquisition.choose`."""
        left = candidates(ranking, pending=pending, budget=budget)
        drawn = left.iloc[rng.choice(len(left), size=budget, replace=False)]
        reason = f"drawn at random among {len(left):,} genes that are neither measured nor in another batch"
        return as_proposals(drawn, policy=self.name, reasons=[reason] * budget)
