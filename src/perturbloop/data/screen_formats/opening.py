"""A file of screens opened as far as the options allow: its format, the screen that is chosen, its columns, and what is left open."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.screen_formats import FORMATS, table, wells
from perturbloop.data.screen_formats.base import Format, gene_column
from perturbloop.data.screen_formats.files import read_file, sheet_choice
from perturbloop.data.screen_formats.guides import refuse_guides
from perturbloop.errors import InputError, closest, some
from perturbloop.schema import ScreenConfig

MANY = 12
"""Most names of a choice that are listed."""


@dataclass(frozen=True)
class Opened:
    """Rows of one screen, or what must be said before there are any."""

    frame: pd.DataFrame
    """Rows of the screen; all rows where it is not chosen yet."""
    format: Format | None = None
    """The tool; `None` where the columns are no tool's."""
    columns: dict[str, str] | None = None
    """Role -> column; `None` where the screen is not chosen yet."""
    choice: str = ""
    """What must be chosen, in words, with all there is to choose from; '' where nothing must."""
    option: str = ""
    """Option that chooses it."""
    dropped: dict[str, int] | None = None
    """Rows of other screens: why they are left out, and how many."""
    notes: tuple[str, ...] = ()
    """What was done to read the file, in words."""


def open_screen(config: ScreenConfig) -> Opened:
    """Open a file.

    Parameters
    ----------
    config
        The file, names of columns, and which of several screens.

    Raises
    ------
    InputError
        If the file cannot be read, is a table of guides, or lacks what the options name.
    """
    path = Path(config.path)
    if sheets := sheet_choice(path, config.sheet):
        return Opened(pd.DataFrame(), choice=f"the sheet: {some(sheets, limit=MANY)}", option="--sheet NAME")
    frame, notes = read_file(path, sheet=config.sheet)
    if not (config.targets or config.readout):
        refuse_guides(frame, config.path, config.gene_column)
    tool, found = _told(frame, config)
    names = [name for name in found if name]
    if config.screen is None and len(found) > 1 and "" not in found:
        choice = f"one of {len(names)} comparisons side by side: {some(names, limit=MANY)}"
        return Opened(frame, tool, choice=choice, option="--only NAME", notes=tuple(notes))
    rows, choice = frame, ""
    dropped: dict[str, int] = {}
    if names and (config.screen is not None or "" not in found):
        roles = found[_chosen(config, names, "its columns are of")]
    else:
        rows, dropped, choice = _rows_of_one(frame, config)
        roles = found.get("", {})
    columns = None if choice else _columns(rows, config, tool, roles)
    if config.readout and columns is not None:
        rows, columns, told = wells.summarized(rows, columns, config)
        tool, notes = None, [*notes, *told]
    return Opened(
        rows,
        tool,
        columns,
        choice,
        "--only NAME" if choice else "",
        dropped,
        tuple(notes),
    )


def _told(frame: pd.DataFrame, config: ScreenConfig) -> tuple[Format | None, dict[str, dict[str, str]]]:
    """The tool whose columns these are, and its comparisons; none where columns of numbers are named, or rows are compounds."""
    named = (
        config.score_column,
        config.pvalue_column,
        config.fdr_column,
        config.se_column,
        config.targets,
        config.readout,
    )
    for tool in () if any(named) else FORMATS:
        if found := tool.find(frame.columns):
            return tool, found
    return None, {}


def _chosen(config: ScreenConfig, names: list[str], where: str) -> str:
    """Name of the screen that is asked for, or of the only one."""
    wanted = config.screen or names[0]
    if wanted not in names:
        msg = (
            f"`--only {wanted}` must be a screen of `{config.path}`; {where} {some(names, limit=MANY)}. "
            f"Did you mean {closest(wanted, names, limit=1)}?"
        )
        raise InputError(msg)
    return wanted


def _rows_of_one(frame: pd.DataFrame, config: ScreenConfig) -> tuple[pd.DataFrame, dict[str, int], str]:
    """Rows of the screen that is asked for, those left out, and what must be chosen where a column names several screens."""
    column = config.screen_column
    names = frame[column].map(_name) if column in frame.columns else pd.Series("", index=frame.index)
    known = sorted(set(names) - {""})
    if not known:  # one screen without a name
        if config.screen is not None:
            came = "no name in it" if column in frame.columns else some(frame.columns, limit=30)
            msg = (
                f"`--only {config.screen}` needs the column '{column}'; `{config.path}` has {came}. "
                "Name it with `--screen-column`, or leave `--only` out."
            )
            raise InputError(msg)
        return frame, {}, ""
    if config.screen is None and len(known) > 1:
        return frame, {}, f"one of {len(known)} screens in its column '{column}': {some(known, limit=MANY)}"
    wanted = _chosen(config, known, f"its column '{column}' has")
    kept = frame[names == wanted].reset_index(drop=True)
    n_unnamed = int(names.eq("").sum())
    return kept, {"no screen name": n_unnamed, "of other screens": len(frame) - len(kept) - n_unnamed}, ""


def _name(value: Any) -> str:
    """Name of a row's screen, '' where it has none; a number beside a missing one was read as 7.0."""
    if pd.isna(value):
        return ""
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value) if whole else value).strip()


def _columns(
    frame: pd.DataFrame, config: ScreenConfig, tool: Format | None, roles: dict[str, str]
) -> dict[str, str]:
    if tool is None:
        return table.columns_of(frame, config)
    gene = table.named(frame, config.gene_column, "--gene-column") or gene_column(frame)
    return ({"gene": gene} if gene else {}) | roles
