"""Thin commands: what is typed is what the campaign is asked, and what it answers is what is said."""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from typer.testing import CliRunner

from perturbloop.cli import app

FOUND = SimpleNamespace(lines=lambda: ["All that is known."], to_dict=lambda: {"known": float("nan")})
BATCH = pd.DataFrame(
    [["greedy", 1, "inhibit", "CD3E", 0.5, "best", "ambient"]],
    columns=["policy", "place", "action", "gene_name", "benefit", "reason", "flags"],
)
FULL = Path("new").resolve()


@pytest.mark.parametrize(
    ("line", "function", "asked", "answer"),
    [
        ("status study", "status.status", {}, FOUND),
        ("gene study STAT1", "status.gene", {"symbol": "STAT1"}, FOUND),
        ("unrecord study il2", "campaign.unrecord", {"name": "il2"}, ["Taken back."]),
        ("relocate study --cells new", "campaign.relocate", {"cells": FULL, "model": None}, ["Moved."]),
        ("relocate study --model new", "campaign.relocate", {"cells": None, "model": FULL}, ["Moved."]),
        ("propose study", "campaign.proposals", {"budget": None, "anyway": False}, BATCH),
        ("propose study --budget 32 --anyway", "campaign.proposals", {"budget": 32, "anyway": True}, BATCH),
    ],
)
def test_a_command_asks_what_was_typed_and_says_the_answer(monkeypatch, line, function, asked, answer):
    came = []

    def stand_in(folder, *names, **options):
        came.append((folder, [*names, *options.values()]))
        return answer

    monkeypatch.setattr(f"perturbloop.loop.{function}", stand_in)
    done = CliRunner().invoke(app, shlex.split(line), catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (0, "")
    assert came == [(Path("study"), list(asked.values()))]
    assert done.stdout.split()[-1] in ("known.", "back.", "Moved.", "them.")
    spoken = CliRunner().invoke(app, shlex.split(f"{line} --json"), catch_exceptions=False)
    tree = json.loads(spoken.stdout)  # a missing number is null
    assert tree.get("known") is None
    assert set(tree) & {"known", "lines", "proposals"}


def test_a_batch_goes_to_the_file_that_is_named_and_to_no_other_kind(monkeypatch, tmp_path):
    monkeypatch.setattr("perturbloop.loop.campaign.proposals", lambda *_, **__: BATCH)
    out = tmp_path / "batch.csv"
    done = CliRunner().invoke(app, ["propose", "study", "--out", str(out)], catch_exceptions=False)
    assert done.stdout.endswith(f"Batch: {out}\n")
    assert pd.read_csv(out).equals(BATCH)
    refused = CliRunner().invoke(app, ["propose", "study", "--out", "batch.txt"], catch_exceptions=False)
    assert refused.exit_code == 1
    assert "`batch.txt` is neither" in refused.stderr
