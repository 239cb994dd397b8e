"""The pages that a reader follows step by step run as they are printed."""

import re
import shlex
import sys
from pathlib import Path

from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.loop.steps import STEPS

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page):
    """Fenced blocks of a page, in order, as (language, text)."""
    return re.findall(
        r"^```(sh|python)\n(.*?)^```$", (DOCS / page).read_text(), flags=re.MULTILINE | re.DOTALL
    )


def run(language, text):
    """Run one block as a reader would, in the current folder: Python as it stands, commands by the command line's entry."""
    if language == "python":
        exec(compile(text, "block", "exec"), {"__name__": "__main__"})
        return
    for line in text.replace("\\\n", " ").splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program == "perturbloop", line
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{line}\n{done.output}"


def assert_as_listed(campaign):
    """The page of the campaign folder names every file, and none that is not there but for those a campaign need not have."""
    sys.path.insert(0, str(DOCS))
    import _folder

    there = {path.relative_to(campaign).as_posix() for path in campaign.rglob("*") if path.is_file()}
    listed = _folder.patterns()
    assert not [path for path in there if not any(pattern.fullmatch(path) for pattern in listed)]
    always = {
        name for step in STEPS for name in (f"{step.name}.json", *step.outputs) if not name.endswith("*")
    }
    assert not [name for name in always if f"rounds/000/{name}" not in there]


def test_the_example_file_of_the_how_to_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("howto/own_cells.md"):
        if language == "python":
            run(language, text)
    assert (tmp_path / "cells.h5ad").is_file()


def test_the_tutorial_runs_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("tutorial/first_campaign.md"):
        run(language, text)
    assert (tmp_path / "first" / "rounds" / "001" / "report.html").is_file()
    assert_as_listed(tmp_path / "first")
