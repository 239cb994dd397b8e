"""What a campaign does after a crash, a clock set back, a moved model, or where it may only be read."""

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from perturbloop.asktell import ask, trials
from perturbloop.errors import StoreError
from perturbloop.loop.campaign import checked, dry_run, init, play, record, show
from perturbloop.loop.folder import open_campaign
from perturbloop.store import lock

DAMAGE = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "deleted": lambda path: path.unlink(),
    "flipped": lambda path: path.write_bytes(
        bytes(
            byte ^ 4 if place == path.stat().st_size // 3 else byte
            for place, byte in enumerate(path.read_bytes())
        )
    ),
}


@pytest.fixture
def folder(campaign, tmp_path):
    """A copy of the campaign of two rounds."""
    return Path(shutil.copytree(campaign.folder, tmp_path / "copy"))


def execute(folder, statement):
    with closing(sqlite3.connect(folder / "campaign.sqlite")) as ledger, ledger:
        return ledger.execute(statement).fetchall()


def rounds(folder):
    return sorted(path.name for path in (folder / "rounds").iterdir())


def tables(folder):
    return {
        path.relative_to(folder): pd.read_parquet(path) for path in (folder / "rounds").rglob("*.parquet")
    }


def deleted(error, damaged):
    """Delete what a refusal names, which must be damaged or hold what is."""
    found = re.search(r"[Dd]elete (?:the folder )?`([^`]+)`", str(error))
    named = Path(found[1]) if found else None
    assert named is not None, error
    assert any(path.is_relative_to(named) for path in damaged), error
    shutil.rmtree(named) if named.is_dir() else named.unlink()
    return named


def put_right(folder, damaged):
    """Play and show until both work, deleting what is named; what was deleted."""
    named = []
    while True:
        try:
            play(folder)
            show(folder)
        except StoreError as error:
            named.append(deleted(error, damaged))
        else:
            return named


def damage(folder, how):
    """Damage one file of each pattern; the files."""
    paths = [sorted(folder.glob(pattern))[0] for pattern in how]
    for path, kind in zip(paths, how.values(), strict=True):
        DAMAGE[kind](path)
    return paths


def require_same(folder, before):
    """The rounds and their tables are as they were, and nothing is left to do."""
    assert rounds(folder) == ["000", "001"]
    now = tables(folder)
    assert now.keys() == before.keys()
    for name, table in now.items():
        pd.testing.assert_frame_equal(table, before[name])
    assert play(folder).done == ()


def test_damaged_and_missing_files_of_a_round_are_made_again_in_it(folder):
    before = tables(folder)
    how = {
        "posterior.parquet": "deleted",
        "scores.json": "zeroed",
        "report.html": "emptied",
        "metrics.parquet": "cut",
    }
    paths = damage(folder, {f"rounds/001/{name}": kind for name, kind in how.items()})
    with pytest.raises(StoreError, match="Delete it and run `perturbloop play`, which makes it anew"):
        show(folder)
    assert play(folder).done == ("evaluate", "propose", "report")
    require_same(folder, before)
    assert all(path.stat().st_size for path in paths)


def test_damaged_files_that_rounds_share_are_named_or_made_again(folder):
    before = tables(folder)
    paths = damage(
        folder,
        {
            "perturbed/*/effects_all.parquet": "zeroed",
            "models/frozen-closed-*/readout.safetensors": "cut",
            "models/full-closed-*/encoder/model.safetensors": "flipped",
            "models/linear-*/encoder/genes.parquet": "emptied",
            "shifts/*/*/run.json": "zeroed",
            "shifts/*/*/part-00000.parquet": "flipped",
            "de/*.parquet": "cut",
            "campaign.toml": "emptied",
            "rounds/001/ranking.parquet": "deleted",
        },
    )
    assert len(put_right(folder, paths)) == 8
    require_same(folder, before)
    assert all(path.stat().st_size for path in paths)


def test_an_older_rounds_damaged_table_is_named_and_a_missing_one_is_left_out(campaign, folder):
    path = folder / "rounds" / "000" / "predictions.parquet"
    path.write_bytes(b"")
    (folder / "rounds" / "001" / "ranking.parquet").unlink()
    with pytest.raises(
        StoreError, match=r"000/predictions.parquet` .* An earlier round cannot be made anew. Delete it"
    ):
        play(folder)
    path.unlink()
    assert play(folder, until="evaluate").round == 1
    assert pd.read_parquet(folder / "rounds" / "001" / "rank_correlations.parquet").empty


