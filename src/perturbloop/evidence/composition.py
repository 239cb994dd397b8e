"""Whether a classifier of whole samples has learnt which cell types each state holds, rather than the state."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped
from sklearn.metrics import roc_auc_score

from perturbloop.data.states import StateCells, kinds_columns
from perturbloop.evidence.axis import AT_A_LOOK, state_score_of
from perturbloop.schema import CellsConfig

DIFFERS = 0.05
"""Least difference of a type's share between the states at which composition is looked at."""
LEARNT = 0.05
"""By how much the AUROC of all cells must exceed that within types to say that composition was learnt."""


@dataclass(frozen=True)
class Composition:
    """AUROC of held-out cells by three scores."""

    whole: float
    """The classifier's, all cells together."""
    within: float
    """The classifier's among cells of one type, averaged over types by their pairs of start and goal cells."""
    types_alone: float
    """That of the type's share of goal cells: what composition alone reaches."""


def composition_of(
    score_n: Float[np.ndarray, " n"],
    is_goal_n: Bool[np.ndarray, " n"],
    type_n: Shaped[np.ndarray, " n"],
    train_n: Bool[np.ndarray, " n"],
) -> Composition:
    """Tell what a classifier knows of the state from what it knows of the type.

    Parameters
    ----------
    score_n
        Score of each cell; high = goal.
    is_goal_n
        Whether it is in the goal state.
    type_n
        Its type.
    train_n
        Whether it trained the classifier; only others are judged.
    """
    share_of = pd.Series(is_goal_n[train_n]).groupby(type_n[train_n].astype(str)).mean()
    by_type_n = (
        pd.Series(type_n.astype(str)).map(share_of).fillna(is_goal_n[train_n].mean()).to_numpy(dtype=float)
    )
    judged_n, pairs, found = ~train_n, [], []
    for one in np.unique(type_n[judged_n].astype(str)):
        own_n = judged_n & (type_n.astype(str) == one)
        n_pairs = int(is_goal_n[own_n].sum()) * int((~is_goal_n[own_n]).sum())
        if n_pairs:
            pairs.append(n_pairs)
            found.append(roc_auc_score(is_goal_n[own_n], score_n[own_n]))
    return Composition(
        whole=float(roc_auc_score(is_goal_n[judged_n], score_n[judged_n])),
        within=float(np.average(found, weights=pairs)) if pairs else np.nan,
        types_alone=float(roc_auc_score(is_goal_n[judged_n], by_type_n[judged_n])),
    )


def composition_lines(states: StateCells, config: CellsConfig) -> tuple[str, ...]:
    """Say of every column of cell types whose shares differ between the states how well states are told apart within types.

    Parameters
    ----------
    states
        Start and goal cells.
    config
        Names of columns that are used for something else.
    """
    columns = [name for name in kinds_columns(states, config) if _differs(states, name)]
    if not columns:
        return ()
    score, _ = state_score_of(states, states.cells.gene_ids, strength=AT_A_LOOK)
    cells = score.state
    score_n = score.readout.score(cells)
    said = []
    for name in columns:
        found = composition_of(
            score_n, score.is_goal_n, cells.obs[name].astype(str).to_numpy(dtype=object), score.train_n
        )
        line = (
            f"held-out cells of the states are told apart with AUROC {found.whole:.2f}, within the types of `obs['{name}']` with "
            f"{found.within:.2f}; types alone reach {found.types_alone:.2f}"
        )
        learnt = not found.whole - found.within < LEARNT
        said.append(
            f"{line}: a classifier of all cells learns composition here, take one type with `--subset`"
            if learnt
            else line
        )
    return tuple(said)


def _differs(states: StateCells, name: str) -> bool:
    share = pd.crosstab(states.cells.obs[name].astype(str).to_numpy(), states.is_goal_n, normalize="columns")
    return bool((share[True] - share[False]).abs().max() >= DIFFERS)
