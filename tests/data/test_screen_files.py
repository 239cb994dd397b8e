"""Screens as they lie on the disk: without a header, with decimal commas, in workbooks."""

import io
import re
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import xlsxwriter

from perturbloop.data import spreadsheets
from perturbloop.data.decimal_commas import with_points
from perturbloop.data.screens import report_lines
from perturbloop.errors import InputError


@pytest.mark.parametrize("head", ["", "# made by a pipeline\n", "Gene\tScore\n"])
def test_a_ranked_list_is_read_with_and_without_a_header(read, frame, head):
    text = frame[["Gene", "Score"]].to_csv(index=False, header=False, sep="\t")
    screen, report = read(head + text, name="screen.rnk", top=0.1)
    np.testing.assert_allclose(screen["effect_to_goal"], frame["Score"])
    assert len(screen) == len(frame)
    assert any("no header" in line for line in report_lines(report)) == (not head.startswith("Gene"))


def test_columns_named_by_numbers_are_a_header(read, frame):
    text = frame[["Gene", "Score"]].set_axis(["0", "1"], axis=1).to_csv(index=False)
    assert len(read(text, top=0.1)[0]) == len(frame)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_are_numbers(read, frame, separator):
    expected, _ = read(frame)
    screen, report = read(frame.to_csv(index=False, sep=separator, decimal=","))
    pd.testing.assert_frame_equal(screen, expected)
    assert any("decimal commas in 'Score', 'pvalue', 'FDR'" in line for line in report_lines(report))


def test_commas_of_thousands_are_no_decimals():
    unclear = pd.DataFrame({"gene": ["A", "B"], "reads": ["1,234", "12,345"]})
    assert with_points(unclear)[1] == []
    assert with_points(unclear.assign(score=["-1,5", "2"]))[1] == ["reads", "score"]


@pytest.fixture
def workbook(tmp_path, frame):
    """Write sheets, by name: rows of the frame below a title, as supplements have it."""

    def workbook(*sheets, rows=frame):
        path = tmp_path / "table.xlsx"
        with xlsxwriter.Workbook(path) as book:
            for name in sheets:
                sheet = book.add_worksheet(name)
                sheet.write_row(0, 0, ["Supplementary Table 3"])
                for place, row in enumerate([list(rows), *rows.to_numpy().tolist()], start=2):
                    sheet.write_row(place, 0, row)
            book.add_worksheet("Notes").write(0, 0, "Nothing here is a table.")
        return path

    return workbook


def test_a_workbook_is_read_below_its_title(read, frame, workbook):
    pytest.importorskip("openpyxl")
    screen, report = read(workbook("Screen").read_bytes(), name="screen.xlsx")
    pd.testing.assert_frame_equal(screen, read(frame)[0])
    assert any("sheet 'Screen' of screen.xlsx" in line for line in report_lines(report))


def test_of_several_sheets_one_is_named(read, workbook):
    pytest.importorskip("openpyxl")
    raw = workbook("Day 3", "Day 7").read_bytes()
    with pytest.raises(InputError, match="--sheet NAME: the sheet: 'Day 3', 'Day 7'"):
        read(raw, name="screen.xlsx")
    with pytest.raises(InputError, match=r"`--sheet Day 9` must be a sheet .* Did you mean 'Day"):
        read(raw, name="screen.xlsx", sheet="Day 9")
    assert len(read(raw, name="screen.xlsx", sheet="Day 7")[0]) == 40


def test_dates_of_a_workbook_are_dates(read, frame, workbook, tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "dates.xlsx"
    with xlsxwriter.Workbook(path, {"default_date_format": "d-mmm"}) as book:
        sheet = book.add_worksheet("Screen")
        for place, row in enumerate([list(frame), *frame.to_numpy().tolist()]):
            sheet.write_row(place, 0, row)
        sheet.write_datetime(41, 0, pd.Timestamp("2023-03-01").to_pydatetime())
        sheet.write_row(41, 1, [1.0, 0.5, 0.5])
    _, report = read(path.read_bytes(), name="screen.xlsx")
    assert any("(MARCHF1 or MTARC1)" in reason for reason in report["dropped"])


def test_without_openpyxl_a_workbook_is_named_as_such_with_two_ways_out(read, workbook, monkeypatch):
    raw = workbook("Screen").read_bytes()
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(InputError, match=r"pip install 'perturbloop\[xlsx\]'.*libreoffice --headless"):
        read(raw, name="screen.xlsx")


def far(tmp_path, row, column, sheets=1):
    """A workbook of two cells and one that stands far away, in each sheet."""
    path = tmp_path / "far.xlsx"
    with xlsxwriter.Workbook(path) as book:
        for _ in range(sheets):
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, ["gene"])
            sheet.write(row, column, 1.0)
    return path


@pytest.mark.parametrize(("row", "column", "sheets"), [(50, 0, 1), (1, 30, 1), (20, 0, 4), (19, 19, 1)])
def test_a_workbook_with_a_cell_far_away_is_refused_while_it_is_read(
    tmp_path, monkeypatch, row, column, sheets
):
    pytest.importorskip("openpyxl")
    for limit, most in {"MOST_ROWS": 40, "MOST_COLUMNS": 24, "MOST_CELLS": 20}.items():
        monkeypatch.setattr(spreadsheets, limit, most)
    path = far(tmp_path, row, column, sheets)
    says = r"at most 40 rows, 24 columns and 20 cells.* delete what stands far away"
    with pytest.raises(InputError, match=says):
        [spreadsheets.read_sheet(path, name) for name in spreadsheets.sheets_of(path)]


def test_what_a_sheet_says_of_its_size_is_not_believed(read, frame, workbook, tmp_path, monkeypatch):
    pytest.importorskip("openpyxl")
    monkeypatch.setattr(spreadsheets, "MOST_ROWS", 100)
    raw = rewritten(
        workbook("Screen"),
        lambda sheet: re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:ZZ900"', sheet),
    )
    pd.testing.assert_frame_equal(read(raw, name="screen.xlsx")[0], read(frame)[0])


def rewritten(path, change):
    """A workbook whose first sheet is changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as book, zipfile.ZipFile(made, "w") as packed:
        for one in book.namelist():
            content = book.read(one)
            packed.writestr(one, change(content) if one.endswith("sheet1.xml") else content)
    return made.getvalue()


def test_a_damaged_sheet_is_refused_as_a_damaged_workbook_is(read, workbook):
    pytest.importorskip("openpyxl")
    whole = workbook("Screen")
    cut = rewritten(whole, lambda sheet: sheet[: len(sheet) // 2])
    flipped = whole.read_bytes()
    with zipfile.ZipFile(whole) as book:
        at = book.getinfo("xl/worksheets/sheet1.xml").header_offset + 100
    flipped = flipped[:at] + bytes(byte ^ 0xFF for byte in flipped[at : at + 40]) + flipped[at + 40 :]
    for raw in (cut, flipped):
        with pytest.raises(InputError, match="must be a workbook; it cannot be read"):
            read(raw, name="screen.xlsx")


def test_a_damaged_workbook_is_refused(read):
    pytest.importorskip("openpyxl")
    with pytest.raises(InputError, match="must be a workbook; it cannot be read"):
        read(b"PK\x03\x04 no archive", name="screen.xlsx")
