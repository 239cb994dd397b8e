"""Start and goal cells, their donors, and which of them are held out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool

from perturbloop.data.cells import Cells
from perturbloop.errors import StateError, closest, some
from perturbloop.schema import CellsConfig

_DONOR_NAMES = (
    "donor",
    "donor_id",
    "patient",
    "patient_id",
    "individual",
    "subject",
    "sample",
    "sample_id",
    "batch",
)
_MIXED = re.compile(
    r"(cell|major|minor|predicted)?[ _.-]*(cell)?[ _.-]*(type|line|subset|identity|cluster|label)s?[ _.-]*(\d|name|coarse|fine)?|leiden.*|louvain.*|seurat_annotations|singler.*",
    re.I,
)
"""Names of columns that tell kinds of cells apart."""
_USUAL = {
    "--target-column": ("target", "perturb", "condition", "gene", "guide", "treatment", "drug", "compound"),
    "--state-column": ("state", "condition", "stim", "treatment", "disease", "status", "group"),
    "--donor-column": ("donor", "patient", "individual", "subject", "sample"),
}
"""Parts of the names of columns that are usually meant by an option."""
_NOTHING_SAID = (
    "The file says nothing of its cells, as matrices of Cell Ranger do: give one file per state, `--cells REST STIM --state-column batch`, "
    "or add the column in Python and write an h5ad file."
)
AS_PUBLISHED = (
    "As published, a random fifth of the cells of each state is held out (`split` = cells): cells of one donor train the classifier and check "
    "it, so its held-out figures, and an epoch chosen by them, are optimistic. They say nothing of new donors; `--split donors` does."
)
"""What a split that mixes donors costs."""
_MOST_KINDS, _NAMED = 100, 5
"""Most kinds of a mixture; labels left out that are named."""
_HELD_OUT = 0.2


@dataclass(frozen=True)
class StateCells:
    """Cells of the start and the goal state, split by donor where there are donors."""

    cells: Cells
    """The start and goal cells; others of the file are left out."""
    is_goal_n: Bool[np.ndarray, " n"]
    """Whether a cell is in the goal state."""
    train_n: Bool[np.ndarray, " n"]
    """Whether a cell trains the classifier; the others check it."""
    donor_n: np.ndarray | None
    """Donor of each cell, dtype object; `None` without donors."""
    design: str
    """paired, nested or single."""
    warnings: tuple[str, ...]
    """What the report must say about the design."""

    def select(self, kept_n: Bool[np.ndarray, " n"], why: str) -> "StateCells":
        """Keep these cells and say why the others are left out."""
        return StateCells(
            self.cells.select(kept_n),
            self.is_goal_n[kept_n],
            self.train_n[kept_n],
            None if self.donor_n is None else self.donor_n[kept_n],
            self.design,
            (*self.warnings, why),
        )

    @cached_property
    def start(self) -> Cells:
        """Cells of the start state, in file order."""
        return self.cells.select(~self.is_goal_n)

    @property
    def group_n(self) -> np.ndarray:
        """State of each cell, and its donor where there are any: what co-expression is read within."""
        state_n = self.is_goal_n.astype(int).astype(str)
        return state_n if self.donor_n is None else state_n + np.char.add(" ", self.donor_n.astype(str))


def state_cells(cells: Cells, config: CellsConfig, *, seed: int) -> StateCells:
    """Select the two states and split them.

    Parameters
    ----------
    cells
        All cells of the file.
    config
        Names of the state column, the two states, and the donor column.
    seed
        Draws the held-out donors, or the held-out fifth of cells where there are none.

    Raises
    ------
    StateError
        If a column or state does not exist, a state has too few cells, donors are declared paired but nested, or a split by donors is
        asked for without any.
    """
    label_n = column(cells, config.state_column, "--state-column", blank=True)
    for option, state in (("--start", config.start), ("--goal", config.goal)):
        _require_state(label_n, state, option, config)
    kept_n = (label_n == config.start) | (label_n == config.goal)
    chosen = cells.select(kept_n)
    is_goal_n = label_n[kept_n] == config.goal
    if config.donor_column is None:
        if config.split == "donors":
            msg = "`--split donors` holds whole donors out; no donor column is named. Name it with `--donor-column`, or leave `--split` out."
            raise StateError(msg)
        _refuse_unnamed_donors(chosen, config)
        train_n = _random_split(is_goal_n, seed)
        warning = "No donors: a fifth of the cells, drawn at random, is held out, so held-out figures are optimistic."
        return StateCells(chosen, is_goal_n, train_n, None, "single", (warning,))
    donor_n = column(chosen, config.donor_column, "--donor-column").astype(str)
    design, mixed = _design(donor_n, is_goal_n, config)
    if config.split != "cells":
        train_n, warnings = _donor_split(donor_n, is_goal_n, design, seed)
    else:
        train_n, warnings = _random_split(is_goal_n, seed), (AS_PUBLISHED,)
    return StateCells(chosen, is_goal_n, train_n, donor_n, design, (*mixed, *warnings))


def left_out(cells: Cells, config: CellsConfig) -> tuple[str, ...]:
    """Say how many cells of which labels are in neither state; empty where all are in one.

    Parameters
    ----------
    cells
        All cells of the file.
    config
        Names of the state column and the two states.
    """
    label_n = column(cells, config.state_column, "--state-column", blank=True)
    others = pd.Series(label_n[(label_n != config.start) & (label_n != config.goal)]).value_counts()
    if others.empty:
        return ()
    named = ", ".join(f"{_quoted(name)} ({count:,})" for name, count in others.head(_NAMED).items())
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return (
        f"{int(others.sum()):,} of {cells.n_cells:,} cells are in neither state and left out; `obs['{config.state_column}']` says of "
        f"them: {named}{more}.",
    )


def _quoted(label: object) -> str:
    return f"'{label}'" if label else "nothing"


def kinds_columns(states: StateCells, config: CellsConfig) -> list[str]:
    """Columns of `obs` that tell kinds of cells apart and are not used for something else."""
    used = (config.state_column, config.donor_column)
    return [
        str(name)
        for name in states.cells.obs.columns
        if name not in used and is_of_kinds(states.cells.obs[name])
    ]


def mixtures(states: StateCells, config: CellsConfig) -> tuple[str, ...]:
    """Say of every column of `obs` that tells kinds of cells apart how much their shares differ between the states.

    Parameters
    ----------
    states
        Start and goal cells.
    config
        Names of columns that are used for something else.
    """
    said = []
    for name in kinds_columns(states, config):
        kind_n = states.cells.obs[name].astype(str).to_numpy()
        share = pd.crosstab(kind_n, states.is_goal_n, normalize="columns")
        change = share[True] - share[False]
        most = str(change.abs().idxmax())
        said.append(
            f"The cells are of {len(share)} kinds by `obs['{name}']` and are analysed as one; shares differ between the states by "
            f"up to {100 * abs(change[most]):.0f} points ('{most}': {100 * share.loc[most, False]:.0f} % of the start, "
            f"{100 * share.loc[most, True]:.0f} % of the goal), and what differs may be the mixture. One kind alone: "
            f'`--subset "{_named(name)} == {str(share.min(axis=1).idxmax())!r}"`.'
        )
    return tuple(said)


def is_of_kinds(labels: pd.Series) -> bool:
    """Whether a column tells kinds of cells apart, by its name and by how many it tells."""
    return bool(_MIXED.fullmatch(str(labels.name))) and 1 < labels.astype(str).nunique() <= _MOST_KINDS


def _named(name: object) -> str:
    """Column as a query names it."""
    return str(name) if str(name).isidentifier() else f"`{name}`"


def column(cells: Cells, name: str, option: str, *, blank: bool = False) -> np.ndarray:
    """Return a column of `obs` as objects; a missing one is refused with the closest names.

    Parameters
    ----------
    cells
        The cells.
    name
        The column.
    option
        Option that names it, for the message.
    blank
        Whether a cell may have no value: the column is then text, '' where it is missing.

    Returns
    -------
    One value per cell, dtype object.
    """
    if name not in cells.obs.columns:
        msg = (
            f"`obs` of {cells.source} needs the column '{name}'; it has {some(cells.obs.columns, limit=20)}. "
            + (
                f"Name it with `{option}`; the closest is {closest(name, _likely(cells.obs.columns, option), limit=1)}."
                if len(cells.obs.columns)
                else _NOTHING_SAID
            )
        )
        raise StateError(msg)
    values = cells.obs[name]
    if blank:
        return np.where(values.isna(), "", values.astype(str)).astype(object)
    if values.isna().any():
        msg = (
            f"`obs['{name}']` of {cells.source} must have a value for each cell; {int(values.isna().sum()):,} cells have "
            "none. Remove those cells or fill them in."
        )
        raise StateError(msg)
    return values.to_numpy(dtype=object)


def _likely(names: Iterable[object], option: str) -> list[object]:
    """Columns that are usually meant by an option, first; all where none has such a name."""
    usual = _USUAL.get(option, ())
    known = list(names)
    return [name for name in known if any(word in str(name).lower() for word in usual)] or known


def _require_state(label_n: np.ndarray, state: str, option: str, config: CellsConfig) -> None:
    count = int((label_n == state).sum())
    known = [label for label in pd.unique(label_n) if label]
    if (
        count == 0
        and len(known) > _MOST_KINDS
        and pd.to_numeric(pd.Series(known), errors="coerce").notna().all()
    ):
        msg = (
            f"States must be named by the column `obs['{config.state_column}']`; it holds {len(known):,} different numbers, for "
            f"instance {some(known[:3])}. Name another with `--state-column`."
        )
        raise StateError(msg)
    if count == 0:
        msg = (
            f"State '{state}' must occur in `obs['{config.state_column}']`; the values there are "
            f"{some(known, limit=12)}. Correct `{option}`; the closest is {closest(state, known)}."
        )
        raise StateError(msg)
    if count < config.min_cells:
        msg = (
            f"State '{state}' needs at least {config.min_cells} cells; it has {count}. "
            "Add cells, or lower `--min-cells` if you can defend it."
        )
        raise StateError(msg)


def _refuse_unnamed_donors(cells: Cells, config: CellsConfig) -> None:
    if config.design == "single":
        return
    found = [
        name
        for name in cells.obs.columns
        if name != config.state_column
        and str(name).lower() in _DONOR_NAMES
        and len(cells.obs[name].unique()) > 1
    ]
    if found:
        msg = (
            f"Cells of one donor must not be on both sides of a split; `obs` of {cells.source} has the group columns "
            f"{some(found)} and none is named. Name the donor with `--donor-column {found[0]}`, or say `--design single`."
        )
        raise StateError(msg)


def _design(donor_n: np.ndarray, is_goal_n: np.ndarray, config: CellsConfig) -> tuple[str, tuple[str, ...]]:
    """Return the design, and what to warn of where it does not hold for every donor."""
    if config.design == "single":
        msg = (
            f"A `single` design has no donors, but `--donor-column {config.donor_column}` names them. "
            "Leave one of the two out."
        )
        raise StateError(msg)
    states_per_donor = pd.Series(is_goal_n).groupby(donor_n).nunique()
    if len(states_per_donor) < 2:
        msg = (
            f"`obs['{config.donor_column}']` needs at least two donors; it has {some(states_per_donor.index)}. "
            "Leave `--donor-column` out to treat the cells as one sample."
        )
        raise StateError(msg)
    one_state = states_per_donor.index[states_per_donor == 1]
    if config.design == "paired" and len(one_state):
        msg = (
            f"A paired design needs both states from each donor; in `obs['{config.donor_column}']` these hold one state "
            f"only: {some(one_state)}. Say `--design nested`, or name the column that joins the two samples of a donor."
        )
        raise StateError(msg)
    if config.design == "nested" or len(one_state) == len(states_per_donor):
        return "nested", ()
    if not len(one_state):
        return "paired", ()
    warning = (
        f"{len(one_state)} of {len(states_per_donor)} donors have cells of one state only: {some(one_state)}. The others are "
        "taken as pairs; leave these donors out, or say `--design nested`, if that does not hold."
    )
    return "paired", (warning,)


def _random_split(is_goal_n: np.ndarray, seed: int) -> np.ndarray:
    """Hold out a fifth of each state's cells."""
    rng = np.random.default_rng(seed)
    train_n = np.ones(len(is_goal_n), dtype=bool)
    for state in (False, True):
        places = np.flatnonzero(is_goal_n == state)
        train_n[rng.permutation(places)[: max(1, round(_HELD_OUT * len(places)))]] = False
    return train_n


def _donor_split(
    donor_n: np.ndarray, is_goal_n: np.ndarray, design: str, seed: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Hold out a fifth of the donors, at least one; in a nested design of each state's donors."""
    rng = np.random.default_rng(seed)
    groups = (
        [np.unique(donor_n[is_goal_n == state]) for state in (False, True)]
        if design == "nested"
        else [np.unique(donor_n)]
    )
    held_out: list[str] = []
    for donors in groups:
        if len(donors) > 1:
            held_out += list(rng.permutation(donors)[: max(1, round(_HELD_OUT * len(donors)))])
    train_n = ~np.isin(donor_n, held_out)
    both_sides = all(len(np.unique(is_goal_n[side])) == 2 for side in (train_n, ~train_n))
    if not both_sides:
        warning = (
            "Too few donors to hold one out for each state: a random fifth of the cells is held out instead."
        )
        return _random_split(is_goal_n, seed), (warning,)
    if design == "nested":
        return train_n, (
            "Nested design: each donor has one state, so state and donor cannot be told apart fully.",
        )
    return train_n, ()
