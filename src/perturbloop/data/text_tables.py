"""Text tables with a header: tab, comma or semicolon, plain or gzipped."""

import io
from pathlib import Path

import pandas as pd

from perturbloop.data.text_files import read_bytes
from perturbloop.errors import InputError, some

NAMELESS = "Unnamed: 0"
"""What a first column without a name of its own is called, as R's `write.table` leaves row names."""


def read_table(path: Path | str, *, as_text: bool = False) -> pd.DataFrame:
    """Read a text table with a header; tab, comma or semicolon, with or without a byte-order mark, `.gz` too.

    Parameters
    ----------
    path
        The file.
    as_text
        Whether every value is kept as it is written, rather than read as number or missing where it looks like one.

    Raises
    ------
    InputError
        If the file is missing, empty, no text, has no row, or two columns of one name.

    Notes
    -----
    Row names without a name of their own, as R's `write.table` leaves them, become the first column `Unnamed: 0`.
    """
    path = Path(path)
    return table_of(read_bytes(path, what="a text table"), path, as_text=as_text)


def table_of(
    raw: bytes, path: Path, *, as_text: bool = False, names: tuple[str, ...] | None = None
) -> pd.DataFrame:
    """Read a table from the bytes of a file.

    Parameters
    ----------
    raw
        What the file holds.
    path
        The file, for messages.
    as_text
        As `read_table` has it.
    names
        Names of the columns of a table that has no header.
    """
    separator = separator_of(raw, path)
    try:
        frame = pd.read_csv(
            io.BytesIO(raw),
            sep=separator,
            encoding="utf-8-sig",
            low_memory=False,
            dtype=str if as_text else None,
            keep_default_na=not as_text,
            header=0 if names is None else None,
            names=names,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        msg = (
            f"`{path}` must be a text table with a header line; it cannot be read: {str(error).strip()}. "
            f"Correct the file{_commas(separator)}."
        )
        raise InputError(msg) from None
    if frame.empty:
        msg = f"`{path}` must hold one row a gene; it has a header ({some(frame.columns)}) and no row. Correct the path."
        raise InputError(msg)
    if not isinstance(frame.index, pd.RangeIndex):
        frame = _with_row_names(frame, path, separator)
    return once_named(frame, path)


def once_named(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Strip the names of columns, and refuse two of one name.

    Parameters
    ----------
    frame
        The table.
    path
        The file, for the message.
    """
    frame.columns = [str(name).strip() for name in frame.columns]
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        msg = (
            f"`{path}` must name each column once; it has several named {some(twice.unique())}. Rename them."
        )
        raise InputError(msg)
    return frame


def separator_of(raw: bytes, path: Path) -> str:
    """Tab, comma or semicolon: what the first line has most of.

    Parameters
    ----------
    raw
        What the file holds.
    path
        The file, for messages.

    Raises
    ------
    InputError
        If the file is empty or no text.
    """
    if path.suffix in (".h5ad", ".h5", ".zarr") or raw[:4] == b"\x89HDF" or b"\0" in raw[:1000]:
        msg = (
            f"A screen is a text table with one row a gene; `{path}` is a binary file. "
            "Cells are recorded with `--perturbed`; save a spreadsheet as CSV first."
        )
        raise InputError(msg)
    if not raw.strip():
        msg = f"`{path}` must hold one row a gene; it is empty. Correct the path."
        raise InputError(msg)
    return max("\t,;", key=first_line(raw).count)


def first_line(raw: bytes) -> str:
    """First line of a text, without a byte-order mark.

    >>> first_line(b"gene,score\\nSTAT1,2\\n")
    'gene,score\\n'
    """
    return raw[: raw.find(b"\n") + 1 or None].lstrip(b"\xef\xbb\xbf").decode(errors="replace")


def _with_row_names(frame: pd.DataFrame, path: Path, separator: str) -> pd.DataFrame:
    """Put back as a column what pandas took for an index, since each row has one value more than the header."""
    if frame.index.nlevels > 1:
        msg = (
            f"`{path}` must have a name for each column; its header has {frame.shape[1]:,} ({some(frame.columns)}), its rows "
            f"have {frame.shape[1] + frame.index.nlevels:,} values. Correct the header{_commas(separator)}."
        )
        raise InputError(msg)
    names, last = list(frame.columns), frame.iloc[:, -1]
    whole = frame.rename_axis(NAMELESS).reset_index()
    if (last.isna() | last.astype(str).eq("")).all():  # each row ends with a separator: nothing lacks a name
        return whole.iloc[:, :-1].set_axis(names, axis=1)
    return whole


def _commas(separator: str) -> str:
    if separator != ",":
        return ""
    return "; numbers with decimal commas need another separator, so save it with semicolons or tabs"
