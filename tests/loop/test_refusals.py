"""What a campaign refuses and leaves as it was, and what survives a kill."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.data import toy
from perturbloop.errors import GeneIdError, InputError, StateError, StoreError
from perturbloop.loop.campaign import checked, init, play, record
from perturbloop.store import lock


def test_a_modality_that_no_edit_of_the_campaign_answers_is_refused(campaign, made):
    with pytest.raises(
        InputError, match=r"`crispra` measures is compared with .*`overexpress`.*'delete' only"
    ):
        record(campaign.folder, made.perturbed(modality="crispra"))


def test_labels_by_condition_must_name_the_states(campaign, made):
    with pytest.raises(InputError, match="at least two conditions"):
        record(
            campaign.folder,
            made.perturbed(label_source="condition", condition_column="condition"),
            replace=True,
        )
    with pytest.raises(StateError, match="must name the start state 'stimulated'"):
        record(
            campaign.folder, made.perturbed(label_source="condition", condition_column="guide"), replace=True
        )


def test_the_same_cells_recorded_again_change_nothing(campaign, made):
    before = (campaign.folder / "campaign.toml").read_text()
    _, new = record(campaign.folder, made.perturbed())
    assert not new
    assert (campaign.folder / "campaign.toml").read_text() == before


def test_a_second_process_is_kept_out(campaign):
    with lock(campaign.folder), pytest.raises(StoreError, match="is busy"):
        play(campaign.folder)


def test_a_refused_record_leaves_the_campaign_as_it_was(campaign, made):
    before = (campaign.folder / "campaign.toml").read_text()
    with pytest.raises(StateError, match="non-targetin"):
        record(campaign.folder, made.perturbed(control="non-targetin"), replace=True)
    assert (campaign.folder / "campaign.toml").read_text() == before
    assert checked(campaign.folder)


def test_a_refused_input_makes_no_campaign(made, tmp_path):
    config = made.config()
    wrong = type(config).from_dict(
        config.to_dict() | {"cells": config.to_dict()["cells"] | {"start": "stimulatd"}}
    )
    with pytest.raises(StateError, match="stimulated"):
        init(tmp_path / "new", wrong)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("option", "named", "says"),
    [
        ("positive_controls", ("NOGENE:inhibit",), "`positive_controls` .* knows 'NOGENE'"),
        ("negative_controls", ("NOGENE",), "`negative_controls` .* knows 'NOGENE'"),
    ],
)
def test_a_control_that_is_no_gene_is_refused_before_any_work(made, tmp_path, option, named, says):
    config = made.config()
    with pytest.raises(GeneIdError, match=says):
        init(tmp_path / "new", replace(config, evaluate=replace(config.evaluate, **{option: named})))
    assert not (tmp_path / "new").exists()


def test_a_file_cannot_become_a_campaign_folder(made, tmp_path):
    (tmp_path / "taken").write_text("x")
    for folder in ("taken", "taken/below"):
        with pytest.raises(StoreError, match="taken` is a file"):
            init(tmp_path / folder, made.config())


def test_the_table_after_a_record_holds_no_effects_of_before(few, tmp_path):
    folder = tmp_path / "study"
    init(folder, few.config())
    record(folder, few.perturbed())
    line = f"record {folder} --perturbed {few.perturbed_path} --target-column target --control {toy.CONTROL}"
    done = CliRunner().invoke(app, shlex.split(f"{line} --modality crispri --min-cells 12 --replace"))
    assert done.exit_code == 0, done.stderr
    assert f"{few.n_targets} targets" in done.stdout


def test_killed_in_the_middle_a_run_goes_on_and_ends_the_same(made, tmp_path):
    config = made.config(cells_per_gene=20)
    init(tmp_path / "killed", config)
    command = [str(Path(sys.executable).with_name("perturbloop")), "play", str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        limit = time.monotonic() + 600
        while not made.shards(tmp_path / "killed") and time.monotonic() < limit and run.poll() is None:
            time.sleep(0.005)
        os.kill(run.pid, signal.SIGKILL)
    done = made.shards(tmp_path / "killed")
    assert done
    assert not (tmp_path / "killed" / "rounds" / "000" / "perturb.json").exists()
    play(tmp_path / "killed", until="evaluate")
    assert done.items() <= made.shards(tmp_path / "killed").items()
    assert len(made.shards(tmp_path / "killed")) > len(done)

    init(tmp_path / "whole", config)
    play(tmp_path / "whole", until="evaluate")
    for name in ("ranking", "predictions"):
        killed, whole = (
            pd.read_parquet(tmp_path / one / "rounds" / "000" / f"{name}.parquet")
            for one in ("killed", "whole")
        )
        pd.testing.assert_frame_equal(killed, whole)


def test_a_damaged_shard_is_named_and_nothing_else_is_lost(campaign, made, tmp_path):
    shutil.copytree(campaign.folder, tmp_path / "copy")
    shard = next(iter(sorted(made.shards(tmp_path / "copy"))))
    shard.write_bytes(b"no parquet")
    (tmp_path / "copy" / "campaign.toml").write_text(
        (tmp_path / "copy" / "campaign.toml").read_text().replace("bootstrap = 20", "bootstrap = 21")
    )
    with pytest.raises(StoreError, match=rf"{shard.name}` must be .*Delete"):
        play(tmp_path / "copy", until="evaluate")
