"""The screen: what every edit of a cell would do, from gradients at a few states of that cell.

A gene's gate lets it be heard (as a key in every attention) and counted (in the mean that is the cell's embedding).
Closing the gate of gene i and moving every later gene up by one rank is deleting it. Both are followed by a gradient,
and gradients are taken at both ends of the way, the cell as it is and the cell with all ranks moved: a trapezoid,
since the step from one position vector to the next is too long for one tangent. No edit is encoded.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float

from perturbloop.perturb.edit import Row
from perturbloop.perturb.exact import ExactEngine
from perturbloop.schema import Kind

ANCHORS = 8
"""Groups of neighboring ranks whose moves to the front are anchored by states of their own."""
READINGS = ("shift_to_goal", "logit_shift")

Screened = Float[np.ndarray, "g 2"]
"""Estimated shift of each gene of a cell, front to end: cosine to the goal, logit of the head."""


def screen(
    engine: ExactEngine,
    row: Row,
    kind: Kind,
    *,
    edge: int,
    readings: Sequence[str] = READINGS,
    anchors: int = ANCHORS,
) -> Screened:
    """Estimate the shift of every single-gene edit of one cell.

    Parameters
    ----------
    engine
        Model and readout; its precision is used.
    row
        Tokens of the cell.
    kind
        `delete` or `overexpress` (of genes the cell expresses).
    edge
        Special tokens at each end.
    readings
        Which of the two readings to estimate; the others are NaN and cost nothing.
    anchors
        Groups of ranks for `overexpress`; more are dearer and closer.

    Returns
    -------
    Genes × 2 (`READINGS`); positive = toward the goal.

    Notes
    -----
    Deleting gene i: :math:`-\\partial f/\\partial g_i + \\sum_{j>i} (P_{j-1} - P_j) \\cdot \\partial f/\\partial e_j`, g the
    gates and e the summed word and position vectors, averaged over the two states. Overexpressing gene i moves the genes
    before it down by one rank and gene i to the front. The moves of others are integrated along states whose first
    ranks are moved already, and meet the exact values there; the jump of gene i itself is a trapezoid between its place
    and the state in which its whole group stands at the front. The second is the weak part: a whole group at the front
    is not one gene at the front.
    """
    if kind == "delete":
        return _delete(engine, row, edge, readings)
    return _overexpress(engine, row, edge, readings, anchors)


def _delete(engine: ExactEngine, row: Row, edge: int, readings: Sequence[str]) -> Screened:
    length = len(row)
    place = torch.arange(length)
    moved = torch.where(place > edge, place - 1, place)
    _, slope_rst, gate_rst = _gradients(engine, row, torch.stack([place, moved]), readings)
    step_rt = _along(engine, slope_rst.mean(1), moved, place)
    step_rt[:, : edge + 1] = 0
    later_rt = step_rt.sum(1, keepdim=True) - step_rt.cumsum(1)
    return _genes(later_rt - gate_rst.mean(1), edge)


def _overexpress(engine: ExactEngine, row: Row, edge: int, readings: Sequence[str], anchors: int) -> Screened:
    length = len(row)
    place = torch.arange(length)
    gene = (place >= edge) & (place < length - edge)
    bound = torch.linspace(edge, length - edge, min(anchors, length - 2 * edge) + 1).round().long()
    down = (place + 1).clamp(max=length - 1 - edge)
    shifted = [torch.where(gene & (place < b), down, place) for b in bound]
    jumped = [
        torch.where((place >= a) & (place < b), edge, before)
        for a, b, before in zip(bound[:-1], bound[1:], shifted[:-1], strict=True)
    ]
    value_rs, slope_rst, _ = _gradients(engine, row, torch.stack([*shifted, *jumped]), readings)
    found_rt = torch.zeros(2, length, dtype=torch.float64)
    for k, (a, b) in enumerate(zip(bound[:-1].tolist(), bound[1:].tolist(), strict=True)):
        group = slice(a, b)
        both = (slope_rst[:, k] + slope_rst[:, k + 1]) / 2
        step_rt = _along(engine, both, down, place)[:, group]
        passed_rt = step_rt.cumsum(1) - step_rt
        gap_r = value_rs[:, k + 1] - value_rs[:, k] - step_rt.sum(1)
        share = torch.arange(b - a, dtype=torch.float64) / (b - a)
        others_rt = (value_rs[:, k] - value_rs[:, 0])[:, None] + passed_rt + gap_r[:, None] * share
        own = (both + slope_rst[:, len(shifted) + k]) / 2
        own_rt = _along(engine, own, torch.full_like(place, edge), place)[:, group]
        found_rt[:, group] = others_rt + own_rt
    return _genes(found_rt, edge)


def _along(
    engine: ExactEngine, slope_rtd: torch.Tensor, to: torch.Tensor, origin: torch.Tensor
) -> torch.Tensor:
    """Change of the reading when every token's position vector changes from `origin` to `to`, one token at a time."""
    position = engine.encoder.positions.double().cpu()
    return ((position[to] - position[origin])[None] * slope_rtd).sum(-1)


def _gradients(
    engine: ExactEngine, row: Row, positions_st: torch.Tensor, readings: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Readings of each state, and their slopes by summed vectors and by gates, as many states at once as fit.

    Returns
    -------
    Reading × state, reading × state × token × width, reading × state × token; readings not asked for are NaN.
    """
    size, start = max(1, engine.batch_tokens // len(row)), 0
    parts: list[tuple[torch.Tensor, ...]] = []
    while start < len(positions_st):
        part = positions_st[start : start + size]
        found = engine.within_memory(partial(_states, engine, row, part, readings), rows=len(part))
        if found is None:
            size = max(1, size // 2)
            continue
        parts.append(found)
        start += len(part)
    value, slope, gate = (torch.cat(piece, dim=1) for piece in zip(*parts, strict=True))
    return value, slope, gate


def _states(
    engine: ExactEngine, row: Row, positions_st: torch.Tensor, readings: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    encoder, model = engine.encoder, engine.model
    positions = positions_st.to(model.device)
    token = torch.from_numpy(np.asarray(row, dtype=np.int64)).to(model.device).expand(len(positions), -1)
    summed = encoder.summed(token, positions).requires_grad_()
    gate = torch.ones(positions.shape, device=model.device, requires_grad=True)
    hidden = encoder.hidden(encoder.embedded(summed), key_bias_bt=gate.log(), first_only=model.first_only)
    reading_s2 = engine.reading(model.pool(hidden, None if model.first_only else gate))
    n_states, length = positions.shape
    value = torch.full((2, n_states), torch.nan, dtype=torch.float64)
    slope = torch.full((2, n_states, length, encoder.dim), torch.nan, dtype=torch.float64)
    by_gate = torch.full((2, n_states, length), torch.nan, dtype=torch.float64)
    wanted = [place for place, name in enumerate(READINGS) if name in readings]
    for place in wanted:
        column = reading_s2[:, place]
        last = place == wanted[-1]
        grads = torch.autograd.grad(column.sum(), [summed, gate], retain_graph=not last)
        value[place] = column.detach().cpu()
        slope[place], by_gate[place] = (grad.double().cpu() for grad in grads)
    return value, slope, by_gate


def _genes(found_rt: torch.Tensor, edge: int) -> Screened:
    return found_rt[:, edge : found_rt.shape[1] - edge].T.numpy().copy()
