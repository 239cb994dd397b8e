"""A proposed batch for people: lines on the terminal, and a file for the bench."""

from pathlib import Path
from typing import TYPE_CHECKING

from perturbloop.errors import DesignError
from perturbloop.store.files import whole

if TYPE_CHECKING:
    import pandas as pd

NO_GUIDES = "Genes of the mitochondrial genome (MT-…) are in no batch: no guide edits them."


def batch_lines(table: "pd.DataFrame") -> list[str]:
    """Write one line a gene of a table of PROPOSALS, its reason and its cautions below it."""
    lines = []
    for row in table.itertuples():
        lines.append(
            f"{row.policy:8} {row.place:3d}  {row.action:8} {row.gene_name:12} {row.benefit:+.3f}  {row.reason}"
        )
        if isinstance(row.flags, str) and row.flags:
            lines.append(f"{'':14}caution: {row.flags.replace(',', ', ')}")
    return [*lines, NO_GUIDES]


def require_writable(path: Path | None) -> None:
    """Refuse a file that is neither CSV nor Excel, before any work."""
    if path is not None and path.suffix.lower() not in (".csv", ".xlsx"):
        msg = f"A batch is written to a .csv or .xlsx file; `{path}` is neither. Name one with `--out`."
        raise DesignError(msg)


def write_batch(table: "pd.DataFrame", path: Path) -> None:
    """Write a table of PROPOSALS as CSV or Excel file, by the ending of its name."""
    with whole(path) as beside, beside.open("wb") as file:
        if path.suffix.lower() == ".csv":
            table.to_csv(file, index=False)
        else:
            as_text = {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
            table.to_excel(file, index=False, engine="xlsxwriter", engine_kwargs=as_text)
