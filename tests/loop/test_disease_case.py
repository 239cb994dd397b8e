"""The worked case of a disease, by the commands that `perturbloop demo --case disease` says to type."""

import shlex

import pandas as pd
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
    said = {}
    for line in lines:
        if not line.startswith("perturbloop "):
            continue
        words = shlex.split(line)[1:]
        more = shlex.split(LESS) if words[0] == "init" else []
        done = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*words, *more])
        assert done.exit_code == 0, done.output
        said[f"{words[0]} {sum(one.startswith(words[0]) for one in said)}"] = done.output
    return folder / "case", world, said


def test_the_commands_lead_from_files_to_druggable_targets(told):
    _, _, said = told
    assert list(said) == ["init 0", "check 0", "play 0", "record 0", "play 1", "report 0", "targets 0"]
    assert all(len(text.splitlines()) <= 45 for text in (said["record 0"], said["targets 0"]))


def test_reversers_come_back_and_toxic_compounds_are_flagged(told):
    folder, world, said = told
    rows = read_of_round(folder / "study" / "rounds" / "001", "reversal")
    rows = rows[rows["cell_type"].eq("") & rows["arm"].eq("RUNX1-KO")] if "arm" in rows else rows
    table = rows.merge(world.response[["compound", "dose", "kind"]], on=["compound", "dose"])
    top = table.sort_values("dose").drop_duplicates("compound", keep="last").set_index("compound")
    some = top[top["kind"].isin(["reverser", "inert"])]
    assert auroc(some["kind"].eq("reverser").to_numpy(), some["share"].to_numpy(float)) >= 0.9
    assert "Toxic:" in said["record 0"]
    assert not top.loc[top["kind"].eq("inert"), "toxic"].any()


def test_axes_that_compounds_hit_lead_the_druggable_table(told):
    _, _, said = told
    lines = said["targets 0"].splitlines()
    first = [
        line.split()[0]
        for line in lines[lines.index(next(one for one in lines if one.startswith("gene "))) + 1 :][:6]
    ]
    assert {"PIK3CD", "MTOR", "PRKCB"} & set(first)


def test_the_lost_gene_brings_the_disease_back_and_forth(told):
    folder, _, _ = told
    scores = pd.read_json(folder / "study" / "rounds" / "001" / "scores.json", typ="series")
    assert any("RUNX1" in str(one) for one in scores["verdicts"])
