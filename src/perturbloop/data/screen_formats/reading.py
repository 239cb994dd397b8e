"""One screen of a file in numbers: its labels brought to genes, its scores with their errors."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from perturbloop.data.screen_formats import table
from perturbloop.data.screen_formats.opening import Opened, open_screen
from perturbloop.data.screen_formats.questions import require_no_question
from perturbloop.data.screen_labels import tidied
from perturbloop.schema import ScreenConfig

NUMBERS = ("score", "se", "pvalue", "padj", "n_reagents")


@dataclass(frozen=True)
class Scores:
    """What a file holds, before genes are named."""

    frame: pd.DataFrame
    """`label`, `score` as in the file, `se`, `pvalue` (two-sided), `padj`, `n_reagents`, numbers missing where not told; `row`, its
    place in `table`; `family`, the label of a row of several genes, '' elsewhere."""
    table: pd.DataFrame
    """Rows of the screen as the file has them."""
    format: str
    """Format in words."""
    columns: dict[str, str]
    """Role (gene, score, p-value, FDR, standard error) -> the column it was taken from."""
    dropped: dict[str, int]
    """Why rows were left out, and how many."""
    notes: tuple[str, ...]
    """What was done on the way, in words."""


def read_scores(config: ScreenConfig) -> Scores:
    """Read one screen of a file.

    Parameters
    ----------
    config
        The file, names of columns, and which of several screens.

    Raises
    ------
    InputError
        If the file cannot be read, holds other things than a screen, or leaves anything open; then all of it is asked for at once.
    """
    opened = open_screen(config)
    require_no_question(opened, config)
    columns = opened.columns or {}
    found = _numbers(opened, columns, config)
    labels = [_label(value) for value in opened.frame[columns["gene"]]]
    rows = pd.DataFrame({"label": np.array(labels, dtype=object)} | found)
    rows = rows.assign(row=np.arange(len(rows)), n_reagents=rows["n_reagents"].fillna(0).astype(int))
    rows, dropped, notes = (rows.assign(family=""), {}, []) if config.targets else tidied(rows)
    return Scores(
        rows,
        opened.frame,
        opened.format.name if opened.format else table.name_of(columns),
        _said(columns),
        (opened.dropped or {}) | dropped,
        (*opened.notes, *_of_numbers(opened, config), *notes),
    )


def _numbers(opened: Opened, columns: dict[str, str], config: ScreenConfig) -> dict[str, np.ndarray]:
    """Every number of `NUMBERS`, missing where the format has none."""
    if opened.format is None:
        return table.numbers_of(opened.frame, columns, config.path, sides=config.pvalue_sides)
    found = opened.format.numbers(opened.frame, columns, config.path)
    nothing_g = np.full(len(opened.frame), np.nan)
    return {name: found.get(name, nothing_g) for name in NUMBERS}


def _of_numbers(opened: Opened, config: ScreenConfig) -> list[str]:
    tool = opened.format
    if tool is not None:
        return [f"a high score says that {tool.high}", *tool.notes]
    return ["one-sided p-values doubled, the FDR made of them anew"] if config.pvalue_sides == "one" else []


def _said(columns: dict[str, str]) -> dict[str, str]:
    """Columns by role, those of two arms together."""
    said: dict[str, str] = {}
    for role, name in columns.items():
        short = role.split(" (")[0]
        said[short] = f"{said[short]} and {name}" if short in said else name
    return said


def _label(value: object) -> str:
    return "" if pd.isna(value) else str(value).strip()
