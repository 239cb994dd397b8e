"""What every engine offers: it reads cells before and after their edits; the difference is the shift."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturbloop.data.tokens import Tokens
from perturbloop.models.cell_model import CellModel
from perturbloop.models.readout import Readout
from perturbloop.perturb.cost import Footprint
from perturbloop.perturb.plan import Plan
from perturbloop.schema import SHIFTS

OnRows = Callable[[int], None]
Readings = Float[np.ndarray, "p 2"]
"""Cosine to the goal state and logit of the head, one row per cell, float64."""


class Engine(ABC):
    """A model and a readout that score the edits of a plan; members differ in what they edit."""

    model: CellModel
    """Names the genes, embeds the cells."""
    readout: Readout
    """Goal state and state head in the model's embedding space."""

    @abstractmethod
    def unedited(self, tokens: Tokens, cells: np.ndarray) -> Readings:
        """Read cells, by their row in `tokens`, as they are."""

    @abstractmethod
    def edited(
        self, tokens: Tokens, plan: Plan, edits: pd.DataFrame, *, on_rows: OnRows | None = None
    ) -> Readings:
        """Read the cell of each edit after it.

        Parameters
        ----------
        tokens
            Encoded cells.
        plan
            What the edits mean: policy and dose.
        edits
            Rows of the plan to make.
        on_rows
            Called with the number of edits done.

        Returns
        -------
        Cosine to the goal state and logit of the head, one row per edit in their order.
        """

    def at_full_precision(self) -> "Engine":
        """Return the same engine in its best arithmetic: itself, where it knows no other."""
        return self

    def apart(self) -> "Engine":
        """Return the same engine without what is kept of earlier work: it computes all it is asked for."""
        return self

    @abstractmethod
    def footprint(self, tokens: Tokens) -> Footprint:
        """What reading each cell once takes."""

    def shifts(
        self,
        tokens: Tokens,
        plan: Plan,
        *,
        edits: pd.DataFrame | None = None,
        on_rows: OnRows | None = None,
    ) -> pd.DataFrame:
        """Score edits by reading the edited and the unedited cell; positive = toward the goal.

        Parameters
        ----------
        tokens
            Encoded cells.
        plan
            What the edits mean.
        edits
            Rows of the plan to score; all by default.
        on_rows
            Called with the number of edits done.

        Returns
        -------
        Table `SHIFTS`, one row per edit in the order given.
        """
        edits = plan.edits if edits is None else edits
        cells, place_p = np.unique(edits["cell"].to_numpy(int), return_inverse=True)
        original_p2 = self.unedited(tokens, cells)[place_p]
        shift_p2 = self.edited(tokens, plan, edits, on_rows=on_rows) - original_p2
        gene_of = self.model.vocabulary.gene_of_token
        frame = pd.DataFrame(
            {
                "cell": edits["cell"].to_numpy(),
                "gene_id": np.array([gene_of[token] for token in edits["token"]], dtype=object),
                "kind": edits["kind"].to_numpy(),
                "position": edits["position"].to_numpy(),
                "shift_to_goal": shift_p2[:, 0],
                "logit_shift": shift_p2[:, 1],
            }
        )
        return SHIFTS.checked(frame)
