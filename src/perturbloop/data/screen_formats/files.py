"""The file of a screen as it lies on the disk: text or workbook, with or without a header, decimal points or commas."""

from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from perturbloop.data.decimal_commas import with_points
from perturbloop.data.screen_formats.base import GENE, plain
from perturbloop.data.spreadsheets import ENDINGS, read_sheet, sheets_of
from perturbloop.data.text_files import read_bytes
from perturbloop.data.text_tables import NAMELESS, first_line, once_named, separator_of, table_of
from perturbloop.errors import InputError, some

NAMES = ("gene", "score")
"""What the two columns of a table without a header are called."""


def sheet_choice(path: Path, sheet: str | None) -> list[str]:
    """Sheets to choose from; none where the file is no workbook, has one sheet, or one was named.

    Parameters
    ----------
    path
        The file.
    sheet
        The sheet that was named.
    """
    require_file(path)
    if not is_workbook(path) or sheet is not None:
        return []
    sheets = sheets_of(path)
    return sheets if len(sheets) > 1 else []


def read_file(path: Path, *, sheet: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Read the table of a screen, and say what was done to read it.

    Parameters
    ----------
    path
        Text table, `.rnk` of GSEA (no header), or workbook.
    sheet
        Sheet of the workbook; its only one where none is named.

    Raises
    ------
    InputError
        If the file is missing, no table, or no workbook although a sheet is named.
    """
    require_file(path)
    if is_workbook(path):
        name = sheet or next(iter(sheets_of(path)), "")
        frame, notes = once_named(read_sheet(path, name), path), [f"sheet '{name}' of {path.name}"]
    elif sheet is not None:
        msg = f"`--sheet {sheet}` belongs to a workbook; `{path}` is none. Leave it out."
        raise InputError(msg)
    else:
        frame, notes = _read_text(path)
    frame, turned = with_points(frame)
    return frame, [*notes, *([f"decimal commas in {some(turned)}"] if turned else [])]


def require_file(path: Path) -> None:
    """Refuse a path at which there is no file, naming those beside it that look alike.

    Parameters
    ----------
    path
        Where the screen should lie.
    """
    if path.is_file():
        return
    if path.is_dir():
        msg = f"A screen is one file; `{path}` is a folder. Name the file in it."
        raise InputError(msg)
    beside = (
        sorted(one.name for one in path.parent.iterdir() if one.is_file()) if path.parent.is_dir() else []
    )
    alike = get_close_matches(path.name, beside)
    like = f"; beside it there is {some(alike)}" if alike else ""
    msg = f"A screen is read from a file; there is none at `{path}`{like}. Correct the path."
    raise InputError(msg)


def is_workbook(path: Path) -> bool:
    """Whether a file is a workbook, by its name."""
    return path.suffix.lower() in (*ENDINGS, ".xls")


def _read_text(path: Path) -> tuple[pd.DataFrame, list[str]]:
    raw = read_bytes(path, what="a text table")
    if ".rnk" in path.suffixes:
        raw = b"".join(line for line in raw.splitlines(keepends=True) if not line.startswith(b"#"))
    separator = separator_of(raw, path)
    if _is_row(first_line(raw).strip().split(separator)):
        return table_of(raw, path, names=NAMES), ["no header: a gene and its score in each line"]
    frame = table_of(raw, path)
    numeric = [name for name in frame if plain(name) in GENE and pd.api.types.is_numeric_dtype(frame[name])]
    if separator == "," and frame.columns[0] == NAMELESS and numeric and first_line(raw)[:1] not in ',"':
        msg = (
            f"`{path}` must have a name for each column; its rows have one value more than its header, and '{numeric[0]}' would be "
            "numbers. Decimal commas in a table separated by commas do that: save it with semicolons or tabs."
        )
        raise InputError(msg)
    return frame, []


def _is_row(cells: list[str]) -> bool:
    """Whether the first line is already a gene and its score."""
    if len(cells) != 2:
        return False
    gene, score = (cell.strip().strip('"') for cell in cells)
    return _is_number(score) and not _is_number(gene) and plain(gene) not in ("", *GENE)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
