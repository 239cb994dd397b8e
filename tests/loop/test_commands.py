"""The command line on a finished campaign: what it prints for people and machines, and how it refuses."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from perturbloop.cli import app


@pytest.fixture
def run():
    """Call a command; gives its exit code, standard output and standard error."""

    def call(line):
        done = CliRunner(env={"COLUMNS": "160"}).invoke(app, shlex.split(line), catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return call


@pytest.mark.parametrize("command", ["check", "train", "perturb", "evaluate", "propose", "play", "report"])
def test_every_step_of_a_finished_campaign_answers_machines_with_one_object(run, campaign, command):
    code, out, _ = run(f"{command} {campaign.folder} --json")
    assert code == 0
    assert isinstance(json.loads(out), dict)
    assert not (campaign.folder / "rounds" / "002").exists()


def test_the_report_in_the_terminal_names_methods_and_its_page(run, campaign):
    code, out, _ = run(f"report {campaign.folder}")
    assert code == 0
    assert "report.html" in out
    assert len(out.splitlines()) <= 40
    code, out, _ = run(f"report {campaign.folder} --full")
    assert code == 0
    assert "signed DE" in out
    code, out, _ = run(f"report {campaign.folder} --table metrics --csv")
    assert code == 0
    assert out.splitlines()[0].startswith("method,")
    code, _, err = run(f"report {campaign.folder} --csv")
    assert code == 1
    assert "`--table ranking`" in err


def test_proposals_give_place_gene_and_reason(run, campaign):
    code, out, _ = run(f"propose {campaign.folder} -n 3")
    assert code == 0
    assert "Expected hits: " in out
    assert "\n1  " in out
    assert "Nothing is written down" in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--cells {data}/none.h5ad --state-column state --start stimulated --goal resting", "none.h5ad"),
        ("--cells {data}/truth.csv --state-column state --start stimulated --goal resting", "truth.csv"),
        ("--cells {data}/cells.h5ad --state-column stat --start stimulated --goal resting", "'state'"),
        ("--cells {data}/cells.h5ad --state-column state --start stimulated --goal rest", "'resting'"),
        ("--cells {data}/cells.h5ad --state-column state --start resting --goal resting", "resting"),
    ],
)
def test_init_refuses_before_it_makes_anything(run, made, tmp_path, options, says):
    code, out, err = run(f"init {tmp_path}/new {options.format(data=made.data)} --model {made.model}")
    assert code == 1
    assert out == ""
    assert err.startswith("Error: ")
    assert says in err
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_no_campaign_is_refused_with_what_to_do(run, tmp_path):
    code, _, err = run(f"play {tmp_path}")
    assert code == 1
    assert "perturbloop init" in err


def test_targets_name_the_compounds_that_do_what_is_needed(run, campaign, tmp_path):
    ranking = json.loads(run(f"report {campaign.folder} --table ranking --json")[1])["ranking"]
    best = next(
        row for row in ranking if row["status"] == "scored" and row["action"] == "inhibit" and row["mean"] > 0
    )
    drugs = tmp_path / "drugs.tsv"
    drugs.write_text(
        f"compound\tgene\taction\tstage\nright\t{best['gene_name']}\tinhibitor\t4\nwrong\t{best['gene_name']}\tagonist\t\n"
    )
    code, out, err = run(f"targets {campaign.folder} --drugs {drugs} --action inhibit --all --json")
    assert code == 0, err
    tree = json.loads(out)
    row = tree["targets"][0]
    assert (row["gene_name"], row["compounds"], row["stage"], row["n_oppose"]) == (
        best["gene_name"],
        "right",
        "approved",
        1,
    )
    assert {one["compound"]: one["direction"] for one in tree["compounds"]} == {
        "right": "agrees",
        "wrong": "opposes",
    }
    code, out, err = run(f"targets {campaign.folder} --drugs {drugs} -o {tmp_path / 't.csv'}")
    assert code == 0, err
    assert "1 druggable target: for 1 a compound is known" in " ".join(out.split())
    assert (tmp_path / "t.csv").read_text().startswith("place,gene_id,gene_name,action")
    code, _, err = run(f"targets {campaign.folder} -o {tmp_path / 't.doc'}")
    assert code == 1
    assert "ends in '.csv' or '.xlsx'" in err
