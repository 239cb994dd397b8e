"""Sheets of Excel workbooks, through openpyxl."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop.data.text_files import MOST_BYTES
from perturbloop.errors import InputError, closest, some

ENDINGS = (".xlsx", ".xlsm")
"""Files that are read; an older `.xls` is not."""
MOST_ROWS, MOST_COLUMNS, MOST_CELLS = 1_100_000, 2000, 10_000_000
"""How much of a workbook is read, empty cells too: rows somewhat above what Excel keeps, 500 columns of 20,000 genes. A cell far away
makes all before it, in a file of a few bytes."""


def sheets_of(path: Path) -> list[str]:
    """Names of the sheets that hold something, in order.

    Parameters
    ----------
    path
        The workbook.

    Raises
    ------
    InputError
        If openpyxl is missing, or the file is no workbook, or too large.
    """
    book, left = _opened(path), _Left(path)
    return [sheet.title for sheet in book.worksheets if any(_filled(row) > 1 for row in left.rows_of(sheet))]


def read_sheet(path: Path, name: str) -> pd.DataFrame:
    """Read one sheet; titles above the table, rows of at most one value, are left out.

    Parameters
    ----------
    path
        The workbook.
    name
        The sheet.

    Raises
    ------
    InputError
        If there is no such sheet, or no row below its header.
    """
    book = _opened(path)
    if name not in book.sheetnames:
        msg = (
            f"`--sheet {name}` must be a sheet of `{path}`; it has {some(book.sheetnames, limit=12)}. "
            f"Did you mean {closest(name, book.sheetnames, limit=1)}?"
        )
        raise InputError(msg)
    rows = [row for row in _Left(path).rows_of(book[name]) if _filled(row)]
    start = next((place for place, row in enumerate(rows) if _filled(row) > 1), len(rows))
    header, *body = rows[start:] or [()]
    if not body:
        msg = f"`{path}` must hold one row a gene; its sheet '{name}' has a header and no row. Name another with `--sheet`."
        raise InputError(msg)
    kept = [place for place, title in enumerate(header) if title is not None]
    frame = pd.DataFrame(
        [[row[place] if place < len(row) else None for place in kept] for row in body], dtype=object
    )
    return frame.set_axis([str(header[place]) for place in kept], axis=1).infer_objects()


def _opened(path: Path) -> Any:
    if path.suffix.lower() == ".xls":
        msg = f"Workbooks are read as .xlsx; `{path}` is of the older kind. {_convert(path)}"
        raise InputError(msg)
    if find_spec("openpyxl") is None:
        msg = (
            f"`{path}` is a workbook; it is read through openpyxl, which is not installed. Install it with "
            f"`pip install 'perturbloop[xlsx]'`. {_convert(path)}"
        )
        raise InputError(msg)
    import openpyxl

    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(one.file_size for one in packed.infolist())
        if size <= MOST_BYTES:
            return openpyxl.load_workbook(path, read_only=True, data_only=True)
    except PermissionError:
        raise
    except Exception as error:  # whatever a damaged archive does to openpyxl and the XML below it
        raise _damaged(path, error) from None
    msg = f"`{path}` must hold at most {MOST_BYTES:,} bytes once it is unpacked; it holds more. {_convert(path)}"
    raise InputError(msg)


@dataclass
class _Left:
    """What may still be read of a workbook."""

    path: Path
    rows: int = 0
    cells: int = 0

    def rows_of(self, sheet: Any) -> Iterator[Sequence[Any]]:
        """Rows of a sheet, each as long as its last cell is far; what the sheet says of its size is not believed."""
        try:
            sheet.reset_dimensions()
            for row in sheet.values:
                yield self._counted(row)
        except (InputError, PermissionError):
            raise
        except Exception as error:  # a damaged sheet is found only while it is read
            raise _damaged(self.path, error) from None

    def _counted(self, row: Sequence[Any]) -> Sequence[Any]:
        self.rows, self.cells = self.rows + 1, self.cells + len(row)
        wide = len(row) > MOST_COLUMNS and any(value is not None for value in row[MOST_COLUMNS:])
        if wide or self.rows > MOST_ROWS or self.cells > MOST_CELLS:
            msg = (
                f"`{self.path}` must hold at most {MOST_ROWS:,} rows, {MOST_COLUMNS:,} columns and {MOST_CELLS:,} cells, empty ones "
                "before a filled one too; it holds more. Keep the rows and columns that are needed, and delete what stands far away."
            )
            raise InputError(msg)
        return row


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"`{path}` must be a workbook; it cannot be read: {error}. {_convert(path)}")


def _convert(path: Path) -> str:
    return f"Or save its sheet as CSV: `libreoffice --headless --convert-to csv '{path}'` (the first sheet)."


def _filled(row: Sequence[Any]) -> int:
    return sum(value is not None and value != "" for value in row)
