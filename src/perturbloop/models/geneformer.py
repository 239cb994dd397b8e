"""Geneformer: a BERT over rank-value encoded cells; V1 and V2 are one class with two vocabularies."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from transformers import BertConfig, BertModel
from transformers.activations import ACT2FN
from transformers.utils import logging as transformers_logging

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import ModelError
from perturbloop.models.base import TokenModel
from perturbloop.models.encoder import Encoder
from perturbloop.models.folder import (
    CARD_FILE,
    VOCABULARY_FILE,
    Pooling,
    default_pooling,
    depth_of,
    fitted_vocabulary,
    read_config,
)
from perturbloop.models.weights import encoder_tensors, read_weights, require_finite
from perturbloop.schema import Precision

DEVICE = "PERTURBLOOP_DEVICE"
"""Environment variable that names the device of models."""


class Geneformer(TokenModel):
    """A Geneformer checkpoint, read at one layer."""

    def __init__(
        self, bert: BertModel, vocabulary: Vocabulary, *, pooling: Pooling, emb_layer: int = 0
    ) -> None:
        """Drop the layers above the one that is read, so that they are never computed."""
        depth = depth_of(len(bert.encoder.layer), emb_layer)
        bert.encoder.layer = bert.encoder.layer[:depth]
        bert.config.num_hidden_layers = depth
        self.bert = bert.eval()
        self.vocabulary = vocabulary
        self.pooling = pooling
        self._digest: str | None = None

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(self.bert.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.bert.device

    @property
    def digest(self) -> str:
        """Hash of the weights that are used, of how they are used, of the pooling and of the vocabulary."""
        if self._digest is None:
            config = self.bert.config
            shape = (config.num_attention_heads, config.hidden_act, config.layer_norm_eps)
            hasher = hashlib.sha256(f"{self.pooling} {self.vocabulary.digest} {shape}".encode())
            for name, weight in sorted(self.bert.state_dict().items()):
                hasher.update(name.encode())
                hasher.update(weight.detach().cpu().contiguous().numpy().tobytes())
            self._digest = hasher.hexdigest()[:16]
        return self._digest

    def hidden(
        self, rows: Iterable[np.ndarray], *, batch_tokens: int = 16384
    ) -> Iterator[Float[np.ndarray, "t d"]]:
        """Hidden states of each cell at the layer that is read, float64; neighbors of one length share a batch."""
        for length, alike in groupby(rows, key=len):
            size = max(1, batch_tokens // max(1, length))
            while batch := list(islice(alike, size)):
                tokens_bt = torch.from_numpy(np.stack(batch).astype(np.int64)).to(self.device)
                with torch.inference_mode():
                    yield from self.bert(input_ids=tokens_bt).last_hidden_state.double().cpu().numpy()

    def forget_digest(self) -> None:
        """Hash the weights anew at the next use: they are about to change."""
        self._digest = None

    def encoder(self, precision: Precision) -> Encoder:
        """Forward pass that in-silico perturbation takes apart; float32 equals `encode`."""
        return Encoder(self.bert, precision=precision)

    @property
    def first_only(self) -> bool:
        """Whether the embedding reads `<cls>` alone."""
        return self.pooling == "cls"

    def pool(
        self, hidden_btd: Float[torch.Tensor, "b t d"], gate_bt: Float[torch.Tensor, "b t"] | None = None
    ) -> Float[torch.Tensor, "b d"]:
        """Cell embeddings from hidden states without padding; a gate is the weight of each token in a mean."""
        if self.pooling == "cls":
            return hidden_btd[:, 0]
        if gate_bt is None:
            return (hidden_btd[:, 1:-1] if self.pooling == "inner" else hidden_btd).mean(dim=1)
        if self.pooling == "inner":
            hidden_btd, gate_bt = hidden_btd[:, 1:-1], gate_bt[:, 1:-1]
        return (hidden_btd * gate_bt[:, :, None]).sum(dim=1) / gate_bt.sum(dim=1, keepdim=True)

    def encode(
        self, tokens_bt: torch.Tensor, attention_bt: torch.Tensor | None = None
    ) -> Float[torch.Tensor, "b d"]:
        """Embed a batch by the model's pooling, over the tokens that are no padding."""
        hidden_btd = self.bert(input_ids=tokens_bt, attention_mask=attention_bt).last_hidden_state
        if self.pooling == "cls" or attention_bt is None:
            return self.pool(hidden_btd)
        weight_bt = attention_bt.to(hidden_btd.dtype)
        if self.pooling == "inner":  # a position is inner if it has a token and so have both neighbors
            left, right = weight_bt.roll(1, dims=1), weight_bt.roll(-1, dims=1)
            left[:, 0], right[:, -1] = 0, 0
            weight_bt = weight_bt * left * right
        return (hidden_btd * weight_bt[:, :, None]).sum(dim=1) / weight_bt.sum(dim=1, keepdim=True)

    def gene_embeddings(self) -> Float[np.ndarray, "g d"]:
        """Input vector of each gene of the vocabulary, in its order: what the model knows of a gene before any cell."""
        weight_vd = self.bert.embeddings.word_embeddings.weight.detach()
        return weight_vd[torch.from_numpy(self.vocabulary.tokens.astype(np.int64))].cpu().numpy()

    def save(self, folder: Path, card: Mapping[str, Any]) -> None:
        """Write weights, vocabulary and card; `card` says what the model is and how it came to be."""
        folder.mkdir(parents=True, exist_ok=True)
        self.bert.save_pretrained(folder)
        self.vocabulary.save(folder / VOCABULARY_FILE)
        (folder / CARD_FILE).write_text(json.dumps({**card, "pooling": self.pooling}, indent=2))


