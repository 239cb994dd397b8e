"""A proposed batch for people: lines on the terminal, and a file for the bench."""

from pathlib import Path
from typing import TYPE_CHECKING

from perturbloop.errors import DesignError

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".xlsx")


def batch_lines(table: "pd.DataFrame") -> list[str]:
    """Write one line a gene.

    Parameters
    ----------
    table
        PROPOSALS rows.
    """
    return [
        f"{row.policy:8} {row.place:3d}  {row.action:8} {row.gene_name:12} {row.benefit:+.3f}  {row.reason}"
        for row in table.itertuples()
    ]


def require_writable(path: Path | None) -> None:
    """Refuse a file of a kind that cannot be written, before any work.

    Parameters
    ----------
    path
        File to write; `None` = none.
    """
    if path is not None and path.suffix.lower() not in ENDINGS:
        msg = f"A batch is written to a .csv or .xlsx file; `{path}` is neither. Name one with `--out`."
        raise DesignError(msg)


def write_batch(table: "pd.DataFrame", path: Path) -> None:
    """Write a batch as CSV or as an Excel file.

    Parameters
    ----------
    table
        PROPOSALS rows.
    path
        File to write, by its ending.
    """
    from perturbloop.store.files import whole

    with whole(path) as beside:
        if path.suffix.lower() == ".csv":
            table.to_csv(beside, index=False)
        else:
            with beside.open("wb") as file:
                table.to_excel(file, index=False, engine="xlsxwriter")
