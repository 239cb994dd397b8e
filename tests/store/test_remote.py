"""Files that machines without a common disk hand to each other: whole ones only, and a word where the place fails."""

import hashlib
import sys

import pytest

from perturbloop.errors import InputError, StoreError
from perturbloop.store.remote import Remote


def machine(tmp_path, name, url, **files):
    """A folder of a machine with files, and the place it shares."""
    home = tmp_path / name
    (home / "shifts").mkdir(parents=True)
    paths = {}
    for stem, text in files.items():
        paths[stem] = home / "shifts" / f"{stem}.txt"
        if text:
            paths[stem].write_text(text)
    return Remote(url, home), paths


@pytest.fixture(params=["memory", "file", "path"])
def url(request, tmp_path):
    return {"memory": f"memory://{tmp_path}", "file": f"file://{tmp_path}/s", "path": str(tmp_path / "s")}[
        request.param
    ]


def test_each_machine_gets_what_the_others_have(tmp_path, url):
    one, mine = machine(tmp_path, "one", url, a="A", b="")
    two, theirs = machine(tmp_path, "two", url, a="", b="B")
    for remote, paths in ((one, mine), (two, theirs), (one, mine)):
        remote.meet(paths.values(), "label")
    assert [path.read_text() for path in (*mine.values(), *theirs.values())] == ["A", "B", "A", "B"]
    digest = hashlib.sha256(b"A").hexdigest()[:16]
    assert any(name.endswith(f"shifts/label/a-{digest}.txt") for name in one.fs.find(one.root))
    other, none = machine(tmp_path, "other", url, a="")
    other.meet(none.values(), "shards of something else")
    assert not none["a"].exists()


def test_a_file_that_is_not_whole_is_never_taken(tmp_path, url):
    one, mine = machine(tmp_path, "one", url, a="A whole file")
    one.send(mine["a"], "label")
    name = next(name for name in one.fs.find(one.root) if "/a-" in name)
    one.fs.pipe_file(name, b"A wh")
    two, theirs = machine(tmp_path, "two", url, a="")
    two.meet(theirs.values(), "label")
    assert not theirs["a"].exists()
    one.send(mine["a"], "label")  # made anew, it takes the place
    two.meet(theirs.values(), "label")
    assert theirs["a"].read_text() == "A whole file"


def test_the_first_decides_what_a_shared_file_says(tmp_path, url):
    one, mine = machine(tmp_path, "one", url, run="")
    two, theirs = machine(tmp_path, "two", url, run="")
    assert [one.first(mine["run"], "float32"), two.first(theirs["run"], "mixed")] == ["float32", "float32"]


def test_a_place_that_fails_in_the_middle_is_said_to(tmp_path, monkeypatch):
    one, mine = machine(tmp_path, "one", f"memory://{tmp_path}", a="A")
    monkeypatch.setattr(one.fs, "ls", lambda *args, **more: (_ for _ in ()).throw(TimeoutError("no answer")))
    with pytest.raises(
        StoreError, match=r"is not now \(TimeoutError: no answer\). Run the same command again"
    ):
        one.meet(mine.values(), "label")


def test_what_is_missing_for_an_address_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(
        InputError, match=r"needs a package that is not installed.*pip install 'perturbloop\[s3\]'"
    ):
        Remote("s3://bucket/study", tmp_path)
