"""Parts of the edits, as a Slurm array makes them: no ledger, no lock, and the tables of an undivided run."""

import shlex
import shutil

import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.loop.campaign import init, play
from perturbloop.perturb import collect
from perturbloop.store import lock


@pytest.fixture
def run():
    """Call a command; gives its exit code, standard output and standard error."""

    def call(line):
        done = CliRunner(env={"COLUMNS": "160"}).invoke(app, shlex.split(line), catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return call


def shifts(folder):
    """What the edits did, whatever the shards."""
    return {
        str(path.relative_to(folder)): pd.read_parquet(path)
        for path in sorted((folder / "shifts").rglob("*.parquet"))
    }


@pytest.mark.parametrize("perturb", [{}, {"engine": "fast", "top": 10, "screen_cells": 16}])
def test_parts_make_the_shards_of_an_undivided_run_and_leave_the_ledger_alone(
    made, tmp_path, run, monkeypatch, perturb
):
    monkeypatch.setattr(collect, "SHARD_EDITS", 100)
    folder, whole = tmp_path / "study", tmp_path / "whole"
    init(folder, made.config(**perturb))
    code, _, error = run(f"perturb {folder} --part 1/3")
    assert code == 1
    assert f"Run `perturbloop train {folder}` once, then the parts" in error
    play(folder, until="train")
    shutil.copytree(folder, whole)
    play(whole, until="perturb")
    ledger = (folder / "campaign.sqlite").read_bytes()
    with lock(folder):  # another process works in the campaign
        said = [run(f"perturb {folder} --part {number}/3") for number in (3, 1, 2, 2)]
    assert [code for code, _, _ in said] == [0] * 4
    assert "; 0 made now, " in said[-1][1]
    assert "; 0 made now, " not in said[0][1]
    assert f"perturbloop play {folder}" in said[0][1]
    assert (folder / "campaign.sqlite").read_bytes() == ledger
    before = made.shards(folder)
    play(folder, until="perturb")
    after = made.shards(folder)
    assert before.items() <= after.items()
    assert perturb or before == after  # what the fast engine verifies, it chooses by the whole screen
    divided, undivided = shifts(folder), shifts(whole)
    assert divided.keys() == undivided.keys()
    for name, table in divided.items():
        pd.testing.assert_frame_equal(table, undivided[name], check_exact=True)


def _is_of(name, path):
    """Whether a name of the store holds this shard."""
    folder, _, stem = path.removesuffix(".parquet").rpartition("/")
    return f"/{folder}/" in name and f"/{stem}-" in name


def test_machines_without_a_common_disk_hand_each_other_their_shards(made, tmp_path, run, monkeypatch):
    monkeypatch.setattr(collect, "SHARD_EDITS", 100)
    whole, store = tmp_path / "whole", f"memory://{tmp_path.name}"
    init(whole, made.config())
    play(whole, until="train")
    nodes = [shutil.copytree(whole, tmp_path / f"node{number}") for number in (1, 2)]
    play(whole, until="perturb")
    said = [run(f"perturb {node} --part {number}/2 --store {store}") for number, node in enumerate(nodes, 1)]
    assert [code for code, _, _ in said] == [0, 0]
    assert f"perturbloop play {nodes[0]} --store {store}" in said[0][1]
    held = MemoryFileSystem.store
    own = {path.relative_to(nodes[1]).as_posix() for path in made.shards(nodes[1])}
    own -= {
        path.relative_to(nodes[0]).as_posix() for path in made.shards(nodes[0])
    }  # the first must make it anew
    half = next(name for name in sorted(held) if any(_is_of(name, path) for path in own))
    held[half].seek(0)
    held[half].write(b"half")  # as a store would leave it that does not write whole files
    made_before = [made.shards(node).keys() for node in nodes]
    code, printed, _ = run(f"perturb {nodes[0]} --store {store}")
    assert code == 0, printed
    pd.testing.assert_frame_equal(*(pd.concat(shifts(folder).values()) for folder in (nodes[0], whole)))
    n_all = len(made.shards(whole))
    assert n_all == len(made.shards(nodes[0])) > max(map(len, made_before)) > 0
    again = run(f"perturb {nodes[1]} --part 1/1 --store {store}")
    assert f"{n_all:,} of {n_all:,} shards; 0 made now" in again[1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            "--store nope://x",
            "`--store` takes an address that fsspec knows, such as s3://BUCKET/study, or a path; 'nope://x' came",
        ),
        ("--store /proc/none", "may be written and read; '/proc/none' may not"),
        ("--part 3/2", "I from 1 to N"),
        ("--part 0/4", "'0/4' came"),
        ("--part a/b", "'a/b' came"),
        ("--part 1/2 --workers 2", "`--part` goes alone: each part is one process; '--workers' came too"),
        ("--part 1/2 --cluster auto --dry-run", "'--cluster', '--dry-run' came too"),
        ("--workers 2 --cluster auto", "both came. Leave one out"),
        ("--cluster 127.0.0.1:1", "none answers at '127.0.0.1:1'"),
        ("--workers -1", "0 or more; it is -1"),
    ],
)
def test_what_cannot_be_shared_so_is_refused(tmp_path, run, options, says):
    code, _, error = run(f"perturb {tmp_path / 'study'} {options}")
    assert code == 1
    assert says in error
