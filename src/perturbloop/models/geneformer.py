"""Geneformer: a BERT over rank-value encoded cells; V1 and V2 are one class with two vocabularies."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from transformers import BertConfig, BertModel
from transformers.activations import ACT2FN
from transformers.utils import logging as transformers_logging

from perturbloop.data.vocabulary import Version, Vocabulary
from perturbloop.errors import ModelError, VocabularyMismatch, some
from perturbloop.models.base import TokenModel
from perturbloop.models.encoder import Encoder
from perturbloop.schema import Precision

Pooling = Literal["mean", "cls", "inner"]
"""mean: over all tokens of a row; cls: its first position; inner: mean without its first and last position."""
VOCABULARY_FILE = "vocabulary.parquet"
CARD_FILE = "perturbloop.json"


class Geneformer(TokenModel):
    """A Geneformer checkpoint, read at one layer."""

    def __init__(
        self, bert: BertModel, vocabulary: Vocabulary, *, pooling: Pooling, emb_layer: int = 0
    ) -> None:
        """Drop the layers above the one that is read, so that they are never computed."""
        depth = len(bert.encoder.layer) + emb_layer
        if emb_layer > 0 or depth < 1:
            msg = (
                f"`emb_layer` must lie between {1 - len(bert.encoder.layer)} (first layer) and 0 (last); it is {emb_layer}. "
                "Correct it."
            )
            raise ModelError(msg)
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


def load_geneformer(
    folder: Path | str,
    *,
    vocabulary: Path | str | None = None,
    emb_layer: int = 0,
    pooling: Pooling | None = None,
    device: str = "cpu",
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
        `mean` for V1, `cls` for V2 by default; `inner` averages a V2 cell's genes without its special tokens.
    device
        Torch device.

    Raises
    ------
    ModelError
        If the folder is no BERT checkpoint.
    VocabularyMismatch
        If vocabulary and checkpoint do not belong together.
    """
    folder = Path(folder)
    config = _config(folder)
    words = _vocabulary(folder, vocabulary, config)
    words = words.with_length(min(words.max_length, config.max_position_embeddings))
    words.fits(config.vocab_size, config.max_position_embeddings)
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # heads and poolers we do not use are no news
    transformers_logging.disable_progress_bar()
    try:
        loaded: Any = BertModel.from_pretrained(
            folder,
            config=config,
            add_pooling_layer=False,
            attn_implementation="sdpa",
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
        bert, found = loaded
        torch.nn.Module.to(bert, torch.device(device))
    except Exception as error:  # safetensors, torch and transformers raise many kinds for a damaged file
        msg = f"The weights in `{folder}` must be a BERT checkpoint; they cannot be read: {error}. Copy the folder again."
        raise ModelError(msg) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    _require_whole(bert, found, folder)
    pooling = pooling or ("cls" if words.has_cls else "mean")
    return Geneformer(bert, words, pooling=pooling, emb_layer=emb_layer)


def _require_whole(bert: BertModel, found: Mapping[str, Any], folder: Path) -> None:
    """Refuse weights with gaps, which the library would fill at random, and weights that are no numbers."""
    missing = sorted(str(name) for name in found["missing_keys"])
    if missing:
        msg = (
            f"A checkpoint must hold every tensor of embeddings and encoder; `{folder}` lacks {len(missing):,} of "
            f"{len(bert.state_dict()):,}: {some(missing)}. Copy the folder again, with all its files."
        )
        raise ModelError(msg)
    beyond = sorted(str(name) for name in found["unexpected_keys"] if ".layer." in str(name))
    if beyond:
        msg = (
            f"The layers of a checkpoint must be those that its `config.json` counts ({bert.config.num_hidden_layers}); `{folder}` "
            f"holds {len(beyond):,} tensors of others: {some(beyond)}. Copy the folder again, with the config of these weights."
        )
        raise ModelError(msg)
    wrong = [name for name, weight in bert.state_dict().items() if not bool(torch.isfinite(weight).all())]
    if wrong:
        msg = (
            f"Weights must be finite numbers; in `{folder}` {len(wrong):,} tensors hold others: {some(wrong)}. Copy the folder "
            "again, or train the model again."
        )
        raise ModelError(msg)


_SIZES = {
    "vocab_size": 10**6,
    "hidden_size": 16_384,
    "num_hidden_layers": 256,
    "num_attention_heads": 256,
    "intermediate_size": 65_536,
    "max_position_embeddings": 10**6,
    "type_vocab_size": 1000,
}
"""Sizes that shape a BERT, each with the largest that is built: some times that of any model of cells."""
_RATES = {
    "layer_norm_eps": 1.0,
    "hidden_dropout_prob": 1.0,
    "attention_probs_dropout_prob": 1.0,
    "initializer_range": 100.0,
}


def _config(folder: Path) -> BertConfig:
    """Read what shapes the model, and check it before anything of that size is built; all else in the file has no part in it."""
    try:
        tree = json.loads((folder / "config.json").read_bytes())
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        msg = (
            f"A model folder needs a `config.json`; `{folder}` has none that can be read ({type(error).__name__}). "
            "Give a Geneformer checkpoint folder, or make a small model with `perturbloop pretrain`."
        )
        raise ModelError(msg) from None
    kind = tree.get("model_type") if isinstance(tree, dict) else tree
    if kind != "bert":
        msg = f"A Geneformer checkpoint is a BERT model; `{folder}` says {kind!r}. Give another folder."
        raise ModelError(msg)
    sizes = {name: tree[name] for name in _SIZES if name in tree}
    rates = {name: tree[name] for name in _RATES if name in tree}
    wrong = [f"{name} = {value!r}" for name, value in sizes.items() if not _is_size(value, _SIZES[name])]
    wrong += [f"{name} = {value!r}" for name, value in rates.items() if not _is_rate(value, _RATES[name])]
    act = tree.get("hidden_act", "gelu")
    wrong += [] if isinstance(act, str) and act in ACT2FN else [f"hidden_act = {act!r}"]
    if not wrong and sizes.get("hidden_size", 768) % sizes.get("num_attention_heads", 12):
        wrong = [f"{name} = {sizes.get(name)}" for name in ("hidden_size", "num_attention_heads")]
    plain = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
    wrong += [f"{name} = {tree[name]!r}" for name, value in plain.items() if tree.get(name, value) != value]
    if wrong:
        msg = (
            f"`config.json` of a checkpoint must describe a plain BERT encoder: sizes are whole numbers, none many times that of "
            f"published models, and `hidden_size` is a multiple of the heads; `{folder}` has {some(wrong)}. Copy the file again."
        )
        raise ModelError(msg)
    config = BertConfig(**sizes, **rates, hidden_act=act, pad_token_id=0)
    _require_room(config, folder)
    return config


def _require_room(config: BertConfig, folder: Path) -> None:
    """Refuse a config whose model the weights cannot fill, before memory of that size is asked for."""
    width, wide = config.hidden_size, config.intermediate_size
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    n_weights = width * rows + config.num_hidden_layers * (4 * width**2 + 2 * width * wide)
    files = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")]
    for path in files:
        path.open("rb").close()  # or the library says that there are none
    held = sum(path.stat().st_size for path in files)
    if held and n_weights > held:  # no format takes less than a byte for each
        msg = (
            f"The weights of `{folder}` must fill the model that its `config.json` describes, {n_weights:,} numbers; its files "
            f"hold {held:,} bytes. Copy the folder again."
        )
        raise ModelError(msg)


def _is_size(value: object, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def _is_rate(value: Any, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most


def _require_same(own: Vocabulary, given: Vocabulary, folder: Path) -> None:
    alike = all(
        np.array_equal(getattr(own, name), getattr(given, name))
        for name in ("gene_ids", "tokens", "gene_names")
    )
    if not alike or not np.array_equal(own.medians, given.medians, equal_nan=True):
        msg = (
            f"`{folder}` holds its own vocabulary of {len(own.gene_ids):,} genes; the dictionaries that are named are others "
            f"({len(given.gene_ids):,} genes). Leave `--vocabulary` out, or name those the model was trained with."
        )
        raise VocabularyMismatch(msg)


def _vocabulary(folder: Path, dictionaries: Path | str | None, config: BertConfig) -> Vocabulary:
    own = folder / VOCABULARY_FILE
    if own.is_file():
        words = Vocabulary.load(own)
        if dictionaries is not None:
            _require_same(words, Vocabulary.published(dictionaries, version=words.version), folder)
        return words
    if dictionaries is None:
        msg = (
            f"`{folder}` holds no `{VOCABULARY_FILE}`, so its vocabulary must be named. "
            "Give the folder of the published dictionaries with `--vocabulary`."
        )
        raise ModelError(msg)
    # The two generations differ in size, so the checkpoint says which one it is.
    versions: tuple[Version, ...] = ("geneformer-v1", "geneformer-v2")
    sizes = {25426: versions[0], 20275: versions[1]}
    return Vocabulary.published(dictionaries, version=sizes.get(config.vocab_size, versions[0]))
