"""Sets, pairs and drugs on a campaign, through the command line."""

import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.cli.combine import _of_no_cell
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.loop.campaign import init
from perturbloop.loop.combine import combine
from perturbloop.perturb.asked import results_path
from perturbloop.schema import COMBINATIONS


@pytest.fixture
def run():
    """Call a command; gives its exit code, standard output and standard error."""

    def call(line):
        done = CliRunner(env={"COLUMNS": "160"}).invoke(app, shlex.split(line), catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return call


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    """A campaign in which nothing was done yet."""
    place = tmp_path_factory.mktemp("combined") / "study"
    init(place, made.config())
    return place


@pytest.fixture(scope="module")
def words(made):
    return Vocabulary.load(next(made.model.glob("*.parquet")))


@pytest.fixture(scope="module")
def often(made, words):
    """Symbols of three genes that many cells express."""
    from perturbloop.data.cells import read_cells

    cells, _ = read_cells(made.data / "cells.h5ad", names=words.names)
    order = np.argsort(-np.asarray((cells.counts_ng > 0).mean(axis=0)).ravel(), kind="stable")
    known = set(words.gene_ids)
    return [str(cells.gene_names[place]) for place in order if cells.gene_ids[place] in known][:3]


def test_a_drug_table_gives_a_table_best_first_and_says_what_made_it(run, folder, often, tmp_path):
    a, b, c = often
    path = tmp_path / "drugs.tsv"
    rows = [f"both\t{a}\t-1", f"both\t{b}\tagonist", f"one\t{c}\tdelete", "one\tENSG00000999999\tdelete"]
    path.write_text("name\tgene\tkind\n" + "\n".join(rows))
    code, out, _ = run(f"combine {folder} {path}")
    assert code == 0
    assert f"both: delete {a} + overexpress {b}" in out
    assert "without a token left out)" in out
    kept = pd.read_parquet(folder / "combinations" / "drugs.parquet")
    assert list(kept.columns) == COMBINATIONS.names
    assert kept["logit_shift"].is_monotonic_decreasing
    assert (kept["n_cells"] > 0).all()
    card = json.loads((folder / "combinations" / "drugs.json").read_text())
    assert card["missing"] == {"one": ["ENSG00000999999"]}
    named = (
        "version",
        "seed",
        "precision",
        "file_digest",
        "data_digest",
        "model_digest",
        "vocabulary_digest",
    )
    assert all(card[name] is not None for name in named)
    assert card["config"]["cells"]["start"] == "stimulated"
    assert not list((folder / "combinations").glob("*.partial"))


def test_machines_get_all_pairs_of_a_list_with_missing_numbers_as_null(run, folder, often, tmp_path):
    path = tmp_path / "genes.txt"
    path.write_text("\n".join(often))
    code, out, _ = run(f"combine {folder} {path} --pairs --json")
    tree = json.loads(out, parse_constant=pytest.fail)
    assert code == 0
    assert len(tree["combinations"]) == 3
    assert tree["path"].endswith("genes-pairs.parquet")
    path.write_text("\n".join([*often, "NONE1"]))
    code, out, _ = run(f"combine {folder} {path} --pairs --skip-unknown --json")
    assert json.loads(out)["combinations"] == tree["combinations"]
    path.write_text("\n".join(often))
    code, out, _ = run(f"combine {folder} {path} --kind inhibit --dose 0.5 --not-expressed insert --json")
    tree = json.loads(out, parse_constant=pytest.fail)
    assert tree["path"].endswith("genes-inhibit-0.5-insert.parquet")
    assert [row["synergy"] for row in tree["combinations"]] == [None] * 3


def test_genes_may_be_given_as_a_list_and_a_second_run_says_the_same(folder, often):
    first, second = combine(folder, often), combine(folder, often)
    pd.testing.assert_frame_equal(first, second)
    assert results_path(folder, often).is_file()
    assert len(combine(folder, often, pairs=True)) == 3


def test_a_set_no_cell_expresses_whole_is_listed_with_what_to_do(run, folder, words, tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("\t".join(["all", "", *words.gene_ids]) + "\n")
    code, out, _ = run(f"combine {folder} {path}")
    assert code == 0
    assert re.search(r" -\s+0  all: delete .* \+ … \([\d,]+ genes\)", out)
    assert "--not-expressed insert" in out
    code, out, _ = run(f"combine {folder} {path} --kind overexpress --not-expressed insert")
    assert code == 0
    assert "apply to no cell" not in out


@pytest.mark.parametrize(
    ("text", "name", "options", "says"),
    [
        ("NONE1\n", "genes.txt", "", "'NONE1'"),
        ("a\t\tNONE1\n", "sets.gmt", "--pairs", "`--pairs` needs a list of genes"),
        ("NONE1\n", "genes.txt", "--kind knockout", "'knockout'"),
        ("NONE1\n", "genes.txt", "--not-expressed insrt", "'insrt'"),
        ("NONE1\n", "genes.csv", "", "genes.csv"),
    ],
)
def test_a_request_is_refused_before_any_work(run, made, tmp_path, text, name, options, says):
    init(tmp_path / "study", made.config())
    (tmp_path / name).write_text(text)
    code, out, err = run(f"combine {tmp_path}/study {tmp_path}/{name} {options}")
    assert code == 1
    assert out == ""
    assert err.startswith("Error: ")
    assert says in err
    assert not (tmp_path / "study" / "combinations").exists()
    assert not (tmp_path / "study" / "models").exists()


def test_a_gene_that_the_file_does_not_hold_is_not_one_that_is_not_expressed():
    rows = pd.DataFrame({"absent": ["HDAC1", "", "HDAC1,STAT1"]})
    lines = _of_no_cell(rows)
    assert lines[0].startswith(
        "2 perturbations apply to no cell, since the file of the cells does not hold 'HDAC1', 'STAT1'"
    )
    assert lines[1].startswith("1 perturbation applies to no cell. Where genes that are not expressed")
    assert _of_no_cell(rows.iloc[:0]) == []


def test_a_compound_is_the_whole_vector_of_its_targets_by_potency(run, folder, often, words, tmp_path):
    a, b, c = often
    path = tmp_path / "compounds.tsv"
    rows = [
        f"drug\t{a}\tinhibitor\t1",
        f"drug\t{b}\tagonist\t100",
        f"drug\t{c}\tbinder\t",
        f"other\t{c}\tunknown\t",
    ]
    path.write_text("compound\tgene\taction\tki_nm\n" + "\n".join(rows))
    code, out, err = run(f"combine {folder} {path} --compounds --dose-um 0.1")
    assert code == 0, err
    table = pd.read_parquet(results_path(folder, path, compounds=True, dose_um=0.1))
    done = table.set_index("name").loc["drug"]
    assert (len(table), done["n_targets"], done["n_unsigned"]) == (1, 2, 1)
    assert f"inhibit {a} at 0.9901" in done["targets"]  # 100 / (100 + 1)
    assert f"activate {b} at 0.5" in done["targets"]
    assert "1 target is not edited, since nobody says whether" in out
    code, _, err = run(f"combine {folder} {path} --compounds --only drugg")
    assert code == 1
    assert "has no 'drugg' among its 2" in err
    code, _, err = run(f"combine {folder} {path} --only drug")
    assert code == 1
    assert "come as a file with `--compounds`" in err
    path.write_text(f"compound\tgene\taction\nother\t{c}\tunknown\n")
    code, _, err = run(f"combine {folder} {path} --compounds")
    assert code == 1
    assert "needs a target of known sign" in err
