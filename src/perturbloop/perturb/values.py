r"""The values engine: edits change one gene's value in what a model reads of a cell, and every edited cell is embedded anew.

The exact engine of any `ValueModel`. What an edit means, v the gene's value, m and M the lowest and the highest that the model
reads in the cell, T the lower of M + 1 and the highest value that the model knows:

* delete: v becomes 0, so that the gene is not read;
* overexpress: v becomes T;
* inhibit at dose a: v moves the share a of its way to m, activate the share a of its way to T.

The other genes keep their values, so that no next gene moves up after a deletion. The plan, its cells and its draws are those of the
encoders of tokens.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.tokens import Tokens
from perturbloop.models.cell_model import ROWS, ValueModel
from perturbloop.models.readout import Readout
from perturbloop.perturb.cost import Footprint, encoder_footprint
from perturbloop.perturb.counts import edited_counts
from perturbloop.perturb.engine import Engine, OnRows, Readings
from perturbloop.perturb.plan import Plan


class ValuesEngine(Engine):
    """Embeds cells with one value changed each."""

    model: ValueModel

    def __init__(self, model: ValueModel, readout: Readout, cells: Cells) -> None:
        """Take the cells whose tokens are planned on, in the same order."""
        self.model, self.readout = model, readout
        self.values_ng = sparse.csr_matrix(model.values(cells), dtype=np.float64)
        self._goal = readout.direction_d
        genes, tokens = model.vocabulary.gene_ids, model.vocabulary.tokens
        self._column = {int(token): column for column, token in zip(range(len(genes)), tokens, strict=True)}

    def unedited(self, tokens: Tokens, cells: np.ndarray) -> Readings:
        """Read cells as they are."""
        return self._read(self.values_ng[cells])

    def edited(
        self, tokens: Tokens, plan: Plan, edits: pd.DataFrame, *, on_rows: OnRows | None = None
    ) -> Readings:
        """Embed every edited cell.

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
        for start in range(0, len(edits), ROWS):
            part = edits.iloc[start : start + ROWS]
            readings_p2[start : start + ROWS] = self._read(self._edited(plan, part))
            if on_rows is not None:
                on_rows(len(part))
        return readings_p2

    def footprint(self, tokens: Tokens) -> Footprint:
        """What a pass of each cell takes, counted from the model's sizes."""
        return encoder_footprint(self.model.shape, tokens, batch_tokens=ROWS * int(tokens.length_n.max()))

    def _edited(self, plan: Plan, edits: pd.DataFrame) -> sparse.csr_matrix:
        """Values of each edit's cell after it."""
        rows_pg = self.values_ng[edits["cell"].to_numpy(int)]
        column_p = np.array([self._column[int(token)] for token in edits["token"]])
        place_p = np.arange(len(edits))
        before_p = np.asarray(rows_pg[place_p, column_p]).ravel()
        after_p = np.empty(len(edits))
        for kind in edits["kind"].unique():
            here = np.flatnonzero(edits["kind"].to_numpy() == kind)
            low_p, high_p = _range(rows_pg[here])
            after_p[here] = edited_counts(
                before_p[here], kind, low=low_p, high=high_p, dose=plan.dose, most=self.model.highest
            )
        change = sparse.csr_matrix((after_p - before_p, (place_p, column_p)), shape=rows_pg.shape)
        rows_pg = sparse.csr_matrix(rows_pg + change)
        rows_pg.eliminate_zeros()
        return rows_pg

    def _read(self, values_ng: sparse.csr_matrix) -> Readings:
        """Cosine to the goal state and logit of the head, one row per cell."""
        emb_nd = self.model.embed_values(values_ng).astype(np.float64)
        norm_n = np.linalg.norm(emb_nd, axis=1)
        cosine_n = emb_nd @ self._goal / np.where(norm_n > 0, norm_n, 1)
        return np.stack([cosine_n, self.readout.logit(emb_nd)], axis=1)


def _range(
    values_ng: sparse.csr_matrix,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Lowest and highest value that is read in each cell."""
    starts = values_ng.indptr[:-1]
    return np.minimum.reduceat(values_ng.data, starts), np.maximum.reduceat(values_ng.data, starts)
