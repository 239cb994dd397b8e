"""The exact engine: every edited cell is encoded anew. It is the reference for anything faster."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.base import CellModel
from perturbloop.perturb.edit import Row, delete, overexpress
from perturbloop.perturb.readout import Readout
from perturbloop.schema import SHIFTS
from perturbloop.stats.shift import shift_to_goal


def exact_shifts(
    model: CellModel,
    readout: Readout,
    tokens: Tokens,
    edits: pd.DataFrame,
    *,
    batch_tokens: int = 16384,
    on_batch: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Score edits by encoding the edited and the unedited cell.

    Parameters
    ----------
    model
        Encoder.
    readout
        Goal state and state head in its embedding space.
    tokens
        Encoded cells.
    edits
        Rows of a plan: `cell`, `kind`, `token`, `position`.
    batch_tokens
        Tokens in a batch; the result does not depend on it beyond float32 rounding.
    on_batch
        Called with the number of passes done.

    Returns
    -------
    Table `SHIFTS`, one row per edit in the order given.
    """
    cells, place_p = np.unique(edits["cell"].to_numpy(), return_inverse=True)
    original_nd = model.embed([tokens.row(cell) for cell in cells], batch_tokens=batch_tokens)
    rows = [
        edited(tokens.row(cell), kind, token, first=int(tokens.has_cls))
        for cell, kind, token in zip(edits["cell"], edits["kind"], edits["token"], strict=True)
    ]
    perturbed_pd = model.embed(rows, batch_tokens=batch_tokens, on_batch=on_batch).astype(np.float64)
    original_pd = original_nd[place_p].astype(np.float64)
    frame = pd.DataFrame(
        {
            "cell": edits["cell"].to_numpy(),
            "gene_id": _gene_ids(edits, model.vocabulary),
            "kind": edits["kind"].to_numpy(),
            "position": edits["position"].to_numpy(),
            "shift_to_goal": shift_to_goal(original_pd, perturbed_pd, readout.goal_d.astype(np.float64)),
            "logit_shift": readout.logit(perturbed_pd) - readout.logit(original_pd),
        }
    )
    return SHIFTS.checked(frame)


def edited(row: Row, kind: str, token: int, *, first: int) -> Row:
    """Return the row after one edit of one gene."""
    return delete(row, (token,)) if kind == "delete" else overexpress(row, (token,), first=first)


def _gene_ids(edits: pd.DataFrame, vocabulary: Vocabulary) -> np.ndarray:
    return np.array([vocabulary.gene_of_token[token] for token in edits["token"]], dtype=object)
