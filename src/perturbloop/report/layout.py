"""The parts of a report: sections of sentences, grids of text and pictures; and how numbers become text."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = "–"


@dataclass(frozen=True)
class Grid:
    """A table of text; columns named in `words` are set left, all others right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[str] = frozenset()
    strong: frozenset[int] = frozenset()
    """Rows that are set in bold."""
    gene_ids: tuple[str, ...] = ()
    """Ensembl id behind each row's gene, where the page links it; empty where nothing is linked."""
    spare: tuple[str, ...] = ()
    """Columns that may go where there is no room, the first to go first."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What a column says with sign and unit, shown where somebody points at its head."""
    every: "Callable[[], Grid] | None" = field(default=None, compare=False)
    """Makes the same grid with all its rows, for a page that can turn them; `None` where none is left out."""


@dataclass(frozen=True)
class Picture:
    """A figure, drawn when it is needed, and what it shows in words."""

    caption: str
    draw: "Callable[[], Figure]"


@dataclass(frozen=True)
class Section:
    """One question of the reader, answered."""

    key: str
    title: str
    lines: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    """Shown small, after the grids."""
    alarm: tuple[str, ...] = ()
    """Shown first and in red: a failed gate; broken input never gets as far as a report."""


def drawn(name: str, *tables: pd.DataFrame, **options: Any) -> "Callable[[], Figure]":
    """Draw the figure `name` of `plots` when it is asked for: matplotlib is loaded for a page, not for the terminal.

    Parameters
    ----------
    name
        Function of `perturbloop.plots`.
    tables, options
        What it is called with.
    """
    return partial(_draw, name, *tables, **options)


def _draw(name: str, *tables: pd.DataFrame, **options: Any) -> "Figure":
    figure: Figure = getattr(import_module("perturbloop.plots"), name)(*tables, **options)
    return figure


def number(value: Any, digits: int = 2, *, sign: bool = False) -> str:
    """Show a number; a missing one as a dash.

    Parameters
    ----------
    value
        The number; `None` and NaN are missing.
    digits
        Digits after the point.
    sign
        Whether a number that is not negative has a plus.

    Examples
    --------
    >>> number(0.8149), number(0.08, 3, sign=True), number(None), number(7800, 0)
    ('0.81', '+0.080', '–', '7,800')
    """
    if value is None or pd.isna(value):
        return MISSING
    shown = f"{float(value):{'+' if sign else ''},.{digits}f}"
    return shown.replace("-", "−")


def interval(low: Any, high: Any, digits: int = 2, *, sign: bool = False) -> str:
    """Show a 95 % interval; a dash where an end is missing.

    Parameters
    ----------
    low, high
        Its ends.
    digits, sign
        As of `number`, for both ends.

    Examples
    --------
    >>> interval(0.6, 0.97)
    '[0.60, 0.97]'
    """
    if pd.isna(low) or pd.isna(high):
        return MISSING
    return f"[{number(low, digits, sign=sign)}, {number(high, digits, sign=sign)}]"


def probability(value: Any) -> str:
    """Show a p-value with two digits.

    >>> probability(0.04), probability(1e-9), probability(0)
    ('0.040', '1.0e−09', '0')
    """
    if value is None or pd.isna(value):
        return MISSING
    p = float(value)
    if p == 0:
        return "0"
    return (f"{p:.1e}" if p < 0.001 else f"{p:.3f}").replace("-", "−")


def text(value: Any, empty: str = MISSING) -> str:
    """Show a label; a missing or empty one as a dash.

    >>> text("STAT1"), text(float("nan")), text("")
    ('STAT1', '–', '–')
    """
    return empty if value is None or pd.isna(value) or str(value) == "" else str(value)


def count(n: int, noun: str, nouns: str = "") -> str:
    """Show a number of things.

    Parameters
    ----------
    n
        How many.
    noun
        What one is called.
    nouns
        What several, or none, are called; `noun` with an s by default.

    Examples
    --------
    >>> count(1, "hit"), count(1200, "hit"), count(0, "batch", "batches")
    ('1 hit', '1,200 hits', '0 batches')
    """
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"


def listed(names: Iterable[object], *, most: int = 5) -> str:
    """Show names in a sentence, a long list by its beginning.

    >>> listed(["A", "B", "C"]), listed("ABCDEFG", most=2)
    ('A, B and C', 'A, B and 5 more')
    """
    every = [str(name) for name in names]
    if len(every) > most + 1:
        return f"{', '.join(every[:most])} and {len(every) - most} more"
    return " and ".join([", ".join(every[:-1]), every[-1]] if len(every) > 1 else every)


def duration(seconds: float) -> str:
    """Show how long something takes.

    >>> duration(40), duration(400), duration(12000)
    ('40 s', '7 min', '3.3 h')
    """
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def yes(value: Any) -> bool:
    """Whether a cell of a table of objects is true; a missing one is not."""
    return not pd.isna(value) and bool(value)
