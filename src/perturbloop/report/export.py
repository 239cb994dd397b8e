"""The ranking as files that a spreadsheet opens: all kinds as CSV, a sheet per kind as Excel workbook."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from xlsxwriter import Workbook

from perturbloop.report.basis import kinds_of, shown
from perturbloop.report.by_name import ranking_table
from perturbloop.report.content import RoundReport
from perturbloop.schema import ACTION
from perturbloop.store.files import whole, write_text

CSV, EXCEL = "ranking.csv", "ranking.xlsx"
"""Names of the files beside the report."""
MEANINGS = {
    "place": "place in the ranking of this kind, 1 = best; empty where the gene was not scored",
    "gene_name": "HGNC symbol",
    "action": "what to do to the gene",
    "benefit": "probability of a worthwhile effect toward the goal, 0 to 1",
    "mean": "expected effect, as done; positive = toward the goal; in the unit of the measured effects",
    "sd": "standard deviation of the true effect, same unit",
    "shift": "in-silico change in the logit of the goal state; positive = toward the goal",
    "ci_low": "lower end of the 95 % interval of the expected effect, or of the shift; empty below five cells",
    "ci_high": "upper end",
    "neighbors": "measured genes that move the expected effect most",
    "padj": "of the shift against genes of like rank and expression; Benjamini-Hochberg; empty below five cells",
    "call": "toward, away or none: padj below the rate, and the interval excludes 0",
    "n_cells": "start cells in which the gene was edited",
    "n_donors": "donors of these cells; 0 where none are named",
    "cautions": "reasons to look twice; the gene is not removed for them",
    "log2fc": "differential expression, positive = higher in the goal state",
    "de_padj": "padj of differential expression",
    "de_padj_pseudoreplicated": "the same by metacells, which are no replicates (pseudoreplicated): no evidence",
    "detection": "share of start cells that express the gene",
    "status": "scored, not_scored, spent (measured and used) or excluded",
    "kind": "kind of in-silico edit",
    "gene_id": "Ensembl gene id",
}
"""What each column says; the first sheet of the workbook."""
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
"""The same ranking gives the same bytes, so no clock is asked."""


def write_ranking(report: RoundReport, folder: Path) -> tuple[Path, Path]:
    """Write the ranking beside the report, each file whole or not at all.

    Parameters
    ----------
    report
        The round.
    folder
        Where to write; of the round.

    Returns
    -------
    The CSV file with all kinds below each other, and the Excel workbook with a sheet per kind after one that explains the columns.
    """
    table, book = Path(folder) / CSV, Path(folder) / EXCEL
    write_text(table, ranking_table(report).to_csv(index=False, lineterminator="\n"))
    with whole(book) as beside:
        _workbook(report, beside)
    return table, book


def _workbook(report: RoundReport, path: Path) -> None:
    with path.open("wb") as handle, Workbook(handle, {"in_memory": True}) as book:
        book.set_properties({"created": _EPOCH.replace(tzinfo=None), "title": report.title})
        head = book.add_format({"bold": True, "bottom": 1})
        about = book.add_worksheet("columns")
        about.write_row(0, 0, ["column", "meaning"], head)
        for place, (name, meaning) in enumerate(MEANINGS.items(), start=1):
            about.write_string(place, 0, name)
            about.write_string(place, 1, meaning)
        about.set_column(0, 0, 14)
        about.set_column(1, 1, 100)
        for place, kind in enumerate(kinds_of(report)):
            sheet = book.add_worksheet(f"{ACTION.get(kind, '')} ({kind})"[:31])  # type: ignore[call-overload]
            write_sheet(sheet, shown(report, kind), head)
            if place == 0:
                sheet.activate()


def write_sheet(sheet: Any, table: pd.DataFrame, head: Any) -> None:
    """Write a table into a sheet of a workbook: text is never a date nor a formula, what is missing stays empty.

    Parameters
    ----------
    sheet
        Worksheet of XlsxWriter.
    table
        The table.
    head
        Format of the first row.
    """
    sheet.write_row(0, 0, list(table.columns), head)
    sheet.freeze_panes(1, 2)
    sheet.autofilter(0, 0, max(len(table), 1), len(table.columns) - 1)
    for place, name in enumerate(table.columns):
        sheet.set_column(place, place, max(10, len(name) + 2))
        for row, value in enumerate(table[name].tolist(), start=1):
            if value is None or value != value or value == "":  # NaN differs from itself
                continue
            if isinstance(value, str):  # never a date (SEPT1) nor a formula
                sheet.write_string(row, place, value)
            else:
                sheet.write_number(row, place, float(value))
