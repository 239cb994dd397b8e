"""Which genes are alike before anything was measured, and without any model: what a panel covers, and what a batch spreads over."""

import numpy as np

from perturbloop.data.gene_sets import GeneSets
from perturbloop.data.states import StateCells
from perturbloop.evidence.kernels import Kernel, coexpression_kernel, gene_set_kernel


def alike(states: StateCells, sets: GeneSets | None) -> Kernel:
    """Genes are alike that share gene sets; where no sets are known, those that vary together within states and donors.

    Parameters
    ----------
    states
        Start and goal cells.
    sets
        Gene sets; `None` where none are known.
    """
    if sets is not None:
        return gene_set_kernel(sets)
    cells, group_n = states.cells, states.is_goal_n.astype(int).astype(str)
    if states.donor_n is not None:
        group_n = group_n + np.char.add(" ", states.donor_n.astype(str))
    return coexpression_kernel(cells.log_normalized(), cells.gene_ids, group_n)
