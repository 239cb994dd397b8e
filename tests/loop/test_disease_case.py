"""The worked case of a disease, by the commands that `perturbloop demo --case disease` says to type."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.data.toy_disease import disease_world
from perturbloop.evaluate.metrics import auroc
from perturbloop.example import disease
from perturbloop.loop.folder import read_of_round

LESS = "--kinds delete --cells-per-gene 2 --full-cells-per-gene 1 --reference-genes 10 --bootstrap 20"
"""What keeps the test short."""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Folder, world, and what each command printed."""
    folder = tmp_path_factory.mktemp("disease")
    world = disease_world(3, n_donors=4, n_cells=60, n_well=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disease, "disease_world", lambda seed: world)
        patch.setattr(disease, "STEPS", 60)
        _, lines = disease.disease_case(folder / "case", seed=3)
    said, told = {}, [shlex.split(line)[1:] for line in lines if line.startswith("perturbloop ")]
    told.remove(
        next(words for words in told if words[0] == "play")
    )  # the screen may be recorded before a round is played
    for words in told:
        more = shlex.split(LESS) if words[0] == "init" else []
        done = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*words, *more])
        assert done.exit_code == 0, done.output
        said[words[0]] = done.output
    return folder / "case", world, said


def test_the_commands_lead_from_files_to_druggable_targets(told):
    _, _, said = told
    assert list(said) == ["init", "check", "record", "play", "report", "targets"]
    assert all(len(text.splitlines()) <= 45 for text in (said["record"], said["targets"]))


def test_reversers_come_back_and_toxic_compounds_are_flagged(told):
    folder, world, said = told
    rows = read_of_round(folder / "study" / "rounds" / "000", "reversal").query("cell_type == 'all'")
    truth = world.response.rename(columns={"compound": "target"})[["target", "dose", "kind"]]
    top = rows.merge(truth).sort_values("dose").drop_duplicates("target", keep="last")
    some = top[top["kind"].isin(["reverser", "inert"])]
    assert auroc(some["kind"].eq("reverser").to_numpy(), some["share"].to_numpy(float)) >= 0.9
    assert "Toxic:" in said["record"]
    flagged = top["flags"].str.contains("toxic")
    assert flagged[top["kind"].eq("toxic")].all()
    assert not flagged[top["kind"].eq("inert")].any()


def test_axes_that_compounds_hit_lead_the_druggable_table(told):
    _, _, said = told
    lines = said["targets"].splitlines()
    first = [
        line.split()[0]
        for line in lines[lines.index(next(one for one in lines if one.startswith("gene "))) + 1 :][:6]
    ]
    assert {"PIK3CD", "MTOR", "PRKCB"} & set(first)


def test_the_lost_gene_brings_the_disease_back_and_forth(told):
    folder, _, _ = told
    facts = json.loads((folder / "study" / "rounds" / "000" / "facts.json").read_text())
    assert "RUNX1" in json.dumps(facts["verdicts"])