def test_a_clock_that_was_set_back_opens_no_rounds(folder):
    execute(folder, "UPDATE step SET started = '2099-01-01 00:00:00.000000' WHERE round = 0")
    for _ in range(3):
        again = play(folder)
        assert (again.round, again.done) == (1, ())
    ask(folder)
    assert rounds(folder) == ["000", "001"]


def test_models_of_other_work_in_the_same_folder_make_nothing_stale(folder):
    shutil.copytree(sorted(folder.glob("models/linear-*"))[0], folder / "models" / "linear-of-curves")
    assert play(folder).done == ()


def test_a_moved_model_is_the_same_model(made, folder, tmp_path):
    shutil.copytree(made.model, tmp_path / "moved")
    toml = folder / "campaign.toml"
    toml.write_text(toml.read_text().replace(str(made.model), str(tmp_path / "moved")))
    assert play(folder).done == ()


def test_a_kill_between_file_and_ledger_is_made_good_when_the_campaign_is_opened(made, folder):
    execute(folder, "UPDATE campaign SET config = json_remove(config, '$.perturbed')")
    record(folder, made.perturbed())  # recorded before: nothing is new
    with open_campaign(folder) as campaign:
        assert campaign.store.campaign().config == campaign.config.to_dict()


def test_what_a_killed_run_left_is_swept_by_the_next(folder):
    (folder / "models" / "full-closed-x.77.partial" / "encoder").mkdir(parents=True)
    (folder / "rounds" / "001" / "ranking.parquet.77.partial").write_text("half")
    play(folder)
    assert not list(folder.rglob("*.partial"))


def test_a_held_out_target_that_trains_by_hand_is_noticed_by_every_command(made, folder):
    execute(folder, "UPDATE target SET fold = -1 WHERE fold >= 0")
    for command in (play, show, checked, lambda place: record(place, made.perturbed())):
        with pytest.raises(StoreError, match="not those that were frozen"):
            command(folder)


def test_of_two_that_make_one_campaign_one_is_refused_in_words(made, tmp_path):
    script = (
        "import sys; from pathlib import Path; from perturbloop.schema import CampaignConfig\n"
        "from perturbloop.loop.folder import create_campaign; from perturbloop.errors import PerturbloopError\n"
        "import tomllib; sys.stdin.readline()\n"
        "try: create_campaign(Path(sys.argv[1]), CampaignConfig.from_dict(tomllib.loads(Path(sys.argv[2]).read_text())))\n"
        "except PerturbloopError as error: sys.exit(str(error))\n"
    )
    init(tmp_path / "first", made.config())
    command = [
        sys.executable,
        "-c",
        script,
        str(tmp_path / "both"),
        str(tmp_path / "first" / "campaign.toml"),
    ]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for one in both:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate()[1] for one in both]
    assert sorted(one.returncode for one in both) == [0, 1]
    assert any("There is a campaign in" in text or "is busy" in text for text in said), said
    assert checked(tmp_path / "both")


# ------------------------------------------------------------------------------------------ who may only read


@pytest.fixture
def read_only(made, folder):
    """Nobody may write to the campaign; the superuser, who always may, works as somebody else."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for path in {*folder.parents, *made.model.parents}:
        if (
            path.stat().st_uid == os.geteuid()
            and path != path.parent
            and stat.S_IMODE(path.stat().st_mode) == 0o700
        ):
            path.chmod(0o755)
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(65534)
    yield folder
    if superuser:
        os.seteuid(0)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def state(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def test_a_campaign_that_may_only_be_read_can_be_read(made, read_only):
    before = state(read_only)
    path, found, scores = show(read_only)
    assert path.is_file()
    assert not found.ranking.empty
    assert scores["metrics"]
    assert checked(read_only)
    assert dry_run(read_only)
    assert not ask(read_only).proposals.empty
    assert trials(read_only).empty
    for command in (play, lambda place: record(place, made.perturbed())):
        with pytest.raises(
            StoreError, match=r"needs permission to write there.*`report`, `check`.*only read"
        ):
            command(read_only)
    assert state(read_only) == before


def test_reading_writes_nothing(folder):
    before = state(folder)
    show(folder)
    checked(folder)
    dry_run(folder)
    ask(folder, budget=3, aim="learn")
    trials(folder)
    assert state(folder) == before


def test_a_dry_run_after_an_option_changed_measures_again_and_keeps_nothing(folder):
    toml = folder / "campaign.toml"
    toml.write_text(toml.read_text().replace("min_effect = 0.3", "min_effect = 0.2"))
    before = state(folder)
    with lock(folder):  # another holder works in it
        assert dry_run(folder)
    assert state(folder) == before
