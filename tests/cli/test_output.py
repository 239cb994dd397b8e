"""How the command line refuses, for people and for machines."""

import errno
import json
import logging
import re
import sqlite3
import warnings

import pytest
import typer
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.cli.output import STOPPED, Answer, Lines, refusals, say
from perturbloop.errors import GeneIdError, StoreError
from perturbloop.progress import tell
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


def test_help_lists_the_commands_of_the_loop_first_on_one_screen():
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["--help"]).stdout
    lines = shown.splitlines()
    loop = lines[lines.index("The loop:") + 1 :]
    assert [line.split()[0] for line in loop[:4]] == ["init", "check", "play", "propose"]
    assert all(
        shown.count(f"\n  {command.name}") == 1 for command in typer.main.get_command(app).commands.values()
    )
    assert len(lines) <= 55
    assert max(map(len, lines)) <= 80


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
        "status none --json",
        "unrecord none screen --json",
        "relocate none --cells other.h5ad --json",
        "gene none STAT1 --json",
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
    say(Answer({"gene": HOSTILE}, [f"1 {HOSTILE} up"]), as_json=False)
    assert capsys.readouterr().out == "1 \\x1b]0;x\\x07\\x1b[2JCD3E\\x9b up\n"
    say(Answer({"gene": HOSTILE}, []), as_json=True)
    assert "\x1b" not in capsys.readouterr().out
    assert "\x1b" not in refused(StoreError(f"No {HOSTILE}."), capsys, as_json=False).err
    grid = Grid(HOSTILE, ("gene", HOSTILE), ((HOSTILE, "1"),), frozenset({"gene"}), frozenset())
    lines = _section(Section("key", HOSTILE, lines=(HOSTILE,), grids=(grid,)), 80)
    say(Answer({}, lines), as_json=False)
    printed = capsys.readouterr().out
    assert "CD3E" in printed
    assert not set(printed) & {"\x1b", "\x07", "\x9b"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "init new --cells c.h5ad --json",
            "needs '--cells', .*; '--state-column', '--start', '--goal', '--model' did not come",
        ),
        (
            "init new --cells c.h5ad --preset pershad2025 --json",
            "needs '--cells', .*; '--state-column', '--start', '--goal' did not come",
        ),
        ("check --json", "Missing argument 'DIR'"),
        ("check none --badly --json", "No such option"),
        ("nothing --json", "No such command"),
    ],
)
def test_what_was_typed_wrongly_is_json_for_machines_and_told_to_people(line, says):
    done = CliRunner().invoke(app, line.split(), catch_exceptions=False)
    assert done.exit_code == 2
    tree = json.loads(done.stdout)
    assert tree["kind"] == "UsageError"
    assert re.search(says, tree["error"])
    plain = CliRunner(env={"COLUMNS": "200"}).invoke(app, line.replace(" --json", "").split())
    assert plain.exit_code == 2
    assert re.search(says.split(";")[0], plain.stderr)


def told(monkeypatch, work):
    """What `perturbloop check` says while its work does this."""

    def checked(folder):
        work()
        return ["All is well."]

    monkeypatch.setattr("perturbloop.loop.campaign.checked", checked)
    return CliRunner().invoke(app, ["check", "study"], catch_exceptions=False)


def test_an_interrupted_command_says_how_to_go_on(monkeypatch):
    def stop():
        raise KeyboardInterrupt

    done = told(monkeypatch, stop)
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", f"{STOPPED}\n")


def test_where_there_is_no_terminal_progress_is_lines_on_standard_error(monkeypatch):
    done = told(monkeypatch, lambda: tell("train full\x1b[2J", 0, 40))
    assert (done.exit_code, done.stdout) == (0, "All is well.\n")
    assert done.stderr == "train full\\x1b[2J: 0 of 40\n"


def test_lines_of_progress_are_few_and_say_the_beginning_and_the_end(capsys):
    now = [0.0]
    lines = Lines(clock=lambda: now[0])
    for second in range(61):
        now[0] = float(second)
        lines("perturb", second, 60)
    for short in range(15):  # pieces of a tenth of a second
        now[0] += 0.1
        lines(f"fold {short}", 1, 1)
    assert capsys.readouterr().err.splitlines() == [
        "perturb: 0 of 60",
        "perturb: 20 of 60, about 40 s left",
        "perturb: 40 of 60, about 20 s left",
        "perturb: done in 60 s",
    ]


def test_what_libraries_warn_of_never_reaches_the_terminal(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        done = told(
            monkeypatch, lambda: warnings.warn("Precision loss occurred", RuntimeWarning, stacklevel=1)
        )
        assert warnings.showwarning is not logging._showwarning
    assert (done.exit_code, done.stderr) == (0, "")


def test_work_of_the_same_name_in_the_next_round_is_timed_anew(capsys):
    now = [0.0]
    lines = Lines(clock=lambda: now[0])
    for begun, ended in ((0, 100), (1000, 1030)):
        now[0] = begun
        lines("perturb, frozen", 0, 9)
        now[0] = ended
        lines("perturb, frozen", 9, 9)
    assert "done in 30 s" in capsys.readouterr().err
