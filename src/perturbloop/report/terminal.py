"""The same report as tables for the terminal; nothing is printed here."""

from rich import box
from rich.table import Table
from rich.text import Text

from perturbloop.errors import printable
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import Grid, Section
from perturbloop.report.sections import sections


def tables(report: RoundReport) -> list[Table]:
    """Per section one table of its sentences and one per grid; figures are in the page only."""
    return [table for section in sections(report) for table in _section(section)]


def _text(words: str, style: str = "") -> Text:
    """What rich prints as it is: it would read "[0.1, 0.2]" as markup, and a terminal would obey control characters."""
    return Text(printable(words), style=style)


def _section(section: Section) -> list[Table]:
    lines = (*section.lines, *section.notes)
    style = "bold red" if section.key == "warnings" and section.lines != ("None.",) else "bold"
    found = [_prose(section.title, lines, style)] if lines else []
    return [*found, *(_grid(section.title, grid) for grid in section.grids)]


def _prose(title: str, lines: tuple[str, ...], style: str) -> Table:
    table = Table(title=_text(title, style=style), title_justify="left", box=None, show_header=False)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(_text(line))
    return table


def _grid(section: str, grid: Grid) -> Table:
    table = Table(
        title=_text(f"{section}: {grid.title}"), title_justify="left", box=box.SIMPLE, pad_edge=False
    )
    for name in grid.columns:
        table.add_column(_text(name), justify="left" if name in grid.words else "right", overflow="fold")
    for place, row in enumerate(grid.rows):
        table.add_row(*(_text(cell) for cell in row), style="bold" if place in grid.strong else None)
    return table
