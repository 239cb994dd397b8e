"""Thin commands: what is typed is what the campaign is asked, and what it answers is what is said."""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from typer.testing import CliRunner

from perturbloop import asktell  # noqa: F401 - what names `latest_round` is loaded before a test stands in for it
from perturbloop.cli import app
from perturbloop.loop import last

FOUND = SimpleNamespace(lines=lambda: ["All that is known."], to_dict=lambda: {"known": float("nan")})
FULL = Path("new").resolve()


@pytest.mark.parametrize(
    ("line", "function", "asked", "answer"),
    [
        ("status study", "loop.status.status", {}, FOUND),
        ("gene study STAT1", "report.gene.of_round", {"symbol": "STAT1"}, FOUND),
        ("unrecord study il2", "loop.campaign.unrecord", {"name": "il2"}, ["Taken back."]),
        (
            "relocate study --cells new",
            "loop.campaign.relocate",
            {"cells": str(FULL), "model": None},
            ["Moved."],
        ),
        ("relocate study --model new", "loop.campaign.relocate", {"cells": None, "model": FULL}, ["Moved."]),
    ],
)
def test_a_command_asks_what_was_typed_and_says_the_answer(monkeypatch, line, function, asked, answer):
    came = []

    def stand_in(folder, *names, **options):
        came.append((folder, [*names, *options.values()]))
        return answer

    monkeypatch.setattr(last, "latest_round", lambda folder: folder)
    monkeypatch.setattr(f"perturbloop.{function}", stand_in)
    done = CliRunner().invoke(app, shlex.split(line), catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (0, "")
    assert came == [(Path("study"), list(asked.values()))]
    assert done.stdout.split()[-1] in ("known.", "back.", "Moved.")
    spoken = CliRunner().invoke(app, shlex.split(f"{line} --json"), catch_exceptions=False)
    tree = json.loads(spoken.stdout)  # a missing number is null
    assert tree.get("known") is None
    assert set(tree) & {"known", "lines"}


def test_a_batch_goes_to_the_file_that_is_named_and_only_then_it_is_taken(monkeypatch, tmp_path):
    batch, came = SimpleNamespace(plate=pd.DataFrame({"well": ["A1"]})), []
    monkeypatch.setattr("perturbloop.asktell.ask", lambda folder, **asked: came.append(asked) or batch)
    monkeypatch.setattr(
        "perturbloop.asktell.take", lambda *_, **__: came.append("taken") or pd.DataFrame({"batch": [0]})
    )
    monkeypatch.setattr("perturbloop.cli.batch.batch_lines", lambda *_, **__: ["The batch."])
    monkeypatch.setattr("perturbloop.cli.batch.batch_tree", lambda *_: {})
    out = tmp_path / "plate.csv"
    run = CliRunner().invoke
    line = "propose study -n 32 --goal learn --anyway --with STAT1,JAK2 --without IRF1"
    looked = run(app, line.split(), catch_exceptions=False)
    wanted = {"pinned": ("STAT1", "JAK2"), "dropped": ("IRF1",)}
    assert came == [{"anyway": True, "budget": 32, "aim": "learn"} | wanted]
    assert "Nothing is written down" in looked.stdout
    taken = run(app, ["propose", "study", "-o", str(out), "--library", "guides.txt"], catch_exceptions=False)
    assert came[1:] == [
        {"anyway": False, "pinned": (), "dropped": (), "library": str(Path("guides.txt").resolve())},
        "taken",
    ]
    assert f"Plate: {out}" in taken.stdout
    assert out.read_text() == "well\nA1\n"
    accepted = run(app, ["propose", "study", "--accept"], catch_exceptions=False)
    assert "Batch 0 is taken" in accepted.stdout
    refused = run(app, ["propose", "study", "--out", "batch.txt"], catch_exceptions=False)
    assert refused.exit_code == 1
    assert "`batch.txt` is neither" in refused.stderr


def test_typed_outcomes_go_alone():
    done = CliRunner().invoke(app, ["record", "study", "--outcomes", "a.csv", "--screen", "b.tsv"])
    assert done.exit_code == 1
    assert "`--outcomes` goes alone; '--screen' came too" in done.stderr
