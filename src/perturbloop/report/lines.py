"""Text for a terminal of any width: words stay whole, columns go before they are squeezed."""

import textwrap
from collections.abc import Sequence

from perturbloop.errors import printable
from perturbloop.report.layout import Grid

GAP = 2
"""Spaces between two columns."""


def wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    """Break a sentence between words; a word longer than the line keeps its line to itself.

    Parameters
    ----------
    text
        The sentence.
    width
        Letters of a line, `indent` included.
    indent
        What every line but the first begins with.

    Examples
    --------
    >>> wrapped("a long sentence", 8, indent="  ")
    ['a long', '  sentence']
    """
    return textwrap.wrap(
        printable(text),
        max(width, 1),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table_lines(grid: Grid, width: int, *, wrap: bool = True) -> list[str]:
    """A table as lines of at most `width` letters.

    Parameters
    ----------
    grid
        The table; its title is not printed.
    width
        Letters of a line.
    wrap
        Whether a row may take several lines before a column goes.

    Returns
    -------
    The head and the rows. Where there is no room columns of words wrap between words; then the grid's spare columns go, the
    first first; then each row is printed as a block of `head: cell` lines.
    """
    columns, spare = list(range(len(grid.columns))), [*grid.spare]
    while True:
        rows = [[printable(row[place]) for place in columns] for row in (grid.columns, *grid.rows)]
        words = [grid.columns[place] in grid.words for place in columns]
        widths = _widths(rows, [word and wrap for word in words], width)
        if widths is not None:
            return [line for row in rows for line in _row(row, widths, words)]
        if not spare:
            return _blocks(grid, width)
        gone = grid.columns.index(spare.pop(0))
        columns.remove(gone)


def _widths(rows: Sequence[Sequence[str]], words: Sequence[bool], width: int) -> list[int] | None:
    """Widths of the columns; `None` where the longest words do not fit side by side."""
    cells = list(zip(*rows, strict=True))
    most = [max(map(len, column)) for column in cells]
    least = [
        max((len(word) for cell in column for word in cell.split()), default=0) if wraps else full
        for column, wraps, full in zip(cells, words, most, strict=True)
    ]
    room = width - GAP * (len(cells) - 1)
    if sum(least) > room:
        return None
    widths = list(most)
    while sum(widths) > room:
        loose = [place for place in range(len(widths)) if widths[place] > least[place]]
        widest = max(loose, key=lambda place: widths[place])
        widths[widest] -= 1
    return widths


def _row(row: Sequence[str], widths: Sequence[int], words: Sequence[bool]) -> list[str]:
    parts = [
        wrapped(cell, width) or [""] if wraps else [cell]
        for cell, width, wraps in zip(row, widths, words, strict=True)
    ]
    lines = []
    for place in range(max(map(len, parts), default=0)):
        cells = [part[place] if place < len(part) else "" for part in parts]
        shown = [
            cell.ljust(width) if wraps else cell.rjust(width)
            for cell, width, wraps in zip(cells, widths, words, strict=True)
        ]
        lines.append((" " * GAP).join(shown).rstrip())
    return lines


def _blocks(grid: Grid, width: int) -> list[str]:
    lines = []
    for row in grid.rows:
        cells = zip(grid.columns, row, strict=True)
        lines += [line for head, cell in cells for line in wrapped(f"{head}: {cell}", width, indent="  ")]
        lines.append("")
    return lines[:-1]
