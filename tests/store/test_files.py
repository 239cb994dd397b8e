import errno
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from perturbloop.errors import InputError, StoreError
from perturbloop.store.files import (
    LATELY,
    contents,
    own,
    read_json,
    read_table,
    settle,
    sweep,
    whole,
    write_first,
    write_json,
    write_table,
    write_text,
)

TABLE = pd.DataFrame({"gene_id": ["ENSG01", "ENSG02"] * 200, "shift": np.linspace(-1, 1, 400)})


def full(path):
    """Write to a disk without room."""
    with whole(path) as beside:
        beside.write_text("half")
        raise OSError(errno.ENOSPC, "no room")


def test_a_file_and_a_folder_get_their_name_only_when_they_are_whole(tmp_path):
    write_text(tmp_path / "a" / "note.txt", "one")
    with pytest.raises(OSError, match="room"):
        full(tmp_path / "a" / "note.txt")
    assert (tmp_path / "a" / "note.txt").read_text() == "one"
    for text in ("first", "second"):
        with whole(tmp_path / "a" / "model") as beside:
            beside.mkdir()
            (beside / "card.json").write_text(text)
    assert (tmp_path / "a" / "model" / "card.json").read_text() == "second"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["model", "note.txt"]


def test_what_is_written_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda place: done.append("sync") or sync(place))
    monkeypatch.setattr(Path, "replace", lambda path, to: done.append("name") or replace(path, to))
    write_table(tmp_path / "table.parquet", TABLE)
    assert done == ["sync", "name", "sync"]  # the file, its name, the folder that holds the name
    done.clear()
    with whole(tmp_path / "model") as beside:
        beside.mkdir()
        (beside / "card.json").write_text("{}")
    assert done == ["sync", "sync", "name", "sync"]


def test_files_can_be_read_by_whom_their_neighbors_can(tmp_path):
    model = tmp_path / "model"
    with whole(model) as beside:
        beside.mkdir()
        save_file({"weight": np.zeros(3)}, beside / "weights.safetensors")
        (beside / "card.json").write_text("{}")
    modes = {path.name: path.stat().st_mode & 0o777 for path in model.iterdir()}
    assert modes["weights.safetensors"] == modes["card.json"]
    before = os.umask(0o027)
    try:
        settle(model)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in model.iterdir()} == {0o640}


@pytest.mark.parametrize("damage", [lambda raw: b"", lambda raw: raw[:40], lambda raw: bytes(len(raw)), None])
def test_what_was_written_and_cannot_be_read_says_what_to_delete(tmp_path, damage):
    paths = {tmp_path / "table.parquet": read_table, tmp_path / "note.json": read_json}
    write_table(tmp_path / "table.parquet", TABLE)
    write_json(tmp_path / "note.json", {"seed": np.int64(3), "list": list(range(20))})
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.parquet"), TABLE)
    assert read_json(tmp_path / "note.json")["seed"] == 3
    for path, read in paths.items():
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(
            StoreError, match=rf"{path.name}` must be as perturbloop wrote it.*Delete `.*{path.name}`"
        ):
            read(path)


def test_a_flipped_bit_in_a_table_is_noticed(tmp_path):
    write_table(tmp_path / "table.parquet", TABLE)
    raw = bytearray((tmp_path / "table.parquet").read_bytes())
    raw[len(raw) // 3] ^= 4
    (tmp_path / "table.parquet").write_bytes(raw)
    with pytest.raises(StoreError, match="cannot be read"):
        read_table(tmp_path / "table.parquet")


def test_a_file_that_may_not_be_read_now_is_not_called_damaged(tmp_path):
    for error in (PermissionError(errno.EACCES, "Permission denied"), InputError("These are other cells.")):
        with pytest.raises(type(error)), own(tmp_path / "note.json"):
            raise error


def test_what_killed_runs_left_is_swept_and_nothing_else(tmp_path):
    write_text(tmp_path / "rounds" / "000" / "check.json", "{}")
    (tmp_path / "rounds" / "000" / "ranking.parquet.77.partial").write_text("half")
    (tmp_path / "models" / "frozen.77.partial" / "encoder").mkdir(parents=True)
    sweep(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"rounds", "rounds/000", "rounds/000/check.json", "models"}


def test_what_others_write_without_the_lock_is_not_swept(tmp_path):
    here, old = platform.node(), time.time() - 2 * LATELY
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    kept = [f"a.parquet.{os.getppid()}@{here}.partial", "b.parquet.7@other.node.partial"]
    gone = [f"c.parquet.{ended.pid}@{here}.partial", "d.parquet.7@other.node.partial"]
    for name in kept + gone:
        (tmp_path / name).touch()
    os.utime(tmp_path / gone[1], (old, old))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == kept


@pytest.mark.parametrize("links", [True, False])
def test_the_first_of_several_writers_decides(tmp_path, monkeypatch, links):
    if not links:  # a file system without hard links
        monkeypatch.setattr(os, "link", lambda *_: (tmp_path / "none").stat())
    write_first(tmp_path / "run.json", "mixed")
    assert (tmp_path / "run.json").read_text() == "mixed"
    if links:
        write_first(tmp_path / "run.json", "float32")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mixed"]


def test_contents_change_with_what_a_file_holds_and_with_the_size_of_a_folder(tmp_path):
    write_text(tmp_path / "one" / "note.txt", "abc")
    before = contents(tmp_path / "one" / "note.txt"), contents(tmp_path / "one")
    assert contents(tmp_path / "none") is None
    assert json.loads(json.dumps(before)) == list(before)
    write_text(tmp_path / "one" / "note.txt", "abd")
    assert contents(tmp_path / "one" / "note.txt") != before[0]
    assert contents(tmp_path / "one") == before[1]
    write_text(tmp_path / "one" / "note.txt", "abcd")
    assert contents(tmp_path / "one") != before[1]
