"""Where genes are expressed, and in which sets they are: what a reader wants to see beside a gene's rank."""

import numpy as np
import pandas as pd

from perturbloop.data.cells import log_normalized
from perturbloop.data.gene_sets import GeneSets
from perturbloop.data.states import StateCells, kinds_columns
from perturbloop.schema import EXPRESSION, SETS, CellsConfig, concat

TYPE = "celltype"
"""Name of the column of types, in small letters and without dashes; else it is the first column that tells several."""


def expression_of(states: StateCells, config: CellsConfig) -> pd.DataFrame:
    """Mean and detection of every gene by state, and by type of cell where a column tells several.

    Parameters
    ----------
    states
        Start and goal cells.
    config
        Names of the states, and of columns that are used for something else.

    Returns
    -------
    Table EXPRESSION.
    """
    state_n = np.where(states.is_goal_n, config.goal, config.start).astype(object)
    columns = kinds_columns(states, config)
    named = [name for name in columns if name.lower().replace("_", "").replace("-", "") == TYPE]
    groupings = [np.full(len(state_n), "", dtype=object)]
    if columns:
        groupings.append(states.cells.obs[(named or columns)[0]].astype(str).to_numpy(dtype=object))
    return concat(EXPRESSION, [_by_group(states, state_n, type_n) for type_n in groupings])


def _by_group(states: StateCells, state_n: np.ndarray, type_n: np.ndarray) -> pd.DataFrame:
    group_n, groups = pd.factorize(pd.MultiIndex.from_arrays([state_n, type_n]))
    n_r = np.bincount(group_n)[:, None]
    sum_rg = states.cells.summed(group_n, of=log_normalized)
    seen_rg = states.cells.summed(group_n, of=lambda counts_ng: (counts_ng > 0).astype(np.float64))
    n_genes = len(states.cells.gene_ids)
    labels = pd.DataFrame(list(groups), columns=["state", "cell_type"]).loc[
        lambda rows: rows.index.repeat(n_genes)
    ]
    return labels.reset_index(drop=True).assign(
        gene_id=np.tile(states.cells.gene_ids, len(groups)),
        gene_name=np.tile(states.cells.gene_names, len(groups)),
        mean=(sum_rg / n_r).ravel(),
        detection=(seen_rg / n_r).ravel(),
        n_cells=np.repeat(n_r.ravel(), n_genes),
    )


def sets_of(gene_sets: GeneSets | None, gene_ids: np.ndarray) -> pd.DataFrame:
    """Sets of each gene, small ones first; empty without sets.

    Parameters
    ----------
    gene_sets
        The sets that were read.
    gene_ids
        Genes that are asked for.

    Returns
    -------
    Table SETS.
    """
    if gene_sets is None:
        return concat(SETS, [])
    gene, place = gene_sets.member_gs.nonzero()
    rows = pd.DataFrame(
        {
            "gene_id": gene_sets.gene_ids[gene],
            "gene_set": gene_sets.set_names[place],
            "n_genes": gene_sets.size_s[place],
        }
    )
    return SETS.checked(
        rows[rows["gene_id"].isin(list(gene_ids))].sort_values(["gene_id", "n_genes"], kind="stable")
    )
