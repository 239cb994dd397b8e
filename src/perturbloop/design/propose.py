"""A greedy batch and a chance batch of a round's ranking: RANKING rows in, PROPOSALS rows out."""

import math
from collections.abc import Collection

import numpy as np
import pandas as pd

from perturbloop.data.flags import NO_GUIDE
from perturbloop.design.base import Acquisition
from perturbloop.design.belief import Belief
from perturbloop.design.chance import Chance
from perturbloop.design.greedy import Greedy
from perturbloop.design.reasons import reasons_of
from perturbloop.schema import PROPOSALS, concat

SIDE_BY_SIDE: tuple[Acquisition, ...] = (Greedy(), Chance())
"""A batch of each, so that every batch is read beside chance."""


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
    rows = _once(ranking[_possible(ranking) & ~ranking["gene_id"].isin(list(pending))])
    belief, batches = _belief(rows), []
    for place, policy in enumerate(SIDE_BY_SIDE):
        size = min(budget, math.ceil(belief.n_open / (len(SIDE_BY_SIDE) - place)))
        if not size:
            break
        chosen = policy.choose(belief, size, rng)
        batches.append(_proposals(rows.iloc[chosen], policy, belief.n_open))
        belief = belief.without(chosen)
    return concat(PROPOSALS, batches)


def _possible(ranking: pd.DataFrame) -> pd.Series:
    """Rows of genes that an experiment can be made of: scored, with a benefit, and not of the mitochondrial genome."""
    names = ranking["gene_name"].astype(str)
    without_guides = names.map(lambda name: NO_GUIDE.fullmatch(name) is not None).astype(bool)
    return ranking["status"].eq("scored") & ranking["benefit"].notna() & ~without_guides


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """Each gene once, in its better kind."""
    best = rows.sort_values(["benefit", "gene_id", "kind"], ascending=[False, True, True])
    return best.drop_duplicates("gene_id").reset_index(drop=True)


def _belief(rows: pd.DataFrame) -> Belief:
    benefit_g, none_g = rows["benefit"].to_numpy(float), np.zeros(len(rows))
    return Belief(rows["gene_id"].to_numpy(object), benefit_g, none_g, none_g, np.ones(len(rows), dtype=bool))


def _proposals(chosen: pd.DataFrame, policy: Acquisition, n_open: int) -> pd.DataFrame:
    drawn = f"drawn at random among {n_open:,} genes that are neither measured nor in another batch"
    reasons = reasons_of(chosen) if isinstance(policy, Greedy) else [drawn] * len(chosen)
    place = np.arange(1, len(chosen) + 1)
    return PROPOSALS.checked(chosen.assign(policy=policy.name, place=place, reason=reasons))
