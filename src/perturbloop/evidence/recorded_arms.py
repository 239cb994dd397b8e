"""What a file with cells of both states says beside its effects: how far compounds bring cells back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from perturbloop.data.arms import Arms, read_arms
from perturbloop.data.compounds import named, read_compounds
from perturbloop.data.knockout import knocked_out
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.data.spending import left_out
from perturbloop.evidence.measurement import Study
from perturbloop.evidence.reversal import measure_reversal
from perturbloop.evidence.unedited import like_controls, said_of
from perturbloop.schema import CellsConfig, PerturbedConfig, is_knockout


@dataclass(frozen=True)
class RecordedArms:
    """Tables of a file's arms, and what is said of them; all empty where no column tells the arms."""

    tables: Mapping[str, pd.DataFrame]
    n_cells: Mapping[str, int]
    """Cells of each arm."""
    lines: tuple[str, ...] = ()
    """Cells in no arm, and cells of a knockout that look unedited."""
    warnings: tuple[str, ...] = ()


def measure_arms(study: Study, entry: PerturbedConfig, perturbed: PerturbedCells) -> RecordedArms:
    """Measure the reversal by a file's compounds; nothing where no column tells its arms.

    Parameters
    ----------
    study
        What it is measured against.
    entry
        The file and how it is read.
    perturbed
        Its cells of the start state, of which effects are measured.
    """
    if entry.arm_column is None:
        return RecordedArms({}, {})
    start, goal = study.config.cells.start, study.config.cells.goal
    arms, said = read_arms(entry, start=start, goal=goal, names=study.names)
    unread = {knocked_out(state, study.states.cells) for state in (start, goal)}.union(
        *left_out(study.states.cells, perturbed).values()
    )
    if entry.targets is not None:  # also of compounds with too few cells for an effect
        compounds, _ = read_compounds(entry.targets, names=study.names)
        unread = unread.union(*(one.genes for one in named(compounds, sorted(set(arms.target_n))).values()))
    found = measure_reversal(study.states, arms, names=(start, goal), unread=unread)
    source = Path(entry.path).name
    tables = {
        "reversal": found.table.assign(source=source),
        "positions": found.positions.assign(source=source),
    }
    lines = (*arms.lines, *_unedited(found.positions, arms.control, study.config.cells))
    return RecordedArms(tables, _counted(arms, start, goal), lines, (*said, *found.warnings))


def _unedited(positions: pd.DataFrame, control: str, config: CellsConfig) -> tuple[str, ...]:
    """Count the cells of a knockout that look unedited, among those with the vehicle: under a compound they cannot be told from cured ones."""
    vehicle = positions[positions["target"].eq(control)]
    if not is_knockout(config.start) or not vehicle["arm"].eq(config.goal).any():
        return ()
    found = like_controls(
        vehicle["position"].to_numpy(dtype=float),
        vehicle["arm"].eq(config.goal).to_numpy(dtype=bool),
        vehicle["donor"].to_numpy(dtype=object),
    )
    return (f"with {control} {said_of(found, config)}",)


def _counted(arms: Arms, start: str, goal: str) -> dict[str, int]:
    kinds = (
        (f"{goal} + {arms.control}", arms.is_goal_n & arms.is_vehicle_n),
        (f"{start} + {arms.control}", ~arms.is_goal_n & arms.is_vehicle_n),
        (f"{start} + compound", ~arms.is_goal_n & ~arms.is_vehicle_n),
        (f"{goal} + compound", arms.is_goal_n & ~arms.is_vehicle_n),
    )
    return {name: int(rows_n.sum()) for name, rows_n in kinds}