def default_device() -> torch.device:
    """Where a model computes: what the environment variable `PERTURBLOOP_DEVICE` names (cpu, cuda, cuda:1), else a GPU if torch finds one.

    Raises
    ------
    ModelError
        If torch knows no such device, or does not find it.
    """
    asked = os.environ.get(DEVICE, "")
    try:
        device = torch.device(asked or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        reason = str(error).strip().partition("\n")[0]
        msg = f"`{DEVICE}` must name a device that torch finds, such as cpu or cuda; it is {asked!r} ({reason}). Correct it, or leave it out."
        raise ModelError(msg) from error
    return device


def load_geneformer(
    folder: Path | str,
    *,
    vocabulary: Path | str | None = None,
    emb_layer: int = 0,
    pooling: Pooling | None = None,
    device: str | None = None,
) -> Geneformer:
    """Load a checkpoint folder.

    Parameters
    ----------
    folder
        Folder with `config.json` and weights.
    vocabulary
        Folder with the published dictionaries; not needed where the checkpoint holds `vocabulary.parquet`.
    emb_layer
        Layer the embedding is read from: 0 = last, -1 = one before it.
    pooling
        As the model's own card says by default, else `mean` for V1 and `cls` for V2; `inner` averages a V2 cell's genes
        without its special tokens.
    device
        Torch device; `default_device` where none is named.

    Returns
    -------
    The model, ready to embed; layers above the one that is read are dropped.

    Raises
    ------
    ModelError
        If the folder is no BERT checkpoint.
    VocabularyMismatch
        If vocabulary and checkpoint do not belong together.
    """
    folder = Path(folder)
    described = read_config(folder, activations=ACT2FN)
    config = BertConfig(**described, pad_token_id=0)
    words = fitted_vocabulary(folder, vocabulary, described)
    held, _ = encoder_tensors(read_weights(folder), described, folder)
    weights = {name: torch.from_numpy(tensor.read()) for name, tensor in held.items()}
    require_finite(
        [name for name, weight in weights.items() if not bool(torch.isfinite(weight).all())], folder
    )
    bert = _bert_of(config, weights)
    torch.nn.Module.to(bert, torch.device(device) if device else default_device())
    return Geneformer(bert, words, pooling=pooling or default_pooling(folder, words), emb_layer=emb_layer)


def _bert_of(config: BertConfig, weights: dict[str, torch.Tensor]) -> BertModel:
    """Make the encoder of these weights, which are all of its tensors; none is drawn first, as its constructor does."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        bert: Any = BertModel.from_pretrained(
            None,
            config=config,
            state_dict=weights,
            add_pooling_layer=False,
            attn_implementation="sdpa",
            dtype=torch.float32,
        )
    finally:
        transformers_logging.set_verbosity(verbosity)
    return bert
