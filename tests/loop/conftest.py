"""One campaign on simulated cells, played once: the open loop, a record, the closed loop."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
from anndata import read_h5ad

from perturbloop.data import toy
from perturbloop.data.cells import read_cells
from perturbloop.data.tokens import vocabulary_of
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
            "train": {"model": str(self.model), "epochs": 1},
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


@pytest.fixture(scope="package")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    toy.write(toy.world(1, n_cells=160, n_corpus=120), folder / "data", k=Made.n_targets, n_cells=16)
    corpus, _ = read_cells(folder / "data" / "corpus.h5ad")
    words = vocabulary_of(corpus, max_length=64)
    config = PretrainConfig(layers=1, hidden=16, max_length=64, steps=4)
    pretrain([corpus], words, folder / "model", config)
    return Made(folder / "data", folder / "model", folder / "data" / "perturbed.h5ad")


@pytest.fixture(scope="package")
def few(made, tmp_path_factory):
    """The same world with ten targets: too few to hold half of them out."""
    path = tmp_path_factory.mktemp("few") / "perturbed.h5ad"
    adata = read_h5ad(made.perturbed_path)
    kept = [toy.CONTROL, *sorted(set(adata.obs["target"]) - {toy.CONTROL})[:10]]
    adata[adata.obs["target"].isin(kept)].copy().write_h5ad(path)
    return replace(made, perturbed_path=path, n_targets=10)


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

    def table(self, number, name):
        """Table of a round."""
        return pd.read_parquet(self.folder / "rounds" / f"{number:03d}" / f"{name}.parquet")


@pytest.fixture(scope="package")
def campaign(made, tmp_path_factory):
    return two_rounds(made, tmp_path_factory.mktemp("campaigns") / "first")


@pytest.fixture(scope="package")
def campaign_of_few(few, tmp_path_factory):
    return two_rounds(few, tmp_path_factory.mktemp("campaigns") / "few")
