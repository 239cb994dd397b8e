"""Screens that cannot be read as they are: each cause has a sentence of its own, read through the command line."""

import numpy as np
import pandas as pd
import pytest
import xlsxwriter
from scipy import stats
from typer.testing import CliRunner

from perturbloop.cli import app

Z = np.random.default_rng(0).normal(size=60)
P = 2 * stats.norm.sf(np.abs(Z))
GENES = [f"GENE{place}" for place in range(60)]
PLAIN = pd.DataFrame({"Gene": GENES, "LFC": Z, "pvalue": P, "FDR": P})
ARM = {"score": P, "p-value": P, "fdr": P, "lfc": Z}
RRA = pd.DataFrame(
    {"id": GENES, "num": 4} | {f"{arm}|{name}": ARM[name] for arm in ("neg", "pos") for name in ARM}
)
MLE = pd.DataFrame(
    {"Gene": GENES, "sgRNA": 4}
    | {
        f"{arm}|{name}": Z if name in ("beta", "z") else P
        for arm in "AB"
        for name in ("beta", "z", "p-value", "fdr")
    }
)
GUIDES = pd.DataFrame(
    {"sgrna": [f"s{place}" for place in range(60)], "Gene": GENES[:20] * 3, "LFC": Z, "FDR": P}
)
COUNTS = GUIDES[["sgrna", "Gene"]].assign(day0=100, day7=90)
ZFC = pd.DataFrame({"gene": GENES, "zlfc": Z, "count": 4, "p": P / 2, "p_adj": P / 2})


def tab(frame, **options):
    return frame.to_csv(index=False, sep="\t", **options)


def run(*words):
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, list(map(str, words)))
    assert done.stdout == ""
    return done.exit_code, done.stderr


REFUSED = {
    "a header alone": ("a.csv", "Gene,LFC\n", (), "and no row"),
    "nothing": ("a.csv", "", (), "it is empty"),
    "cells": ("a.h5ad", "\x89HDF", (), "Cells are recorded with `--perturbed`"),
    "no gene and no score": ("a.csv", "x,y\n1,2\n3,4\n", ("--top", 0.1), "a.csv needs 2 more options. Add them to the line:\n  --gene-column NAME: the column of genes, one of 'x', 'y'"),
    "text for a score": ("a.txt", tab(PLAIN.assign(LFC="high")), (), "60 of 60 values are not: 'high'"),
    "logarithms of p": ("a.txt", tab(PLAIN.assign(pvalue=5)), (), "Turn logarithms back into p-values"),
    "two columns of one name": ("a.txt", tab(PLAIN.rename(columns={"pvalue": "LFC "})), (), "it has several named 'LFC'"),
    "a column that is not there": ("a.txt", tab(PLAIN), ("--score-column", "beta"), "`--score-column beta` must be a column of the table"),
    "mouse genes": ("a.txt", tab(PLAIN.assign(Gene=[f"Stat{place}a" for place in range(60)])), (), "must be human; 60 of 60 labels are mouse genes"),
    "genes named again": ("a.txt", tab(pd.concat([PLAIN, PLAIN])), (), "60 of 120 rows"),
    "no rule for hits": ("a.rnk", tab(PLAIN[["Gene", "LFC"]], header=False), (), "--top SHARE or --hits FILE: what a hit is: no column of false discovery rates"),
    "one tail": ("a.txt", tab(PLAIN.assign(pvalue=P / 2)), (), "--pvalue-sides one|two: of 'pvalue' none is above 0.4"),
    "sides of a known tool": ("a.txt", tab(ZFC), ("--pvalue-sides", "two"), "is a ZFC table, whose p-values are known. Leave it out"),
    "guides": ("a.txt", tab(GUIDES), (), "is a table of guides: its 60 rows are those of column 'sgrna', of 20 genes. Give the summary by gene"),
    "counts of guides": ("a.txt", tab(COUNTS), (), "`mageck test -k COUNTS -t TREATED -c CONTROL -n NAME`"),
    "conditions of MAGeCK MLE": ("a.txt", tab(MLE), (), "(MAGeCK MLE gene summary) needs one more option. Add it to the line:\n  --only NAME: one of 2 comparisons side by side: 'A', 'B'"),
    "a condition that is not there": ("a.txt", tab(MLE), ("--only", "C"), "`--only C` must be a screen of"),
    "screens in rows": ("a.txt", tab(pd.concat([RRA.assign(screen="IL2"), RRA.assign(screen="TNF")])), (), "--only NAME: one of 2 screens in its column 'screen': 'IL2', 'TNF'"),
    "decimal commas between commas": ("a.csv", "Gene,LFC\n" + "".join(f"{gene},1,5\n" for gene in GENES), ("--top", 0.1), "Decimal commas in a table separated by commas"),
    "many decimal commas between commas": ("a.csv", "Gene,LFC,FDR\n" + "".join(f"{gene},1,5,0,1\n" for gene in GENES), (), "save it with semicolons or tabs"),
    "commas of decimals or thousands": ("a.txt", tab(PLAIN.assign(LFC="1,234")), (), "Nothing tells whether their commas are those of decimals or of thousands"),
    "a sheet of a text": ("a.txt", tab(PLAIN), ("--sheet", "Day 7"), "`--sheet Day 7` belongs to a workbook"),
    "an old workbook": ("a.xls", "\xd0\xcf", (), "Workbooks are read as .xlsx"),
}  # fmt: skip
"""Cause -> name of the file, what it holds, options, and what is said."""


