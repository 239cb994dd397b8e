"""How the command line refuses, for people and for machines."""

import errno
import json
import re
import sqlite3

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.cli.output import refusals, say
from perturbloop.errors import GeneIdError, StoreError
from perturbloop.report.layout import Grid, Section
from perturbloop.report.terminal import _section

HOSTILE = "\x1b]0;x\x07\x1b[2JCD3E\x9b"


def refused(error, capsys, *, as_json):
    with pytest.raises(typer.Exit) as left, refusals(as_json=as_json):
        raise error
    assert left.value.exit_code == 1
    return capsys.readouterr()


def test_a_refusal_is_json_for_machines_and_a_sentence_for_people(capsys):
    error = GeneIdError("No gene is known. Name them.")
    error.add_note("in row 3")
    said = refused(error, capsys, as_json=True)
    assert json.loads(said.out) == {"error": "No gene is known. Name them.\nin row 3", "kind": "GeneIdError"}
    assert said.err == ""
    said = refused(error, capsys, as_json=False)
    assert (said.out, said.err) == ("", "Error: No gene is known. Name them.\nin row 3\n")


@pytest.mark.parametrize(
    "line",
    [
        "check none --json",
        "train none --json",
        "perturb none --json",
        "perturb none --dry-run --json",
        "evaluate none --json",
        "propose none --json",
        "play none --json",
        "report none --json",
        "curves none --json",
        "combine none genes.txt --json",
        "record none --modality crispri --json",
        "init new --cells none --state-column s --start a --goal b --model none --seed -1 --json",
        "pretrain new none --vocabulary none --json",
        "demo new --seed -1 --json",
    ],
)
def test_every_command_refuses_in_json(tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, line.split(), catch_exceptions=False)
    assert done.exit_code == 1
    assert set(json.loads(done.stdout)) == {"error", "kind"}


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError(errno.ENOSPC, "No space left", "shard.parquet"),
            "`shard.parquet` .* the disk is full. Make room",
        ),
        (
            OSError(errno.EROFS, "Read-only", "x"),
            "the disk is read-only. Ask for permission, or work in a copy",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "has no permission"),
        (
            OSError(errno.EIO, "Input/output error", "x.h5ad"),
            "`x.h5ad` must be read or written; Input/output error",
        ),
        (OSError(errno.EMFILE, "Too many", "x"), "too many files are open. Raise the limit"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (RuntimeError("write failed (errno = 28, message = 'No space left on device')"), "the disk is full"),
    ],
)
def test_what_the_computer_refuses_is_one_sentence_that_never_says_start_anew(capsys, error, says):
    said = refused(error, capsys, as_json=False).err
    assert said.count("\n") == 1
    assert re.search(says, said)
    assert "anew" not in said
    assert json.loads(refused(error, capsys, as_json=True).out)["kind"] == type(error).__name__


def test_what_is_no_refusal_goes_on_as_it_is():
    for error in (ZeroDivisionError(), sqlite3.ProgrammingError("errno 99999")):
        with pytest.raises(type(error)), refusals(as_json=True):
            raise error


def test_control_characters_in_names_never_reach_a_terminal(capsys):
    say({"gene": HOSTILE}, [f"1 {HOSTILE} up"], as_json=False)
    assert capsys.readouterr().out == "1 \\x1b]0;x\\x07\\x1b[2JCD3E\\x9b up\n"
    say({"gene": HOSTILE}, [], as_json=True)
    assert "\x1b" not in capsys.readouterr().out
    assert "\x1b" not in refused(StoreError(f"No {HOSTILE}."), capsys, as_json=False).err
    grid = Grid(HOSTILE, ("gene", HOSTILE), ((HOSTILE, "1"),), frozenset({"gene"}), frozenset())
    console = Console(record=True, width=200, color_system=None)
    for table in _section(Section("key", HOSTILE, lines=(HOSTILE,), grids=(grid,))):
        console.print(table)
    assert not set(console.export_text()) & {"\x1b", "\x07", "\x9b"}
