"""The worked case of a disease: the files a laboratory would have, and the commands that make targets of them."""

import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop import progress
from perturbloop.data.cells import read_cells
from perturbloop.data.encoding import vocabulary_of
from perturbloop.data.toy_disease import CONTROL, DISEASE, DiseaseWorld, disease_world
from perturbloop.errors import InputError, some
from perturbloop.store.files import read_json, write_json
from perturbloop.train.pretrain import pretrain
from perturbloop.train.pretrain_config import PretrainConfig

STEPS, MAX_LENGTH = 200, 256
FILES = {
    "cells.h5ad": "untreated cells of six donors, AAVS1 and RUNX1-KO",
    "screen.h5ad": "the sequenced screen: 12 compounds at three doses, and DMSO",
    "targets.csv": "what each compound inhibits or activates, and how strongly",
    "viability.csv": "viability of each well, to flag toxic doses",
    "cytokine.csv": "a readout without cells: the cytokine that knockout cells secrete",
    "model": "a small model, pretrained on simulated cells; take a published one for real cells",
    "truth": "the answers, which no command reads",
}


def disease_case(folder: Path, *, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Write the files of a simulated disease, pretrain a small model, and say which commands to type.

    Parameters
    ----------
    folder
        Folder to make.
    seed
        Seed of the simulated disease.

    Returns
    -------
    Folder, files and commands as plain values, and what to tell.
    """
    _take(folder, seed)
    write_files(disease_world(seed), folder)
    pretrained(folder, seed=seed)
    commands = commands_of(folder)
    lines = [f"{folder / name}: {what}" for name, what in FILES.items()]
    tree = {"folder": str(folder), "files": FILES, "commands": commands}
    return tree, [*lines, "The biology is simulated, the names and the drugs are real. Type:", *commands]


def _take(folder: Path, seed: int) -> None:
    """Refuse a folder that holds files of these names that are not of this case; note in it which case it is."""
    note = folder / "truth" / "case.json"
    there = [name for name in FILES if (folder / name).exists()]
    if there and not (note.is_file() and read_json(note) == {"seed": seed}):
        msg = (
            f"The worked case needs a folder without {some(FILES)}, or one of its own with the same seed; `{folder}` holds {some(there)}. "
            "Name another folder."
        )
        raise InputError(msg)
    write_json(note, {"seed": seed})


def write_files(world: DiseaseWorld, folder: Path) -> None:
    """Write what a laboratory would have, and apart from it, in `truth`, the answers.

    Parameters
    ----------
    world
        The disease.
    folder
        Where; it is made where it is missing.
    """
    truth = folder / "truth"
    truth.mkdir(parents=True, exist_ok=True)
    edited = pd.concat([world.cells.obs["edited"], world.screen.obs["edited"]])
    for name, adata in {"cells": world.cells, "screen": world.screen}.items():
        shown = adata.copy()
        del shown.obs["edited"]
        shown.write_h5ad(folder / f"{name}.h5ad", compression="gzip", convert_strings_to_categoricals=False)
    world.corpus().write_h5ad(
        truth / "corpus.h5ad", compression="gzip", convert_strings_to_categoricals=False
    )
    tables = {
        folder / "targets.csv": world.targets,
        folder / "viability.csv": world.readouts["viability"],
        folder / "cytokine.csv": world.readouts["cytokine"],
        truth / "genes.csv": world.truth,
        truth / "compounds.csv": world.response,
        truth / "edited.csv": edited.rename_axis("cell").reset_index(),
    }
    for path, table in tables.items():
        table.to_csv(path, index=False)


def pretrained(folder: Path, *, seed: int) -> Path:
    """Pretrain the small model of a case; one that is there already is kept.

    Parameters
    ----------
    folder
        Folder of the files.
    seed
        Seed of the pretraining.

    Returns
    -------
    Folder of the model.
    """
    corpus, _ = read_cells(folder / "truth" / "corpus.h5ad")
    config = PretrainConfig(
        layers=2, hidden=64, max_length=MAX_LENGTH, steps=STEPS, learning_rate=2e-3, seed=seed
    )
    pretrain(
        [corpus],
        vocabulary_of(corpus, max_length=MAX_LENGTH),
        folder / "model",
        config,
        on_step=lambda step, _, __: progress.tell("pretrain", step, STEPS),
    )
    return folder / "model"


def commands_of(folder: Path) -> list[str]:
    """The campaign in the commands that real files would take.

    Parameters
    ----------
    folder
        Folder of the files.
    """
    study, cells, screen, targets, model = (
        shlex.quote(str(folder / name))
        for name in ("study", "cells.h5ad", "screen.h5ad", "targets.csv", "model")
    )
    return [
        f"perturbloop init {study} --cells {cells} --state-column genotype --start {DISEASE} --goal {CONTROL} "
        f"--donor-column donor_id --model {model} --positive-controls RUNX1:activate --not-expressed insert",
        f"perturbloop check {study}",
        f"perturbloop play {study}",
        f"perturbloop record {study} --perturbed {screen} --modality drug --target-column compound --control DMSO "
        f"--targets {targets} --dose-column dose --time-column time_h --replicate-column plate --arm-column genotype "
        "--donor-column donor_id --well-column well --recovered-column recovered_cells",
        f"perturbloop play {study}",
        f"perturbloop report {study}",
        f"perturbloop targets {study} --drugs {targets}",
    ]
