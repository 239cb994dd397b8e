"""In what condition treated cells are: how many are left, their counts, how many divide, their mitochondrial RNA, their types."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from perturbloop.data.arms import ALL
from perturbloop.evidence.sheet import Block, Key, Sheet


@dataclass(frozen=True)
class Condition:
    """Means of some cells; missing where something is not measured."""

    log_depth: float
    """Log counts."""
    cycling: float
    """Share in S, G2 or M phase."""
    mito: float
    """Mitochondrial share of the counts."""
    per_well: float
    """Cells counted in a well, or else sequenced."""
    n_cells: int


def condition_of(sheet: Sheet, rows: Int[np.ndarray, " m"]) -> Condition:
    """Tell the condition of some cells of a sheet."""
    per_well = np.nan
    if sheet.well_n2 is not None and len(rows):
        counted_m, part_m = sheet.well_n2[rows].T
        per_well = float(np.average(counted_m, weights=part_m))
    log_depth, cycling, mito = (
        float(values[rows].mean()) if len(rows) else np.nan
        for values in (sheet.log_depth_n, sheet.cycling_n, sheet.mito_n)
    )
    return Condition(log_depth, cycling, mito, per_well, len(rows))


def signs(sheet: Sheet, block: Block) -> dict[str, float]:
    """Log of the ratio of treated to vehicle cells in what `evidence.toxicity` looks at; missing where it is not measured.

    Parameters
    ----------
    sheet
        Cells of the file.
    block
        Cells of one arm, donor and plate.

    Notes
    -----
    Counts, division and mitochondrial share are compared with the start or the goal cells with the vehicle, whichever are nearer to
    the harm: cells that are brought back may be as small, or divide as little, as those of the goal. Cells recovered are
    compared with the start's.
    """
    own, vehicle = condition_of(sheet, block.own), condition_of(sheet, block.vehicle)
    goal = condition_of(sheet, sheet.goal_vehicles.get(block.donor, sheet.goal_vehicles[""]))
    both = [vehicle, goal] if goal.n_cells else [vehicle]
    return {
        "few cells": _log(own.per_well, vehicle.per_well),
        "shallow": own.log_depth - min(one.log_depth for one in both),
        "arrested": _log(_smoothed(own), min(_smoothed(one) for one in both)),
        "mitochondrial": _log(own.mito, max(one.mito for one in both)),
    }


def columns_of(
    sheet: Sheet, key: Key, kind: str, blocks: list[Block], log_recovered: float
) -> dict[str, float]:
    """Columns of `schema.REVERSAL` that tell the condition of an arm's cells, all donors together.

    Parameters
    ----------
    sheet
        Cells of the file.
    key, kind
        Compound, dose and time, and cell type.
    blocks
        Its cells by donor and plate.
    log_recovered
        Log of the cells per well relative to the vehicle, mean over donors.
    """
    own = condition_of(sheet, np.concatenate([one.own for one in blocks]))
    vehicle = condition_of(sheet, np.unique(np.concatenate([one.vehicle for one in blocks])))
    mixed, mixed_vehicle = (
        len(sheet.rows(goal=False, key=one, kind=kind)) / len(sheet.rows(goal=False, key=one))
        for one in (key, None)
    )
    of_type = 1.0 if kind == ALL else mixed / mixed_vehicle
    return {
        "composition": mixed,
        "composition_vehicle": mixed_vehicle,
        "recovered": float(np.exp(log_recovered)) * of_type,
        "depth": float(np.exp(own.log_depth - vehicle.log_depth)),
        "cycling": own.cycling,
        "cycling_vehicle": vehicle.cycling,
        "mito": own.mito,
        "mito_vehicle": vehicle.mito,
    }


def _smoothed(one: Condition) -> float:
    """Share of cells that divide, half a cell added to either side, so that it is never 0."""
    return (one.cycling * one.n_cells + 0.5) / (one.n_cells + 1)


def _log(value: float, reference: float) -> float:
    return float(np.log(value / reference)) if value > 0 and reference > 0 else np.nan
