"""What others can read of the process that works."""

import json
import os
import platform
import subprocess
import sys
import time

import pytest

from perturbloop import progress
from perturbloop.store.working import FILE, Doing, doing, noted


def test_others_read_what_is_done_and_how_much_of_it(tmp_path):
    with noted(tmp_path):
        progress.tell("perturb", 0, 10)
        found = doing(tmp_path)
        assert (found.work, found.done, found.total, found.pid) == ("perturb", 0, 10, os.getpid())
        assert found.seconds_left is None
    assert doing(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_notes_of_one_piece_of_work_are_seldom_and_its_end_is_noted(tmp_path):
    with noted(tmp_path):
        progress.tell("perturb", 0, 10)
        for done in range(1, 10):
            progress.tell("perturb", done, 10)
        assert doing(tmp_path).done == 0
        progress.tell("perturb", 10, 10)
        assert doing(tmp_path).done == 10


def test_whoever_listened_before_still_hears(tmp_path):
    heard = []
    with progress.heard_by(lambda *told: heard.append(told)), noted(tmp_path):
        progress.tell("train", 1, 2)
    assert heard == [("train", 1, 2)]


def test_an_error_ends_the_note(tmp_path):
    def fail():
        with noted(tmp_path):
            progress.tell("train", 0, 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert doing(tmp_path) is None


def test_a_killed_process_does_nothing_any_more(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    note = Doing("train", 0, 1, time.time(), time.time(), ended.pid, platform.node())
    (tmp_path / FILE).write_text(json.dumps(vars(note)))
    assert doing(tmp_path) is None


@pytest.mark.parametrize(("age", "believed"), [(1, True), (3600, False)])
def test_a_note_of_another_machine_is_believed_while_it_is_fresh(tmp_path, age, believed):
    note = Doing("train", 0, 1, 0.0, time.time() - age, os.getpid(), "elsewhere")
    (tmp_path / FILE).write_text(json.dumps(vars(note)))
    assert doing(tmp_path) == (note if believed else None)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"work": "train"}', "null"])
def test_a_damaged_note_says_nothing(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert doing(tmp_path) is None


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path):
    with noted(tmp_path / "missing"):
        progress.tell("train", 0, 1)
