"""The arms of a treated file: start and goal cells, each with the vehicle or with a compound at a dose and time, of a donor and plate."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from perturbloop.data.assignment import assigned
from perturbloop.data.cells import Cells, read_cells
from perturbloop.data.genes import NO_NAMES, GeneNames
from perturbloop.data.states import column, is_of_kinds
from perturbloop.errors import InputError, StateError, closest, some
from perturbloop.schema import PerturbedConfig

ALL = "all"
"""Label of the donor, plate, time or cell type where no column names any."""
LEAST_VEHICLE = 10
"""Fewest cells of the start state with the vehicle: what every compound is compared with."""


@dataclass(frozen=True)
class Arms:
    """Cells of both states, treated or not."""

    cells: Cells
    """Cells of either state with a treatment and, where they are asked for, a donor, plate and time."""
    is_goal_n: Bool[np.ndarray, " n"]
    """Whether a cell is of the goal state (control), rather than the start (disease)."""
    target_n: np.ndarray
    """Compound, or target, of each cell, dtype object; `control` where it had the vehicle."""
    control: str
    """Label of the vehicle."""
    dose_n: Float[np.ndarray, " n"]
    """Dose; missing where none is named."""
    time_n: np.ndarray
    """Time under treatment, dtype object; `ALL` where none is named, as in the next three."""
    plate_n: np.ndarray
    """Plate, the replicate of the other tables."""
    donor_n: np.ndarray
    """Donor."""
    cell_type_n: np.ndarray
    """Cell type."""
    well_n: np.ndarray | None = None
    """Well, dtype object; `None` where none is named."""
    recovered_n: Float[np.ndarray, " n"] | None = None
    """Cells that were counted in the well of each cell; `None` where only those sequenced are known."""
    lines: tuple[str, ...] = ()
    """Which cells are left out, in words."""

    @property
    def is_vehicle_n(self) -> Bool[np.ndarray, " n"]:
        """Whether a cell had the vehicle."""
        return np.asarray(self.target_n == self.control, dtype=bool)


def read_arms(
    config: PerturbedConfig, *, start: str, goal: str, names: GeneNames = NO_NAMES
) -> tuple[Arms, tuple[str, ...]]:
    """Read the cells of both states of a treated file.

    Parameters
    ----------
    config
        The file and the names of its columns; `arm_column` must be one of them.
    start, goal
        Names of the two states in that column.
    names
        Which symbol of a gene means which gene.

    Returns
    -------
    The arms, and what must be said of them: that the file has no goal cells, or no donors.

    Raises
    ------
    StateError
        If the start state does not occur, or has hardly any cell with the vehicle.
    InputError
        If doses, or cells counted in wells, are no numbers.
    """
    cells, _ = read_cells(config.path, names=names, gene_column=config.gene_column, reading=config)
    arm_n = _arms(cells, config, start, goal)
    found = assigned(cells, config, names)
    labels = {
        option: column(cells, name, f"--{option}-column", blank=True)
        if name
        else np.full(cells.n_cells, ALL, object)
        for option, name in (
            ("replicate", config.replicate_column),
            ("donor", config.donor_column),
            ("time", config.time_column),
            ("cell-type", config.cell_type_column or _cell_types(cells, config)),
        )
    }
    kept_n = np.isin(arm_n, [start, goal]) & (found.target_n != "")
    for out_n in found.left_out.values():
        kept_n &= ~out_n
    blank_n = np.any([values == "" for values in labels.values()], axis=0)
    place_n = np.flatnonzero(kept_n & ~blank_n)
    replicate_n, donor_n, time_n, cell_type_n = (values[place_n] for values in labels.values())
    is_goal_n, target_n = np.asarray(arm_n[place_n] == goal, dtype=bool), found.target_n[place_n]
    _require_vehicle(is_goal_n, target_n == found.control, config, start)
    left = int((kept_n & blank_n).sum())
    said = (f"{left:,} cells without a donor, plate, time or cell type are in no arm",) if left else ()
    dose_n = _doses(cells, config, found.target_n == found.control)[place_n]
    well_n, recovered_n = _wells(cells, config)
    arms = Arms(
        cells=cells.select(place_n),
        is_goal_n=is_goal_n,
        target_n=target_n,
        control=found.control,
        dose_n=dose_n,
        time_n=time_n,
        plate_n=replicate_n,
        donor_n=donor_n,
        cell_type_n=cell_type_n,
        well_n=None if well_n is None else well_n[place_n],
        recovered_n=None if recovered_n is None else recovered_n[place_n],
        lines=said,
    )
    return arms, _warnings(arms, config, goal)


def of_arm(cells: Cells, config: PerturbedConfig, start: str) -> Cells:
    """Cells of the start state alone, where a column tells the arms; all cells where none does.

    Parameters
    ----------
    cells
        Cells of the file.
    config
        Name of the column, if any.
    start
        Name of the start state.
    """
    if config.arm_column is None:
        return cells
    return cells.select(np.flatnonzero(_arms(cells, config, start, "") == start))


def _arms(cells: Cells, config: PerturbedConfig, start: str, goal: str) -> np.ndarray:
    arm_n = column(cells, str(config.arm_column), "--arm-column", blank=True)
    known = [label for label in pd.unique(arm_n) if label]
    if start not in known:
        also = f" and '{goal}'" if goal else ""
        msg = (
            f"`obs['{config.arm_column}']` of {cells.source} must name the start state '{start}'{also} as the campaign does; its values "
            f"are {some(known, limit=12)}. Name the column with `--arm-column`, or rename the value: the closest is {closest(start, known)}."
        )
        raise StateError(msg)
    return arm_n


def _cell_types(cells: Cells, config: PerturbedConfig) -> str | None:
    """Name of the first column that tells kinds of cells apart; `None` where none does."""
    used = {config.arm_column, config.donor_column, config.target_column, config.replicate_column}
    return next(
        (str(name) for name in cells.obs.columns if name not in used and is_of_kinds(cells.obs[name])), None
    )


def _doses(cells: Cells, config: PerturbedConfig, vehicle_n: np.ndarray) -> Float[np.ndarray, " n"]:
    if config.dose_column is None:
        return np.full(cells.n_cells, np.nan)
    written = column(cells, config.dose_column, "--dose-column", blank=True)
    dose_n = pd.to_numeric(pd.Series(written), errors="coerce").to_numpy(dtype=float)
    wrong = sorted(set(written[np.isnan(dose_n) & (written != "") & ~vehicle_n]))
    if wrong:
        msg = (
            f"`obs['{config.dose_column}']` of {cells.source} must hold doses as numbers; it also holds {some(wrong)}. Write all doses "
            "of a compound in one unit, without it, or leave `--dose-column` out."
        )
        raise InputError(msg)
    return np.where(vehicle_n, np.nan, dose_n)


def _wells(cells: Cells, config: PerturbedConfig) -> tuple[np.ndarray | None, Float[np.ndarray, " n"] | None]:
    """Well of each cell and cells counted in it, where columns name them."""
    if config.well_column is None:
        return None, None
    well_n = column(cells, config.well_column, "--well-column")
    if config.recovered_column is None:
        return well_n, None
    written = column(cells, config.recovered_column, "--recovered-column")
    counted_n = pd.to_numeric(pd.Series(written), errors="coerce").to_numpy(dtype=float)
    if not (counted_n >= 0).all():
        wrong = sorted(set(written[~(counted_n >= 0)].astype(str)))
        msg = (
            f"`obs['{config.recovered_column}']` of {cells.source} must hold the cells counted in each well, 0 or more; it also holds "
            f"{some(wrong)}. Correct them, or leave `--recovered-column` out."
        )
        raise InputError(msg)
    return well_n, counted_n


def _require_vehicle(
    is_goal_n: np.ndarray, vehicle_n: np.ndarray, config: PerturbedConfig, start: str
) -> None:
    n = int((~is_goal_n & vehicle_n).sum())
    if n < LEAST_VEHICLE:
        msg = (
            f"The arm '{start}' needs cells with the vehicle {some(config.controls)}, at least {LEAST_VEHICLE}; it has {n}. They are what "
            "its compounds are compared with: give them, or correct `--arm-column` or `--control`."
        )
        raise StateError(msg)


def _warnings(arms: Arms, config: PerturbedConfig, goal: str) -> tuple[str, ...]:
    said = []
    if not (arms.is_goal_n & arms.is_vehicle_n).any():
        said.append(
            f"{arms.cells.source} has no '{goal}' cells with the vehicle: 1 on its axis is where the goal cells of the campaign stand, "
            "seen from its start cells, another batch or not."
        )
    if config.donor_column is None:
        said.append(
            "No donors are named (`--donor-column`): shares of the way back have no interval, and their classifier may have seen the "
            "same donor."
        )
    return tuple(said)
