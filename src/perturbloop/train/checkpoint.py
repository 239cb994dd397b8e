"""A trained state model on disk: weights that changed, readout, and how they came to be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from perturbloop.errors import some
from perturbloop.models import load
from perturbloop.models.cell_model import CellModel
from perturbloop.models.readout import Readout
from perturbloop.store.files import file_digest, own, whole
from perturbloop.train.classifier import StateModel
from perturbloop.train.lora import load_adapter

READOUT_FILE = "readout.safetensors"
STATE_FILE = "state_model.json"


def save_state_model(trained: StateModel, folder: Path, *, base: CellModel, card: dict[str, Any]) -> None:
    """Write a state model beside its place and rename it.

    Parameters
    ----------
    trained
        The state model. Its encoder is written only where it differs from `base`, its adapter where one was kept.
    folder
        Folder to make; one that is there is replaced.
    base
        The foundation model as it came.
    card
        What the state model is and how it came to be, as plain JSON values.
    """
    own_encoder = trained.model.digest != base.digest
    readout = trained.readout
    with whole(folder) as beside:
        beside.mkdir()
        if own_encoder:
            trained.model.save(beside / "encoder", card)
        if trained.adapter is not None:
            trained.adapter.save(beside / "adapter")
        bias = np.array([readout.bias])
        save_file({"goal": readout.goal_d, "weight": readout.weight_d, "bias": bias}, beside / READOUT_FILE)
        files = sorted(path for path in beside.rglob("*") if path.is_file())
        facts = {
            "heldout_auroc": trained.heldout_auroc,
            "n_train": trained.n_train,
            "own_encoder": own_encoder,
            "card": card,
            "files": {str(path.relative_to(beside)): file_digest(path) for path in files},
        }
        (beside / STATE_FILE).write_text(json.dumps(facts, indent=2))


def load_state_model(folder: Path, *, base: CellModel) -> StateModel | None:
    """Read what `save_state_model` wrote; `None` where there is nothing.

    Raises
    ------
    StoreError
        If a file of it is missing, or no longer holds what was written.
    """
    if not folder.is_dir():
        return None
    with own(
        folder,
        todo=f"Delete the folder `{folder}` and run the same command again: the model is trained anew.",
    ):
        facts = json.loads((folder / STATE_FILE).read_text())
        changed = [
            name for name, held in facts.get("files", {}).items() if file_digest(folder / name) != held
        ]
        if changed:
            msg = f"{some(changed)} changed"
            raise ValueError(msg)
        model = load(folder / "encoder") if facts["own_encoder"] else base
        arrays = load_file(folder / READOUT_FILE)
        readout = Readout(arrays["goal"], arrays["weight"], float(arrays["bias"][0]))
        adapter = load_adapter(folder / "adapter")
        return StateModel(model, readout, float(facts["heldout_auroc"]), int(facts["n_train"]), adapter)
