"""A campaign on cells that stay in their file plays as one on cells in memory, encodes them once, and goes on after a kill."""

import os
import shutil

import pandas as pd
import pytest

from perturbloop.data import cells, stored_counts, survey, token_files
from perturbloop.errors import InputError
from perturbloop.loop import inputs
from perturbloop.loop.campaign import checked, init, play


@pytest.fixture
def streams(monkeypatch):
    """As if the cells were too many for the memory."""
    monkeypatch.setattr(survey, "MOST_HELD", 0)
    monkeypatch.setattr(cells, "MOST_HELD", 0)
    monkeypatch.setattr(stored_counts, "_AT_ONCE", 50_000)


def shifts(folder):
    found = sorted((folder / "shifts").rglob("*.parquet"))
    return pd.concat([pd.read_parquet(path) for path in found], ignore_index=True)


def test_streamed_cells_play_as_cells_in_memory(made, tmp_path, request, monkeypatch):
    init(tmp_path / "held", made.config())
    play(tmp_path / "held", until="perturb")
    said = checked(tmp_path / "held")
    request.getfixturevalue("streams")
    init(tmp_path / "streamed", made.config())
    monkeypatch.setattr(token_files, "encode_blocks", None)  # what was encoded is found again
    play(tmp_path / "streamed", until="perturb")
    assert checked(tmp_path / "streamed") == said
    pd.testing.assert_frame_equal(shifts(tmp_path / "streamed"), shifts(tmp_path / "held"))
    assert not (tmp_path / "held" / "tokens").exists()


def test_a_kill_while_cells_are_encoded_leaves_nothing_that_is_taken_for_whole(
    made, tmp_path, streams, monkeypatch
):
    init(tmp_path / "study", made.config())
    shutil.rmtree(tmp_path / "study" / "tokens")

    def killed(parts, file, vocabulary):
        file.write(b"half")
        os._exit(9)

    child = os.fork()
    if not child:
        monkeypatch.setattr(token_files, "_write", killed)
        play(tmp_path / "study", until="check")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = list((tmp_path / "study" / "tokens").iterdir())
    assert [path.suffix for path in left] == [".partial"]
    play(tmp_path / "study", until="check")
    (kept,) = (tmp_path / "study" / "tokens").iterdir()
    assert {path.suffix for path in kept.iterdir()} == {".bin", ".parquet"}


def test_cells_that_are_refused_after_they_were_encoded_leave_nothing(made, tmp_path, streams, monkeypatch):
    def refused(tokens, source):
        assert (tmp_path / "studies" / "study" / "tokens").is_dir()
        raise InputError(source)

    monkeypatch.setattr(inputs, "require_some", refused)
    with pytest.raises(InputError):
        init(tmp_path / "studies" / "study", made.config())
    assert not (tmp_path / "studies").exists()
