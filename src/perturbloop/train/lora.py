"""Low-rank adapters: a few weights beside every matrix of an encoder, trained, and then merged into it."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import BertModel

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
TARGETS = ("query", "key", "value", "dense")
"""Matrices that get an adapter: all of a layer, attention and feed-forward."""
SCALE = 2
"""An adapter counts this many times: peft's `lora_alpha` over its rank, so that the learning rate is that of any rank."""


@dataclass(frozen=True)
class Adapter:
    """A trained adapter, as peft names its weights."""

    rank: int
    """Rank of each adapter."""
    weights: dict[str, torch.Tensor]
    """Two matrices for each adapted one."""

    def save(self, folder: Path) -> None:
        """Write a folder that `peft.PeftModel.from_pretrained` reads on the encoder it was trained on."""
        folder.mkdir(parents=True, exist_ok=True)
        _config(self.rank).save_pretrained(str(folder))
        save_file(self.weights, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def load_adapter(folder: Path) -> Adapter | None:
    """Read what `Adapter.save` wrote; `None` where there is nothing."""
    if not (folder / WEIGHTS_FILE).is_file():
        return None
    return Adapter(json.loads((folder / CONFIG_FILE).read_text())["r"], load_file(folder / WEIGHTS_FILE))


def adapted(bert: BertModel, *, rank: int) -> Any:
    """Put untrained adapters into an encoder, in place, and freeze all other weights; it computes as before.

    Returns
    -------
    peft's model around the encoder.
    """
    from peft import get_peft_model  # takes seconds to import

    with warnings.catch_warnings():  # peft asks transformers by a name that is going away
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        return get_peft_model(bert, _config(rank))


def merged(around: Any) -> Adapter:
    """Add the adapters to the encoder's own weights, in place: it is a plain encoder again, and computes the same.

    Returns
    -------
    What was merged.
    """
    from peft import get_peft_model_state_dict

    found = get_peft_model_state_dict(around, save_embedding_layers=False)
    weights = {name: weight.detach().cpu().clone() for name, weight in found.items()}
    rank = int(around.peft_config["default"].r)
    around.merge_and_unload()
    return Adapter(rank, weights)


def _config(rank: int) -> Any:
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=SCALE * rank, target_modules=list(TARGETS), lora_dropout=0.0)
