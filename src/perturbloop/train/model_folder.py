"""A model folder that is whole or absent: written beside, renamed at the end, resumed after a kill."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors.torch import save_file
from transformers import BertForMaskedLM

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import ModelError, StoreError
from perturbloop.models.folder import CARD_FILE, VOCABULARY_FILE
from perturbloop.store.files import own, read_json, settle, sync, whole


def finished(folder: Path, key: str) -> dict[str, Any] | None:
    """Card of a folder made by the same run; nothing if there is none; another run's folder is refused."""
    if not folder.exists():
        return None
    card = folder / CARD_FILE
    tree = (
        read_json(card, todo=f"Remove the folder `{folder}` and run the same command again.")
        if card.is_file()
        else {}
    )
    if not isinstance(tree, dict) or tree.get("key") != key:
        what = "holds a model made from other cells or settings" if card.is_file() else "holds something else"
        msg = f"`{folder}` must be new; it {what}. Choose another name, or remove the folder."
        raise ModelError(msg)
    return dict(tree)


@contextmanager
def partial_folder(folder: Path, key: str) -> Iterator[Path]:
    """Folder beside `folder` for an unfinished run; kept by a kill, refused to a second process or another run."""
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(partial / "lock", timeout=0):
            known = partial / "key"
            if known.is_file() and known.read_text() != key:
                msg = (
                    f"`{partial}` holds an unfinished run with other cells or settings. "
                    "Repeat that command to finish it, or remove the folder."
                )
                raise ModelError(msg)
            known.write_text(key)
            yield partial
    except Timeout:
        msg = f"`{folder}` is being made by another process. Wait for it, or choose another name."
        raise StoreError(msg) from None


def save_checkpoint(partial: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain numbers; the last good file is replaced only by a whole one."""
    with whole(partial / "checkpoint.pt") as beside:
        torch.save(state, beside)


def load_checkpoint(partial: Path) -> dict[str, Any] | None:
    """Read the last checkpoint, if there is one; nothing but tensors and plain values is unpickled."""
    path = partial / "checkpoint.pt"
    if not path.is_file():
        return None
    with own(path):
        return dict(torch.load(path, weights_only=True, map_location="cpu"))


def publish(folder: Path, model: BertForMaskedLM, vocabulary: Vocabulary, card: dict[str, Any]) -> None:
    """Write config, weights, vocabulary and card, and give them their name at once.

    Parameters
    ----------
    folder
        Model folder to make, within `partial_folder` of it.
    model
        Pretrained model.
    vocabulary
        Tokens, medians and length of its cells.
    card
        What the model is and how it came to be, as plain JSON values; `finished` reads its `key`.
    """
    partial = folder.with_name(folder.name + ".partial")
    made = partial / "model"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    model.config.save_pretrained(made)
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    weights = {name: value.contiguous() for name, value in model.state_dict().items() if name not in tied}
    save_file(weights, made / "model.safetensors", metadata={"format": "pt"})
    vocabulary.save(made / VOCABULARY_FILE)
    (made / CARD_FILE).write_text(json.dumps(card, indent=2))
    settle(made)
    made.rename(folder)
    sync(folder.parent)


def remove_partial(folder: Path) -> None:
    """Drop what an unfinished run needed."""
    shutil.rmtree(folder.with_name(folder.name + ".partial"), ignore_errors=True)
