"""`campaign.toml` belongs to the user: what she wrote stays, and her folder can be moved."""

import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from perturbloop.errors import InputError, StoreError
from perturbloop.loop.folder import create_campaign, open_campaign, working
from perturbloop.schema import CampaignConfig, DesignConfig, PerturbedConfig, ScreenConfig
from perturbloop.store.campaign_file import CONFIG_FILE, read_config, write_config


@pytest.fixture
def project(tmp_path):
    """A folder with files of a study; the campaign goes beside them."""
    place = tmp_path / "project"
    (place / "data").mkdir(parents=True)
    (place / "data" / "cells.h5ad").touch()
    return place


@pytest.fixture
def config(project):
    """Options with cells beside the campaign and a model elsewhere."""
    return CampaignConfig.from_dict(
        {
            "cells": {
                "path": str(project / "data" / "cells.h5ad"),
                "state_column": "state",
                "start": "ill",
                "goal": "well",
            },
            "train": {"model": "/elsewhere/model"},
            "screen": [screen(project, "one").__dict__, screen(project, "two").__dict__],
        }
    )


def screen(project, name):
    return ScreenConfig(
        path=str(project / "study" / f"{name}.csv"), name=name, modality="crispri", higher_is="goal"
    )


def test_comments_and_order_survive_whatever_is_recorded_replaced_or_taken_back(project, config):
    folder = project / "study"
    create_campaign(folder, config)
    path = folder / CONFIG_FILE
    written = path.read_text()
    written = "# Our study\n" + written.replace("[train]", "# from the hub\n[train]  # small").replace(
        "bootstrap = 1000\n", ""
    ).replace('name = "two"', "# of the second donor\nname = 'two'  # final")
    path.write_text(written)
    perturbed = PerturbedConfig(path="/far/ko.h5ad", target_column="t", control="NT", modality="crispri")
    with working(folder) as campaign:
        campaign.with_recorded(perturbed).with_recorded(replace(screen(project, "two"), fdr=0.1))
    text = path.read_text()
    for kept in (
        "# Our study\n[cells]",
        "# from the hub\n[train]  # small\n",
        "# of the second donor\nname = 'two'  # final",
    ):
        assert kept in text
    assert "bootstrap" not in text  # left to its default by hand, and left so
    assert tomllib.loads(text)["screen"][1]["fdr"] == 0.1
    now = read_config(folder)
    assert (now.perturbed, [one.name for one in now.screen]) == ((perturbed,), ["one", "two"])
    write_config(folder, replace(now, screen=now.screen[1:], perturbed=(), design=DesignConfig(budget=32)))
    text = path.read_text()
    assert "# of the second donor\nname = 'two'  # final" in text
    assert tomllib.loads(text)["design"]["budget"] == 32
    assert ("[[perturbed]]" in text, text.count("[[screen]]")) == (False, 1)


def test_an_edit_that_changes_nothing_leaves_every_byte(project, config):
    folder = project / "study"
    create_campaign(folder, config)
    path = folder / CONFIG_FILE
    path.write_text(
        re.sub(
            r"(?s)\[design\].*?(?=\n\[|\Z)",
            "",
            path.read_text().replace("k = 20", "budget  =  20 # as of old"),
        )
    )
    before = path.read_bytes()
    write_config(folder, read_config(folder))
    assert path.read_bytes() == before
    write_config(folder, replace(read_config(folder), design=DesignConfig(budget=32)))
    now = read_config(folder)
    assert (now.evaluate.k, now.design.budget) == (20, 32)
    assert "budget  =  20 # as of old" in path.read_text()


def test_entries_written_in_one_line_are_edited_too(project, config):
    folder = project / "study"
    create_campaign(folder, replace(config, screen=()))
    path = folder / CONFIG_FILE
    line = "screen = [{path = 'one.csv', name = 'one', modality = 'crispri', higher_is = 'goal'}]\n"
    path.write_text(line + path.read_text())
    now = read_config(folder)
    assert now.screen == (screen(project, "one"),)
    write_config(folder, replace(now, screen=(*now.screen, screen(project, "two"))))
    assert [one.name for one in read_config(folder).screen] == ["one", "two"]


def test_paths_below_and_beside_the_campaign_are_relative_and_move_with_it(project, config):
    folder = project / "study"
    create_campaign(folder, config)
    tree = tomllib.loads((folder / CONFIG_FILE).read_text())
    assert tree["cells"]["path"] == "../data/cells.h5ad"
    assert tree["train"]["model"] == "/elsewhere/model"
    assert tree["screen"][0]["path"] == "one.csv"
    moved = Path(shutil.move(project, project.parent / "moved"))
    with open_campaign(moved / "study") as campaign:
        assert campaign.config.cells.path == str(moved / "data" / "cells.h5ad")
        assert campaign.config.screen[0].path == str(moved / "study" / "one.csv")


def test_a_copy_without_its_files_finds_them_where_they_were(project, config, tmp_path):
    create_campaign(project / "study", config)
    shutil.copytree(project / "study", tmp_path / "far" / "copy")
    with open_campaign(tmp_path / "far" / "copy") as campaign:
        assert campaign.config.cells == config.cells
    (project / "data" / "cells.h5ad").unlink()
    with open_campaign(tmp_path / "far" / "copy") as campaign:
        assert campaign.config.cells.path == str(tmp_path / "far" / "data" / "cells.h5ad")


def test_a_path_that_is_not_full_is_read_from_where_one_stands(project, config, monkeypatch):
    monkeypatch.chdir(project)
    here = replace(config, cells=replace(config.cells, path="data/cells.h5ad"))
    create_campaign(Path("study"), here)
    with open_campaign(Path("study")) as campaign:
        assert campaign.config == config
        assert campaign.store.campaign().config == config.to_dict()


def test_full_paths_of_older_campaigns_still_open(project, config):
    folder = project / "study"
    create_campaign(folder, config)
    path = folder / CONFIG_FILE
    path.write_text(path.read_text().replace("../data", str(project / "data")))
    assert read_config(folder) == config


def test_an_infinite_number_is_refused_with_its_section(project, config):
    folder = project / "study"
    create_campaign(folder, config)
    path = folder / CONFIG_FILE
    path.write_text(path.read_text().replace("width = 0.0", "width = inf"))
    with pytest.raises(InputError, match="`width` must be a finite number; it is inf"), open_campaign(folder):
        pass


def test_without_the_file_the_ledger_knows_the_options_and_writes_them_anew(project, config):
    folder = project / "study"
    create_campaign(folder, config)
    (folder / CONFIG_FILE).unlink()
    with open_campaign(folder) as campaign:
        assert campaign.config == config
    assert not (folder / CONFIG_FILE).exists()
    with working(folder):
        pass
    assert read_config(folder) == config
    (folder / CONFIG_FILE).write_text("")
    with pytest.raises(StoreError, match="it is empty"):
        read_config(folder)
