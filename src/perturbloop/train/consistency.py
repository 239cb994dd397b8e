"""The consistency loss: a control cell with the target edited should land where the really perturbed cells are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import logit
from torch.nn.functional import smooth_l1_loss

from perturbloop.data.tokens import Tokens
from perturbloop.perturb.edit import Policy, Target, edited
from perturbloop.train.examples import Examples

EDGE = 0.01
"""Labels are kept this far from 0 and 1, where a logit has no end."""
CELLS = 8
"""Edited cells of a target in one step."""
CELLS_KEPT = 32
"""Edited cells kept of each target."""

LogitOf = Callable[[Tokens, np.ndarray], torch.Tensor]
"""Logits of some rows, with gradients."""


@dataclass(frozen=True)
class Aims:
    """Edited control cells of each training target, and where its really perturbed cells are."""

    tokens: Tokens
    """Control cells after the edit, all targets below each other."""
    target_n: Int[np.ndarray, " n"]
    """Target of each, as a place in `logit_p`."""
    logit_p: Float[np.ndarray, " p"]
    """Mean logit of the labels of each target's perturbed cells; positive = goal."""


def aims_of(
    examples: Examples,
    controls: Tokens,
    edit_of: Mapping[str, Target],
    *,
    limit: int,
    rng: np.random.Generator,
) -> Aims | None:
    """Edit the training targets in control cells of their study.

    Parameters
    ----------
    examples
        Closed-loop examples; the labels of their perturbed cells say where those are, shuffled where they are shuffled.
    controls
        Encoded control cells of the perturbed files.
    edit_of
        Edit that stands for each target's perturbation; targets it lacks have no aim.
    limit
        Most tokens of a cell.
    rng
        Draws the control cells.

    Returns
    -------
    `None` where no control cell expresses any of the targets.
    """
    rows: list[np.ndarray] = []
    owner: list[int] = []
    logits: list[float] = []
    for target in (target for target in examples.spent if target in edit_of):
        found: list[np.ndarray] = []
        for cell in rng.permutation(controls.n_cells):
            row = _edited(controls, int(cell), edit_of[target], limit)
            if row is not None:
                found.append(row)
            if len(found) == CELLS_KEPT:
                break
        if found:
            label_n = examples.label_n[examples.target_n == target]
            if not len(label_n):  # its weight is 0
                continue
            rows += found
            owner += [len(logits)] * len(found)
            logits.append(float(logit(np.clip(label_n, EDGE, 1 - EDGE)).mean()))
    if not rows:
        return None
    return Aims(Tokens.of_rows(rows, has_cls=controls.has_cls), np.array(owner), np.array(logits))


def consistency_loss(logit_of: LogitOf, aims: Aims, *, rng: np.random.Generator) -> Float[torch.Tensor, ""]:
    r"""How far the edited cells of one target, drawn at random, are from where its perturbed cells are.

    Parameters
    ----------
    logit_of
        Logits of some rows by the model in training, with gradients; positive = goal.
    aims
        Edited control cells of each target, and where they should land.
    rng
        Draws the target, and `CELLS` of its edited cells.

    Notes
    -----
    Smooth L1 of :math:`\overline{f(e'_n)} - \overline{\mathrm{logit}\, y_m}`: f the logit of an edited control cell, y the
    label of a perturbed cell. Means are compared, not cells: no edited cell has a perturbed twin. A reviewer would attack
    that the edit is asked to reproduce knock-downs of any strength, and the labels' own errors with them.
    """
    target = int(rng.integers(len(aims.logit_p)))
    rows = rng.permutation(np.flatnonzero(aims.target_n == target))[:CELLS]
    found = logit_of(aims.tokens, rows).mean()
    return smooth_l1_loss(found, torch.full_like(found, float(aims.logit_p[target])))


def _edited(controls: Tokens, cell: int, target: Target, limit: int) -> np.ndarray | None:
    row = controls.row(cell)
    return edited(row, (target,), policy=Policy(), limit=limit, spare=row[:0], has_cls=controls.has_cls)
