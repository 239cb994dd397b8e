"""A trained state model on disk: weights that changed, readout, and how they came to be."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from perturbloop.models.base import CellModel
from perturbloop.models.registry import load_saved
from perturbloop.perturb.readout import Readout
from perturbloop.train.classifier import StateModel
from perturbloop.train.lora import load_adapter

READOUT_FILE = "readout.safetensors"
STATE_FILE = "state_model.json"


def save_state_model(trained: StateModel, folder: Path, *, base: CellModel, card: dict[str, Any]) -> None:
    """Write a state model beside its place and rename it; its model only where it differs from `base`, an adapter where one was kept."""
    beside = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    own = trained.model.digest != base.digest
    if own:
        trained.model.save(beside / "encoder", card)
    if trained.adapter is not None:
        trained.adapter.save(beside / "adapter")
    readout = trained.readout
    bias = np.array([readout.bias])
    save_file({"goal": readout.goal_d, "weight": readout.weight_d, "bias": bias}, beside / READOUT_FILE)
    facts = {
        "heldout_auroc": trained.heldout_auroc,
        "n_train": trained.n_train,
        "own_encoder": own,
        "card": card,
    }
    (beside / STATE_FILE).write_text(json.dumps(facts, indent=2))
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)


def load_state_model(folder: Path, *, base: CellModel) -> StateModel | None:
    """Read what `save_state_model` wrote; `None` where there is nothing."""
    if not (folder / STATE_FILE).is_file():
        return None
    facts = json.loads((folder / STATE_FILE).read_text())
    model = load_saved(folder / "encoder") if facts["own_encoder"] else base
    arrays = load_file(folder / READOUT_FILE)
    readout = Readout(arrays["goal"], arrays["weight"], float(arrays["bias"][0]))
    return StateModel(
        model, readout, facts["heldout_auroc"], facts["n_train"], load_adapter(folder / "adapter")
    )
