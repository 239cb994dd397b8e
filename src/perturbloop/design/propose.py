"""All policies side by side."""

import math
from collections.abc import Collection

import numpy as np
import pandas as pd

from perturbloop.design.base import Acquisition, possible
from perturbloop.design.chance import Chance
from perturbloop.design.greedy import Greedy
from perturbloop.schema import PROPOSALS, concat

ACQUISITIONS: tuple[Acquisition, ...] = (Greedy(), Chance())


def propose(
    ranking: pd.DataFrame, *, budget: int, rng: np.random.Generator, pending: Collection[str] = ()
) -> pd.DataFrame:
    """One batch per policy, so that each is read beside chance; no gene is in two of them.

    Parameters
    ----------
    ranking
        RANKING rows; give one kind only where the laboratory has only one modality. A column `neighbors` of POSTERIOR goes into
        the reasons.
    budget
        Genes per batch, at most; where fewer genes than two batches are left, each policy has its share of them.
    rng
        Draws the batch of `chance`.
    pending
        Gene ids whose experiments are under way.

    Returns
    -------
    PROPOSALS rows, at most `budget` per policy; empty where no gene is left.
    """
    taken, batches = set(pending), []
    for place, policy in enumerate(ACQUISITIONS):
        free = set(possible(ranking)["gene_id"]) - taken
        size = min(budget, math.ceil(len(free) / (len(ACQUISITIONS) - place)))
        if not size:
            break
        batches.append(policy.choose(ranking, pending=taken, budget=size, rng=rng))
        taken |= set(batches[-1]["gene_id"])
    return concat(PROPOSALS, batches)
