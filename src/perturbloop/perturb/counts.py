r"""The counts engine: edits change a gene's count in a cell, and the cell is normalized anew.

What an edit means, c the gene's count, m and M the lowest and the highest count that the cell has of any gene:

* delete: c becomes 0;
* overexpress: c becomes M + 1, so that the gene is the cell's highest, as a move to the front makes it in an encoding;
* inhibit at dose a: c moves the share a of its way to m, activate the share a of its way to M + 1.

The plan, its cells, its draws and its policies are those of the encoders, so that two models differ in the model alone.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.tokens import Tokens
from perturbloop.models.linear import Linear
from perturbloop.models.readout import Readout
from perturbloop.perturb.cost import Footprint, counts_footprint
from perturbloop.perturb.engine import Engine, OnRows, Readings
from perturbloop.perturb.plan import Plan
from perturbloop.schema import Kind

PER = 1e4
"""Counts a cell is brought to."""


class CountsEngine(Engine):
    """Edits counts of a linear model's cells, in float64."""

    model: Linear

    def __init__(self, model: Linear, readout: Readout, cells: Cells) -> None:
        """Take the cells whose tokens are planned on, in the same order."""
        self.model, self.readout = model, readout
        self.counts_ng = sparse.csr_matrix(cells.restrict(model.gene_ids).counts_ng, dtype=np.float64)
        self._goal = readout.direction_d
        self._weight = readout.weight_d.astype(np.float64)
        self._column = {gene: column for column, gene in enumerate(model.gene_ids)}

    def unedited(self, tokens: Tokens, cells: np.ndarray) -> Readings:
        """Read cells as they are."""
        return np.array([self._cell(cell).original() for cell in cells]).reshape(-1, 2)

    def edited(
        self, tokens: Tokens, plan: Plan, edits: pd.DataFrame, *, on_rows: OnRows | None = None
    ) -> Readings:
        """Read cells whose counts are edited; the edits of a cell share its sums.

        Parameters
        ----------
        tokens
            Not read: the cells are those the engine was made with, in the same order.
        plan, edits, on_rows
            As in `Engine.edited`.

        Returns
        -------
        As `Engine.edited` returns them.
        """
        readings_p2 = np.empty((len(edits), 2))
        gene_of = self.model.vocabulary.gene_of_token
        column_p = np.array([self._column[gene_of[token]] for token in edits["token"]], dtype=int)
        number_p = np.arange(len(edits))
        for (cell, kind), group in edits.assign(number=number_p).groupby(["cell", "kind"], sort=False):
            numbers = group["number"].to_numpy(int)
            here = self._cell(cell)
            count_p = here.count(column_p[numbers])
            after_p = edited_counts(count_p, kind, low=here.low, high=here.high, dose=plan.dose)
            readings_p2[numbers] = here.after(column_p[numbers], count_p, after_p)
            if on_rows is not None:
                on_rows(len(numbers))
        return readings_p2

    def footprint(self, tokens: Tokens) -> Footprint:
        """About eight operations for each expressed gene, and a few copies of one cell."""
        return counts_footprint(np.diff(self.counts_ng.indptr).astype(float))

    def _cell(self, cell: int | np.integer) -> "_Cell":
        part = slice(self.counts_ng.indptr[cell], self.counts_ng.indptr[cell + 1])
        columns = self.counts_ng.indices[part]
        return _Cell(columns, self.counts_ng.data[part], self._weight, self._goal, self.readout.bias)


def edited_counts(
    count_p: Float[np.ndarray, " p"],
    kind: Kind,
    *,
    low: float | Float[np.ndarray, " p"],
    high: float | Float[np.ndarray, " p"],
    dose: float,
    most: float = np.inf,
) -> Float[np.ndarray, " p"]:
    """Counts of edited genes.

    Parameters
    ----------
    count_p
        Their counts before the edit; 0 where the cell does not express the gene.
    kind
        Edit.
    low, high
        Lowest and highest count of a gene the cell expresses; one for all, or one for each.
    dose
        For `inhibit` and `activate`: 0 = no effect, 1 = all the way.
    most
        Highest count that a gene may be raised to.

    Returns
    -------
    Their counts after it, not rounded.

    Examples
    --------
    >>> edited_counts(np.array([3.0]), "overexpress", low=1, high=7, dose=1)
    array([8.])
    """
    if kind == "delete":
        return np.zeros_like(count_p)
    top = np.minimum(np.add(high, 1), most)
    if kind == "overexpress":
        return np.full_like(count_p, top)
    goal = low if kind == "inhibit" else top
    return count_p + dose * (goal - count_p)


@dataclass(frozen=True)
class _Cell:
    """One cell: the genes it expresses, and what its expression is read with."""

    columns: np.ndarray
    counts: np.ndarray
    weight: np.ndarray
    goal: np.ndarray
    bias: float

    @property
    def low(self) -> float:
        """Lowest count of a gene it expresses."""
        return float(self.counts.min())

    @property
    def high(self) -> float:
        """Highest count of a gene."""
        return float(self.counts.max())

    def count(self, columns_p: np.ndarray) -> np.ndarray:
        """Counts of genes; 0 where the cell does not express them."""
        dense = np.zeros(len(self.weight))
        dense[self.columns] = self.counts
        return dense[columns_p]

    def original(self) -> np.ndarray:
        """Reading of the unedited cell."""
        nothing = np.zeros(1)
        return self.after(np.zeros(1, dtype=int), nothing, nothing)[0]

    def after(self, columns_p: np.ndarray, before_p: np.ndarray, after_p: np.ndarray) -> Readings:
        """Readings with one count changed each.

        Parameters
        ----------
        columns_p
            Column of each edited gene.
        before_p
            Its count in the cell.
        after_p
            Its count after the edit.

        Returns
        -------
        Cosine to the goal state and logit of the head, one row per edit.

        Notes
        -----
        Every other gene sees the edit through the cell's total alone, so that sums over genes are made once for each
        total, and the edited gene's own term is exchanged.
        """
        total_u, place_p = np.unique(self.counts.sum() + after_p - before_p, return_inverse=True)
        scale_u = np.divide(PER, total_u, out=np.zeros_like(total_u), where=total_u > 0)
        x_ug = np.log1p(self.counts * scale_u[:, None])
        head_u, goal_u = x_ug @ self.weight[self.columns], x_ug @ self.goal[self.columns]
        square_u, scale_p = (x_ug**2).sum(axis=1), scale_u[place_p]
        old_p, new_p = np.log1p(before_p * scale_p), np.log1p(after_p * scale_p)
        change_p = new_p - old_p
        norm_p = np.sqrt(np.maximum(square_u[place_p] - old_p**2 + new_p**2, 0))
        dot_p = goal_u[place_p] + self.goal[columns_p] * change_p
        cosine_p = np.divide(dot_p, norm_p, out=np.zeros_like(dot_p), where=norm_p > 0)
        logit_p = head_u[place_p] + self.weight[columns_p] * change_p + self.bias
        return np.stack([cosine_p, logit_p], axis=1)
