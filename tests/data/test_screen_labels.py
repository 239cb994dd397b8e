"""What stands in the place of a gene: dates, promoters, copies on X and Y, families."""

import numpy as np
import pandas as pd
import pytest

from perturbloop.data.gene_dates import genes_of_date
from perturbloop.data.screen_labels import tidied
from perturbloop.data.screens import report_lines


def rows(**pvalues):
    """Rows by label, with scores 1, 2, …"""
    score = np.arange(1.0, len(pvalues) + 1)
    table = {
        "label": list(pvalues),
        "score": score,
        "pvalue": list(pvalues.values()),
        "row": range(len(score)),
    }
    return pd.DataFrame(table)


@pytest.mark.parametrize(
    ("label", "genes"),
    [
        ("3-Mar", ("MARCHF3",)),
        ("03-Mar", ("MARCHF3",)),
        ("Mar-03", ("MARCHF3",)),
        ("2023-03-03", ("MARCHF3",)),
        ("2023-03-03 00:00:00", ("MARCHF3",)),
        ("3.3.2023", ("MARCHF3",)),
        ("03. Mrz", ("MARCHF3",)),
        ("3-Mrz", ("MARCHF3",)),
        ("1-Mar", ("MARCHF1", "MTARC1")),
        ("2-Mar", ("MARCHF2", "MTARC2")),
        ("9/3/2023", ("MARCHF9", "SEPTIN3")),
        ("Sep-02", ("SEPTIN2",)),
        ("7-Sep-23", ("SEPTIN7",)),
        ("15-Sep", ("SELENOF",)),
        ("1-Dec", ("DELEC1",)),
        ("7-Jan", ()),
        ("MARCH3", None),
        ("SEPT2", None),
        ("5-HT", None),
        ("2023-13-01", None),
    ],
)
def test_a_date_is_the_genes_that_may_have_become_it(label, genes):
    assert genes_of_date(label) == genes


def test_dates_of_one_gene_are_read_and_the_others_are_named_and_left_out():
    found, dropped, notes = tidied(rows(**{"A": 0.5, "3-Mar": 0.1, "1-Mar": 0.2, "7-Jan": 0.3}))
    assert found["label"].tolist() == ["A", "MARCHF3"]
    ((reason, count),) = dropped.items()
    assert count == 2
    assert "'1-Mar (MARCHF1 or MTARC1)', '7-Jan (no gene)'" in reason
    assert notes == ["dates that a spreadsheet made of gene names: '3-Mar as MARCHF3'"]


def test_of_promoters_the_smallest_p_speaks():
    found, _, notes = tidied(rows(A_P1=0.5, A_P2=0.01, B_P1P2=0.2, C=0.1))
    assert found["label"].tolist() == ["A", "B", "C"]
    assert found["score"].tolist() == [2, 3, 4]
    assert found["row"].tolist() == [1, 2, 3]
    assert notes == ["1 gene has a row for each promoter; that of the smallest p speaks: 'A'"]


def test_without_p_values_the_largest_score_speaks():
    found, _, notes = tidied(rows(A_P1=np.nan, A_P2=np.nan))
    assert found["score"].tolist() == [2]
    assert "that of the largest score speaks" in notes[0]


def test_pseudoautosomal_copies_are_one_gene():
    found, _, notes = tidied(rows(CD99_X=0.1, CD99_Y=0.4))
    assert found["label"].tolist() == ["CD99"]
    assert found["score"].tolist() == [1]
    assert "a row for X and one for Y" in notes[0]


@pytest.mark.parametrize("label", ["POTEE,POTEF,POTEG", "POTEE;POTEF;POTEG", "POTEE; POTEF; POTEG"])
def test_a_family_is_one_measurement_of_each_member(label):
    found, _, notes = tidied(rows(**{"A": 0.1, label: 0.2}))
    assert found["label"].tolist() == ["A", "POTEE", "POTEF", "POTEG"]
    assert found["family"].tolist() == ["", label, label, label]
    assert found["score"].tolist() == [1, 2, 2, 2]
    assert "cannot be told apart" in notes[0]


def test_a_member_with_a_row_of_its_own_is_told_by_that(read, frame):
    family = pd.DataFrame({"Gene": ["GENE1,GENE2,GENE7"], "Score": 9.0, "pvalue": 0.5, "FDR": 1.0})
    frame = frame[frame["Gene"] != "GENE7"]
    screen, report = read(pd.concat([family, frame]))
    effect = screen.set_index("label")["effect_to_goal"]
    assert effect["GENE7"] == 9
    assert effect["GENE1"] == frame.set_index("Gene").loc["GENE1", "Score"]
    assert report["families"] == {"GENE1,GENE2,GENE7": ("ENSG00000000007",)}
    assert "GENE1,GENE2,GENE7" in " ".join(report_lines(report))
    left, _ = read(pd.concat([family, frame]), left_out=["GENE1,GENE2,GENE7"])
    assert "GENE7" not in set(left["label"])


def test_hits_of_a_column_follow_their_rows(read, frame):
    table = frame.assign(Gene=frame["Gene"].replace({"GENE3": "GENE3_P1", "GENE4": "GENE3_P2"}))
    hit = table["Gene"].eq(table.set_index("Gene").loc[["GENE3_P1", "GENE3_P2"], "pvalue"].idxmin())
    screen, _ = read(table.assign(Hit=hit.to_numpy()), hit_column="Hit")
    assert screen.loc[screen["hit"], "label"].tolist() == ["GENE3"]
