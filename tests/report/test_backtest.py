"""`backtest` from files: what is read, kept, gone on with and said; from the command line and from Python."""

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from typer.testing import CliRunner

import perturbloop as pl
from perturbloop.cli import app
from perturbloop.errors import InputError

NAMES = np.array([f"GENE{place}" for place in range(120)])
MODULE = np.arange(120) % 8
SMALL = {"top": 0.1, "rounds": 3, "batch": 12, "repeats": 2, "policies": ("ridge",), "leave_out": ("all",)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("screens")
    rng = np.random.default_rng(3)
    score = rng.standard_normal(120) + 8.0 * (MODULE == 0)
    pd.DataFrame({"0": NAMES, "1": score}).to_csv(folder / "screen.csv", index=False)
    again = score + rng.standard_normal(120)
    fdr = np.where(np.abs(again) > 5, 0.01, 0.9)
    pd.DataFrame({"Gene": NAMES, "Score": again, "FDR": fdr}).to_csv(folder / "sister.csv", index=False)
    lines = [f"module{one}\t\t" + "\t".join(NAMES[one == MODULE]) for one in range(8)]
    (folder / "modules.gmt").write_text("\n".join(lines))
    (folder / "essential.txt").write_text("\n".join(NAMES[:8]))
    pd.DataFrame({"gene": NAMES[:100], "length": rng.random(100)}).to_csv(folder / "table.csv", index=False)
    types = pd.DataFrame({"gene": NAMES} | {name: 50 * rng.random(120) for name in ("T", "B", "NK")})
    types.to_csv(folder / "types.csv", index=False)
    counts = rng.poisson(20, (6, 120)).astype(np.float32)
    counts[:, 100:] = 0
    AnnData(counts, var=pd.DataFrame({"symbol": NAMES}, index=NAMES)).write_h5ad(folder / "cells.h5ad")
    return folder


@pytest.fixture(scope="module")
def done(files):
    return pl.backtest(
        files / "screen.csv",
        out=files / "out",
        sister=files / "sister.csv",
        cells=(files / "cells.h5ad",),
        gene_sets=[files / "modules.gmt"],
        tables=(files / "table.csv",),
        references=(files / "types.csv",),
        cell_type="T",
        essential=files / "essential.txt",
        **SMALL,
    )


def test_every_policy_stands_beside_its_controls(done):
    assert list(done.means["policy"].unique()) == [
        "ridge",
        "ridge, permuted feedback",
        "chance",
        "coverage",
        "prior",
        "sister",
    ]
    last = done.means[done.means["round"].eq(3)].set_index("policy")
    assert last.loc["sister", "hit_ratio"] == 1.0
    assert last.loc["ridge", "hit_ratio"] > last.loc["chance", "hit_ratio"] + 0.2
    assert last["strict_recall"].notna().all()
    assert done.verdict.sentence in repr(done)
    assert done.figure.read_bytes().startswith(b"\x89PNG")
    said = " ".join(done.facts)
    assert "120 genes, 12 hits (top 10 % by size)" in said
    assert "prior: lineage of T in types.csv" in said
    assert "numbers: sets, expression, table.csv length" in said


def test_what_was_played_is_not_played_again(done, files):
    given = json.loads((done.folder / "backtest.json").read_text())
    config = {name: given[name] for name in ("sister", "cells", "gene_sets", "tables", "references")}
    config |= {"cell_type": "T", "essential": given["essential"], "out": done.folder} | SMALL
    again = pl.backtest(given["screen"], **config)
    assert (done.n_computed, again.n_computed) == (12, 0)
    pd.testing.assert_frame_equal(done.table, again.table)
    next((done.folder / "parts").rglob("chance.1.parquet")).unlink()
    assert pl.backtest(given["screen"], **config).n_computed == 1
    more = pl.backtest(given["screen"], **config | {"repeats": 3, "policies": ("ridge", "posterior")})
    assert more.n_computed == 6 + 2 * 3
    assert pl.backtest(given["screen"], **config | {"batch": 10}).n_computed == 12


def test_the_command_says_the_same_and_json_for_machines(files, tmp_path):
    (tmp_path / "hits.txt").write_text("\n".join(NAMES[MODULE == 0]))
    words = f"backtest --screen {files / 'screen.csv'} --hits {tmp_path / 'hits.txt'} --rounds 2 --batch 10 --repeats 1 --leave-out all"
    words += f" --policies ridge:both --gene-sets {files / 'modules.gmt'} --out {tmp_path / 'out'}"
    shown = CliRunner().invoke(app, words.split())
    assert shown.exit_code == 0, shown.output
    assert "no prior: neither cells nor a cell type was named" in shown.output
    tree = json.loads(CliRunner().invoke(app, [*words.split(), "--json"]).stdout)
    assert tree["n_computed"] == 0
    assert tree["sentence"] in shown.output
    assert {"policy", "hit_ratio", "sd"} <= set(tree["means"][0])


def test_without_any_knowledge_it_still_plays(files, tmp_path):
    found = pl.backtest(files / "screen.csv", out=tmp_path / "out", **SMALL | {"repeats": 1})
    assert list(found.means["policy"].unique()) == ["ridge", "ridge, permuted feedback", "chance"]


def test_cells_that_share_no_gene_with_the_references_are_of_no_lineage(files, tmp_path):
    given = SMALL | {"repeats": 1, "cells": (files / "cells.h5ad",), "leave_out": ()}
    shown = "\n".join(pl.backtest(files / "screen.csv", out=tmp_path / "out", **given).facts)
    assert "references: blood (18 cell types), tissue (54 cell types)" in shown
    assert "prior: expression and number of sets; no lineage was recognized" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fdr": 0.05}, r"A hit is told by one rule.*'fdr', 'top'"),
        ({"policies": ()}, r"`policies` must name one or more"),
        ({"first": "random"}, r"`first` must be among 'proposed', 'chance'"),
        ({"topp": 0.1}, r"'topp' came\. Did you mean 'top'"),
        ({"cell_type": "T"}, r"'T' came.*`--cell-type`"),
    ],
)
def test_what_does_not_fit_is_refused(files, tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        pl.backtest(files / "screen.csv", out=tmp_path / "out", **SMALL | options)
    assert not (tmp_path / "out").exists()