@pytest.mark.parametrize("cause", REFUSED)
def test_a_screen_that_cannot_be_read_is_refused_with_what_to_do(tmp_path, cause):
    name, text, options, says = REFUSED[cause]
    (tmp_path / name).write_text(text, encoding="latin-1")
    code, said = run("backtest", "--screen", tmp_path / name, *options, "--out", tmp_path / "out")
    assert (code, says in said) == (1, True), said
    assert not (tmp_path / "out").exists()


def test_a_missing_file_says_so_before_anything_is_asked(tmp_path):
    (tmp_path / "ifng.csv").write_text(tab(PLAIN))
    for command in ("record study", "backtest"):
        code, said = run(*command.split(), "--screen", tmp_path / "ifn.csv")
        assert code == 1
        assert said.startswith("Error: A screen is read from a file; there is none at ")
        assert "beside it there is 'ifng.csv'" in said
    assert "is a folder. Name the file in it" in run("record", "study", "--screen", tmp_path)[1]


def test_a_summary_by_gene_beside_a_table_of_guides_is_named(tmp_path):
    (tmp_path / "t.sgrna_summary.txt").write_text(tab(GUIDES))
    (tmp_path / "t.gene_summary.txt").write_text(tab(RRA))
    code, said = run("record", "study", "--screen", tmp_path / "t.sgrna_summary.txt")
    assert code == 1
    assert (
        f"Give the summary by gene that lies beside it: `--screen {tmp_path / 't.gene_summary.txt'}`" in said
    )


def test_all_that_is_missing_is_asked_for_at_once(tmp_path):
    path = tmp_path / "mle.txt"
    path.write_text(tab(MLE))
    code, said = run("record", "study", "--screen", path)
    assert code == 1
    first, *asked = said.splitlines()
    assert first == "Error: mle.txt (MAGeCK MLE gene summary) needs 3 more options. Add them to the line:"
    assert [line.split()[0] for line in asked] == ["--higher-is", "--modality", "--only"]
    assert "here it says that the guides of the gene become more in that condition" in asked[0]


def test_damaged_workbooks_and_sheets_to_choose_from_are_refused(tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"PK\x03\x04 no archive")
    assert "must be a workbook; it cannot be read" in run("backtest", "--screen", path)[1]
    with xlsxwriter.Workbook(path) as book:
        for name in ("Day 3", "Day 7"):
            book.add_worksheet(name).write_row(0, 0, ["Gene", "LFC"])
    said = run("record", "study", "--screen", path)[1]
    assert "--sheet NAME: the sheet: 'Day 3', 'Day 7'" in said
    assert "has a header and no row" in run("backtest", "--screen", path, "--sheet", "Day 7")[1]
