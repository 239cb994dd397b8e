"""All policies side by side."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from perturbloop.design.base import Acquisition
from perturbloop.design.chance import Chance
from perturbloop.design.greedy import Greedy
from perturbloop.schema import PROPOSALS, concat

ACQUISITIONS: tuple[Acquisition, ...] = (Greedy(), Chance())


def propose(
    ranking: pd.DataFrame, *, budget: int, rng: np.random.Generator, pending: Collection[str] = ()
) -> pd.DataFrame:
    """One batch per policy, so that each is read beside chance.

    Parameters
    ----------
    ranking
        RANKING rows; give one kind only where the laboratory has only one modality.
    budget
        Genes per batch.
    rng
        Draws the batch of `chance`.
    pending
        Gene ids whose experiments are under way.

    Returns
    -------
    PROPOSALS rows, `budget` per policy.
    """
    batches = [policy.choose(ranking, pending=pending, budget=budget, rng=rng) for policy in ACQUISITIONS]
    return concat(PROPOSALS, batches)
