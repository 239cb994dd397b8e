"""What every policy for choosing experiments has in common."""

from abc import ABC, abstractmethod
from collections.abc import Collection

import numpy as np
import pandas as pd

from perturbloop.data.flags import NO_GUIDE
from perturbloop.errors import DesignError, some
from perturbloop.schema import PROPOSALS


class Acquisition(ABC):
    """A policy: from a ranking to the experiments that are worth their cost."""

    name: str
    """Name in the column `policy`."""
    meaning: str
    """What it looks for, in one sentence."""

    @abstractmethod
    def choose(
        self, ranking: pd.DataFrame, *, pending: Collection[str], budget: int, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Choose genes to perturb next, best first.

        Parameters
        ----------
        ranking
            RANKING rows.
        pending
            Gene ids whose experiments are under way.
        budget
            How many genes.
        rng
            Source of any randomness.

        Returns
        -------
        PROPOSALS rows, `budget` of them: genes that are scored, not spent and not pending, each once.

        Raises
        ------
        DesignError
            If fewer genes than the budget are left.
        """


def possible(ranking: pd.DataFrame) -> pd.DataFrame:
    """RANKING rows of genes that an experiment can be made of: scored, with a benefit, and not of the mitochondrial genome.

    Parameters
    ----------
    ranking
        RANKING rows.
    """
    scored = ranking["status"].eq("scored") & ranking["benefit"].notna()
    return ranking[scored & ~without_guides(ranking)]


def without_guides(ranking: pd.DataFrame) -> pd.Series:
    """Whether each row is of a gene that no guide edits."""
    return (
        ranking["gene_name"].astype(str).map(lambda name: NO_GUIDE.fullmatch(name) is not None).astype(bool)
    )


def candidates(ranking: pd.DataFrame, *, pending: Collection[str], budget: int) -> pd.DataFrame:
    """Genes that may be proposed, each once in its better kind, highest benefit first.

    Parameters
    ----------
    ranking
        RANKING rows.
    pending
        Gene ids whose experiments are under way.
    budget
        How many genes are needed.

    Returns
    -------
    RANKING rows, at least `budget`. Ties are broken by gene id, so that the order of the rows does not matter.

    Raises
    ------
    DesignError
        If fewer genes than the budget are left.
    """
    if budget < 1:
        msg = f"A batch holds at least 1 gene; the budget is {budget}. Raise it."
        raise DesignError(msg)
    # A gene that was measured by one kind of edit is spent; its other kind is an experiment of its own.
    open_ = possible(ranking)
    free = open_[~open_["gene_id"].isin(list(pending))]
    best = free.sort_values(["benefit", "gene_id", "kind"], ascending=[False, True, True])
    left = best.drop_duplicates("gene_id").reset_index(drop=True)
    if len(left) < budget:
        lost = ranking.loc[~ranking["gene_id"].isin(left["gene_id"]), "gene_name"].drop_duplicates()
        msg = (
            f"A batch of {budget:,} genes needs as many that are scored, not spent, not pending and not mitochondrial; "
            f"{len(left):,} are left (these are not: {some(lost)}). Lower the budget to at most {len(left):,}."
        )
        raise DesignError(msg)
    return left


def as_proposals(chosen: pd.DataFrame, *, policy: str, reasons: list[str]) -> pd.DataFrame:
    """Write chosen RANKING rows as PROPOSALS, in their order.

    Parameters
    ----------
    chosen
        RANKING rows, best first.
    policy
        Name of the policy.
    reasons
        Why each was chosen, in words.
    """
    return PROPOSALS.checked(
        chosen.assign(policy=policy, place=np.arange(1, len(chosen) + 1), reason=reasons)
    )
