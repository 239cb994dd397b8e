"""Outcomes typed by hand."""

import pytest
import xlsxwriter

from perturbloop.data.genes import GeneNames
from perturbloop.data.outcomes import read_hits
from perturbloop.errors import GeneIdError, InputError

NAMES = GeneNames.of({"STAT1": "ENSG00000115415", "JAK1": "ENSG00000162434"})


def test_hits_are_read_as_they_are_typed_and_rows_without_an_outcome_are_left_out(tmp_path):
    path = tmp_path / "hits.csv"
    path.write_text("Gene,Hit\nstat1,Yes\nJAK1,0\nENSG00000000001,\n")
    assert read_hits(path, names=NAMES) == {"ENSG00000115415": True, "ENSG00000162434": False}


def test_hits_are_read_from_a_workbook(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "hits.xlsx") as book:
        sheet = book.add_worksheet()
        for place, row in enumerate(
            [("Gene", "Hit"), ("stat1", True), ("JAK1", 0), ("ENSG00000000001", None)]
        ):
            sheet.write_row(place, 0, row)
    assert read_hits(tmp_path / "hits.xlsx", names=NAMES) == {
        "ENSG00000115415": True,
        "ENSG00000162434": False,
    }


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("gene,effect\nSTAT1,1\n", InputError, "columns `gene` and `hit`; `hits.csv` has 'gene', 'effect'"),
        ("gene,hit\nSTAT1,maybe\n", InputError, "yes or no, true or false, 1 or 0; 'maybe' came"),
        ("gene,hit\nFOO,1\n", GeneIdError, "nobody knows 'FOO'"),
    ],
)
def test_another_table_is_refused_in_words(tmp_path, text, error, said):
    (tmp_path / "hits.csv").write_text(text)
    with pytest.raises(error, match=said):
        read_hits(tmp_path / "hits.csv", names=NAMES)
