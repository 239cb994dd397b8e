"""How far each compound brings cells back from the start state (disease) to the goal (control), and what it costs them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbloop.data.arms import ALL, Arms
from perturbloop.data.states import StateCells
from perturbloop.errors import InputError, some
from perturbloop.evidence.axis import LEVELS, gap_of_states, readouts, scores, state_score_of
from perturbloop.evidence.condition import columns_of, signs
from perturbloop.evidence.matching import over_donors
from perturbloop.evidence.score import shared_genes
from perturbloop.evidence.sheet import Block, Key, Sheet, sheet_of
from perturbloop.evidence.toxicity import harms
from perturbloop.schema import POSITIONS, REVERSAL

COMPOSITION_ONLY, UNMATCHED = "composition only", "unmatched"
"""Flags of a whole-sample shift that other shares of cell types explain, and of one that nothing alike can be compared with."""
Gap = tuple[float, float]
"""Distance from the start to the goal state with the vehicle, in logits: as it is, and matched."""


@dataclass(frozen=True)
class Reversal:
    """Position of every cell of a file on the axis, and what follows for every compound."""

    table: pd.DataFrame
    """Table `schema.REVERSAL`."""
    positions: pd.DataFrame
    """Table `schema.POSITIONS`."""
    warnings: tuple[str, ...]
    """What the report must say."""


def measure_reversal(
    states: StateCells, arms: Arms, *, names: tuple[str, str], unread: Collection[str] = ()
) -> Reversal:
    """Place every cell between disease and control, and tell for every compound, dose and time how far back it brings cells.

    Parameters
    ----------
    states
        Start and goal cells of the campaign: they train the axis, without those of the donor that is read.
    arms
        Cells of the treated file.
    names
        The start and the goal state.
    unread
        Genes that the axis may not read.

    Returns
    -------
    `Reversal`; 0 = mean of the start cells with the vehicle, of the same donor and plate, 1 = of the goal cells with it.

    Raises
    ------
    InputError
        If no donor's cells can be read, or the goal cells with the vehicle do not stand beyond the start cells with it.
    """
    score, state_donor_n = state_score_of(states, shared_genes(states.cells, arms.cells), unread=unread)
    donors = sorted(set(arms.donor_n))
    by_donor = dict(readouts(score, state_donor_n, donors))
    _require_donors(len(by_donor), donors, arms)
    sheet = sheet_of(arms, scores(arms.cells, arms.donor_n, by_donor, levels=LEVELS), LEVELS)
    own = bool((arms.is_goal_n & arms.is_vehicle_n).any())
    borrowed = (gap_of_states(score, state_donor_n),) * 2
    gaps = {kind: _gap(sheet, kind) if own else borrowed for kind in sheet.kinds}
    gaps = {kind: gap for kind, gap in gaps.items() if all(size > 0 for size in gap)}  # a missing one is not
    _require_axis(gaps, names, arms, own=own)
    rows = [_row(sheet, key, kind, gaps[kind]) for key in sheet.groups for kind in gaps]
    table = REVERSAL.checked(pd.DataFrame([row for row in rows if row], columns=REVERSAL.names))
    lost = [f"donor '{one}'" for one in donors if one not in by_donor]
    lost += [f"cell type '{one}'" for one in sheet.kinds if one not in gaps]
    unseen = [] if state_donor_n is None else sorted(set(donors) - set(state_donor_n.astype(str)) - {ALL})
    warnings = (*_warnings(lost, score.heldout_auroc), *_unseen(unseen, state_donor_n))
    return Reversal(table, _positions(arms, sheet, gaps[ALL][0], names), warnings)


def _gap(sheet: Sheet, kind: str) -> Gap:
    """Of donors with both states; of all together where no donor and plate has both."""
    goal = sheet.rows(goal=True, key=None, kind=kind)
    blocks = sheet.blocks(goal, kind)
    if not blocks:
        vehicle = sheet.rows(goal=False, key=None, kind=kind)
        blocks = [Block("", goal, vehicle)] if min(len(goal), len(vehicle)) else []
    found = [sheet.compared(block) for block in blocks]
    if not found:
        return 0.0, 0.0
    return float(np.mean([one.raw for one in found])), float(np.nanmean([one.matched for one in found]))


def _row(sheet: Sheet, key: Key, kind: str, gap: Gap) -> dict[str, object]:
    """Row of a compound, dose and time; empty where no donor has treated and vehicle cells."""
    blocks = sheet.blocks(sheet.rows(goal=False, key=key, kind=kind), kind)
    if not blocks:
        return {}
    found = [sheet.compared(block) for block in blocks]
    raw, matched, mixed = (
        _by_donor(blocks, [getattr(one, name) / size for one in found])
        for name, size in (("raw", gap[0]), ("matched", gap[1]), ("composition", gap[0]))
    )
    log_ratios = [signs(sheet, block) for block in blocks]
    told = {name: _by_donor(blocks, [one[name] for one in log_ratios]) for name in log_ratios[0]}
    (share, low, high), (share_raw, raw_low, raw_high) = over_donors(matched), over_donors(raw)
    row = {
        "target": key[0],
        "dose": key[1],
        "time": key[2],
        "cell_type": kind,
        "share": share,
        "ci_low": low,
        "ci_high": high,
        "share_raw": share_raw,
        "raw_ci_low": raw_low,
        "raw_ci_high": raw_high,
        "from_composition": over_donors(mixed)[0],
        "n_cells": sum(len(block.own) for block in blocks),
        "n_vehicle": sum(len(block.vehicle) for block in blocks),
        "n_donors": len(matched),
        **columns_of(sheet, key, kind, blocks, over_donors(told["few cells"])[0]),
    }
    flags = (*harms(told), *_flags(row, kind))
    return row | {"flags": ", ".join(flags)}


def _by_donor(blocks: list[Block], values: Iterable[float]) -> np.ndarray:
    """Mean of each donor over its plates, weighted by treated cells; donors without a value are left out."""
    weighed: dict[str, list[tuple[float, int]]] = {}
    for block, value in zip(blocks, values, strict=True):
        if np.isfinite(value):
            weighed.setdefault(block.donor, []).append((value, len(block.own)))
    return np.array(
        [
            np.average([value for value, _ in parts], weights=[n for _, n in parts])
            for parts in weighed.values()
        ],
        dtype=float,
    )


def _flags(row: dict[str, object], kind: str) -> Iterable[str]:
    """What makes a share no reversal, apart from harm."""
    share, low, high = (float(str(row[name])) for name in ("share", "ci_low", "ci_high"))
    raw, raw_low, mixed = (float(str(row[name])) for name in ("share_raw", "raw_ci_low", "from_composition"))
    if np.isnan(share):
        yield UNMATCHED
    if kind == ALL and raw_low > 0 and not low > 0 and mixed >= raw / 2 and high == high:
        yield COMPOSITION_ONLY


def _positions(arms: Arms, sheet: Sheet, gap: float, names: tuple[str, str]) -> pd.DataFrame:
    score_n, vehicle = pd.Series(sheet.score_nl[:, 0]), sheet.rows(goal=False, key=None)
    of_vehicle_n = score_n.where(score_n.index.isin(vehicle))
    zero_n = of_vehicle_n.groupby([arms.donor_n, arms.plate_n]).transform("mean")
    zero_n = zero_n.fillna(of_vehicle_n.groupby(arms.donor_n).transform("mean")).fillna(of_vehicle_n.mean())
    columns = {
        "cell": arms.cells.obs.index.astype(str),
        "arm": np.where(arms.is_goal_n, names[1], names[0]),
        "target": arms.target_n,
        "dose": arms.dose_n,
        "time": arms.time_n,
        "plate": arms.plate_n,
        "donor": arms.donor_n,
        "cell_type": arms.cell_type_n,
        "phase": sheet.phase_n,
        "n_counts": np.exp(sheet.log_depth_n).round().astype(int),
        "position": (score_n - zero_n) / gap,
    }
    return POSITIONS.checked(pd.DataFrame(columns))


def _require_donors(n_read: int, donors: Collection[str], arms: Arms) -> None:
    if not n_read:
        msg = (
            f"The axis is read in a donor's cells by a classifier of the other donors, which needs start and goal cells of others; for none "
            f"of {some(donors)} in {arms.cells.source} does the campaign have them. Give state cells of more donors, or leave "
            "`--donor-column` out."
        )
        raise InputError(msg)


def _require_axis(gaps: dict[str, Gap], names: tuple[str, str], arms: Arms, *, own: bool) -> None:
    if ALL not in gaps and not own:
        msg = (
            f"{arms.cells.source} has no '{names[1]}' cells with the vehicle, so the campaign's own '{names[1]}' cells mark the end of the way back; "
            f"in a donor whom the classifier never saw they do not stand apart from '{names[0]}' cells. Add '{names[1]}' cells with the vehicle, or give "
            "state cells of more donors of both states."
        )
        raise InputError(msg)
    if ALL not in gaps:
        msg = (
            f"With the vehicle, '{names[1]}' cells must stand nearer to the goal than '{names[0]}' cells; in {arms.cells.source} they do not, "
            "by a classifier of the campaign's cells, or the two share no cell type, so there is no way back to measure. See whether `--arm-column` and the states of the "
            "campaign mean the same, and whether the file's cells are like the campaign's."
        )
        raise InputError(msg)


def _warnings(lost: list[str], auroc: float) -> tuple[str, ...]:
    said = []
    if lost:
        said.append(
            f"Not placed between the states, for want of cells of both to compare with: {some(lost)}."
        )
    if auroc < 0.7:
        said.append(
            f"The axis tells held-out start from goal cells with AUROC {auroc:.2f} only; shares of the way back mean little."
        )
    return tuple(said)


def _unseen(donors: list[str], state_donor_n: np.ndarray | None) -> tuple[str, ...]:
    """Say of which donors the campaign has no cells: one that goes by another name there has trained what reads him."""
    if not donors or state_donor_n is None:
        return ()
    return (
        f"Of donor {some(donors)} the campaign has no cells; its donors are {some(sorted(set(state_donor_n.astype(str))))}. A donor who goes by "
        "another name there is read by a classifier that saw his cells: name donors alike.",
    )
