"""Tables by name, and the files beside the report."""

import zipfile

import pandas as pd
import pytest

from perturbloop.errors import InputError
from perturbloop.report import table_names, table_of, text_of, write_ranking


def test_the_ranking_is_a_csv_with_all_kinds_in_reading_order(round_one, tmp_path):
    csv, _ = write_ranking(round_one, tmp_path)
    table = pd.read_csv(csv)
    assert list(table.columns[:5]) == ["place", "gene_name", "kind", "action", "benefit"]
    assert list(table["gene_name"].iloc[:2]) == ["JAK2", "STAT1"]
    assert list(table["kind"].unique()) == ["delete", "overexpress"]
    assert table.loc[table["kind"].eq("delete"), "shift"].isna().all()
    assert table.loc[table["kind"].eq("overexpress"), "benefit"].isna().all()
    assert b"1.0,JAK2" not in csv.read_bytes()  # a place is no fraction


def test_the_workbook_has_a_sheet_per_kind_and_genes_stay_text(round_one, tmp_path):
    renamed = round_one.ranking.assign(gene_name="=SEPT1")
    _, book = write_ranking(type(round_one)(**vars(round_one) | {"ranking": renamed}), tmp_path)
    with zipfile.ZipFile(book) as parts:
        assert b'name="inhibit (delete)"' in parts.read("xl/workbook.xml")
        assert b'name="activate (overexpress)"' in parts.read("xl/workbook.xml")
        assert b"=SEPT1" in parts.read("xl/sharedStrings.xml")
        assert not any(b"<f>" in parts.read(name) for name in parts.namelist())


def test_the_same_ranking_is_the_same_bytes(round_one, tmp_path):
    first = [path.read_bytes() for path in write_ranking(round_one, tmp_path)]
    assert first == [path.read_bytes() for path in write_ranking(round_one, tmp_path)]


def test_every_name_has_a_table_and_a_wrong_one_is_refused_by_name(round_one, round_zero):
    assert {"ranking", "batch", "gate", "notes", "posterior", "metrics", "effects"} <= set(
        table_names(round_one)
    )
    assert "effects" not in table_names(round_zero)
    assert list(table_of(round_one, "gate")["verdict"]) == ["passed"]
    assert list(table_of(round_one, "batch")["gene_name"]) == ["JAK2", "ACTB"]
    with pytest.raises(
        InputError, match=r"A table is one of 'ranking', .* `rankings` is none. The closest: 'ranking'"
    ):
        table_of(round_one, "rankings")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_as_text_keeps_its_width_and_its_words(round_one, width):
    lines = text_of(table_of(round_one, "ranking"), width)
    assert max(map(len, lines)) <= width
    assert any("JAK2" in line for line in lines)
