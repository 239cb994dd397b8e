"""Which genes are alike before anything was measured, and without any model: what a panel covers, and what a batch spreads over."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from perturbloop.data.gene_sets import GeneSets
from perturbloop.data.states import StateCells
from perturbloop.evidence.kernels import Kernel, coexpression_kernel, gene_set_kernel
from perturbloop.evidence.knowledge import LEAST_GENES


def alike(states: StateCells, sets: GeneSets | None) -> Kernel:
    """Genes are alike that share gene sets; where the sets hardly know the cells' genes, those that vary together within states.

    Parameters
    ----------
    states
        Start and goal cells.
    sets
        Gene sets; `None` where none are known.
    """
    cells = states.cells
    if (
        sets is not None
        and np.isin(cells.gene_ids.astype(str), sets.gene_ids.astype(str)).sum() >= LEAST_GENES
    ):
        return gene_set_kernel(sets)
    return coexpression_kernel(cells.log_normalized(), cells.gene_ids, states.group_n)


def joined(parts: Sequence[GeneSets]) -> GeneSets | None:
    """Gene sets of several sources as one; `None` where there are none.

    Parameters
    ----------
    parts
        Gene sets, source by source.
    """
    if len(parts) < 2:
        return parts[0] if parts else None
    gene_ids = np.array(sorted({str(gene) for part in parts for gene in part.gene_ids}), dtype=object)
    return GeneSets(
        name=" and ".join(part.name for part in parts),
        set_names=np.concatenate([part.set_names for part in parts]),
        gene_ids=gene_ids,
        member_gs=sparse.csr_matrix(sparse.hstack([_rows(part, gene_ids) for part in parts])),
    )


def _rows(sets: GeneSets, gene_ids: np.ndarray) -> sparse.csr_matrix:
    """Members with a row for each of these genes."""
    place = pd.Index(gene_ids).get_indexer(pd.Index(sets.gene_ids.astype(str)))
    ones = np.ones(len(place), dtype=np.float32)
    shape = (len(gene_ids), len(place))
    return sparse.csr_matrix(
        sparse.csr_matrix((ones, (place, np.arange(len(place)))), shape=shape) @ sets.member_gs
    )
