"""One campaign on simulated cells, played once: the open loop, a record, the closed loop."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
from anndata import read_h5ad

from perturbloop.data import toy
from perturbloop.data.cells import read_cells
from perturbloop.data.encoding import vocabulary_of
from perturbloop.loop.campaign import init, play, record
from perturbloop.schema import CampaignConfig, PerturbedConfig
from perturbloop.train.pretrain import pretrain
from perturbloop.train.pretrain_config import PretrainConfig


@dataclass(frozen=True)
class Made:
    """Files of a small world."""

    data: Path
    model: Path
    perturbed_path: Path
    n_targets: int = 32
    n_few: ClassVar[int] = 10

    def shards(self, folder):
        """Shards of a campaign and when they were written."""
        return {path: path.stat().st_mtime_ns for path in (folder / "shifts").rglob("*.parquet")}

    def config(self, **perturb):
        """Take stimulated cells back to rest."""
        tree = {
            "cells": {
                "path": str(self.data / "cells.h5ad"),
                "state_column": "state",
                "start": "stimulated",
                "goal": "resting",
                "donor_column": "donor_id",
            },
            "train": {"model": str(self.model), "levels": ("full",), "epochs": 1, "closed_loop": "always"},
            "perturb": {"kinds": ("delete",), "cells_per_gene": 2, "full_cells_per_gene": 1} | perturb,
            "evaluate": {"bootstrap": 20},
        }
        return CampaignConfig.from_dict(tree)

    def perturbed(self, **options):
        """Knock-downs in stimulated cells."""
        return PerturbedConfig(
            **{
                "path": str(self.perturbed_path),
                "target_column": "target",
                "control": toy.CONTROL,
                "modality": "crispri",
                "replicate_column": "replicate",
                "guide_column": "guide",
            }
            | options
        )


def make_world(folder):
    """Cells, a model, and perturbed cells of 32 targets."""
    toy.write(toy.world(1, n_cells=160, n_corpus=120), folder / "data", k=Made.n_targets, n_cells=16)
    corpus, _ = read_cells(folder / "data" / "corpus.h5ad")
    words = vocabulary_of(corpus, max_length=64)
    config = PretrainConfig(layers=1, hidden=16, max_length=64, steps=4)
    pretrain([corpus], words, folder / "model", config)
    adata = read_h5ad(folder / "data" / "perturbed.h5ad")
    kept = [toy.CONTROL, *sorted(set(adata.obs["target"]) - {toy.CONTROL})[: Made.n_few]]
    adata[adata.obs["target"].isin(kept)].copy().write_h5ad(folder / "data" / "few.h5ad")
    return Made(folder / "data", folder / "model", folder / "data" / "perturbed.h5ad")


@pytest.fixture(scope="session")
def made(once):
    return once("made", make_world)


@pytest.fixture(scope="session")
def few(made):
    """The same world with ten targets: too few to hold half of them out."""
    return replace(made, perturbed_path=made.data / "few.h5ad", n_targets=Made.n_few)


def two_rounds(made, folder, **options):
    """Play, record, play again."""
    init(folder, made.config())
    play(folder)
    before = made.shards(folder)
    record(folder, made.perturbed(**options))
    play(folder)
    return Campaign(folder, pd.read_parquet(folder / "rounds" / "001" / "effects.parquet"), before)


@dataclass(frozen=True)
class Campaign:
    """A campaign of two rounds."""

    folder: Path
    effects: pd.DataFrame
    shards_of_round_0: dict[Path, int]

    def at(self, folder):
        """The same campaign, copied to a folder; the times of its files went along."""
        moved = {
            folder / path.relative_to(self.folder): time for path, time in self.shards_of_round_0.items()
        }
        return replace(self, folder=folder, shards_of_round_0=moved)

    def table(self, number, name):
        """Table of a round."""
        return pd.read_parquet(self.folder / "rounds" / f"{number:03d}" / f"{name}.parquet")


@pytest.fixture(scope="session")
def own_copy(once, tmp_path_factory):
    """Play a campaign once for all processes, and give this one a copy of its own: it may be played on."""

    def copied(name, play_it):
        def make(place):
            place.mkdir()
            return place / "study", play_it(
                place / "study"
            )  # nothing lies beside it, so that its paths stay full

        folder, result = once(name, make)
        return Path(shutil.copytree(folder, tmp_path_factory.mktemp(name) / "study")), result

    return copied


@pytest.fixture(scope="session")
def campaign(own_copy, made):
    folder, played = own_copy("campaign", lambda place: two_rounds(made, place))
    return played.at(folder)


@pytest.fixture(scope="session")
def campaign_of_few(own_copy, few):
    folder, played = own_copy("campaign_of_few", lambda place: two_rounds(few, place))
    return played.at(folder)
