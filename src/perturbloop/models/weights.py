"""Weights of a BERT: which tensors a checkpoint must hold, under which names; in safetensors read and hashed without torch."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from safetensors import SafetensorError, safe_open

from perturbloop.errors import ModelError, some

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_PREFIXES = ("module.", "_orig_mod.", "bert.")
"""What stands before the names of a model trained in parallel, compiled, or with a head."""
_CONSTANTS = ("embeddings.position_ids", "embeddings.token_type_ids")
"""Whole numbers that old versions of the library saved beside the weights."""


@runtime_checkable
class Tensor(Protocol):
    """A tensor of a file, in whatever format."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""

    def read(self) -> np.ndarray:
        """Values as float32."""


def weight_files(folder: Path, *, form: Literal["safetensors", "bin"] = "safetensors") -> list[Path] | None:
    """Files of weights of one format, one or several; `None` where a folder has another."""
    whole = folder / ("model.safetensors" if form == "safetensors" else "pytorch_model.bin")
    if whole.is_file():
        return [whole]
    index = whole.with_name(f"{whole.name}.index.json")
    if not index.is_file():
        return None
    try:
        files = [folder / name for name in sorted(set(json.loads(index.read_bytes())["weight_map"].values()))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(folder, error) from None
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise unreadable(folder, f"{len(missing):,} of {len(files):,} shards are missing: {some(missing)}")
    return files


def read_weights(folder: Path) -> Mapping[str, Tensor]:
    """All tensors of a checkpoint by name, from safetensors or else from torch's own format, whole or in shards.

    Raises
    ------
    ModelError
        If there are none, or they cannot be read.
    """
    files = weight_files(folder)
    if files is not None:
        return read_safetensors(files, folder)
    files = weight_files(folder, form="bin")
    if files is None:
        held = sorted(path.name for path in folder.iterdir())
        msg = (
            f"A checkpoint needs its weights, `model.safetensors` or `pytorch_model.bin`, whole or in shards with their index; "
            f"`{folder}` holds {some(held)}. Copy the folder again, with all its files."
        )
        raise ModelError(msg)
    from perturbloop.models.torch_files import read_torch_files  # loads torch

    return read_torch_files(files, folder)


def weights_digest(
    held: Mapping[str, Tensor],
    config: Mapping[str, Any],
    *,
    layers: int,
    pooling: str,
    vocabulary_digest: str,
    folder: Path,
) -> str:
    """Hash a checkpoint as the loaded model is hashed: of its weights in float32 and of how they are used.

    Parameters
    ----------
    held
        Tensors of its encoder, as `encoder_tensors` gives them.
    config
        What `read_config` says of the folder.
    layers
        Layers up to the one that is read; those above are no part of the model.
    pooling
        How a cell's embedding is made from its hidden states.
    vocabulary_digest
        Hash of the vocabulary.
    folder
        Folder of the weights.

    Returns
    -------
    What `Geneformer.digest` gives for the model once it is loaded: 16 hexadecimal digits.

    Raises
    ------
    ModelError
        If tensors hold values that are no finite numbers.
    """
    wrong = []
    use = (config["num_attention_heads"], config["hidden_act"], config["layer_norm_eps"])
    hasher = hashlib.sha256(f"{pooling} {vocabulary_digest} {use}".encode())
    for name in sorted(held):
        weight = held[name].read()
        wrong += [] if np.isfinite(weight).all() else [name]
        if _layer(name) < layers:
            hasher.update(name.encode())
            hasher.update(weight.tobytes())
    require_finite(wrong, folder)
    return hasher.hexdigest()[:16]


def encoder_tensors(
    found: Mapping[str, Tensor], config: Mapping[str, Any], folder: Path
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Take the tensors of the encoder out of a checkpoint, and name the others.

    Parameters
    ----------
    found
        Tensors by the names of the files.
    config
        What `read_config` says of the folder.
    folder
        Folder of the weights.

    Returns
    -------
    Tensors by the encoder's own names, and the names of those that are no part of it: heads and poolers.

    Raises
    ------
    ModelError
        If tensors are missing, there twice, of another shape, or of layers that the config does not count.
    """
    counts = Counter(map(_plain, found))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise unreadable(folder, f"tensors that are there twice, under two prefixes: {some(twice)}")
    held = {_plain(name): tensor for name, tensor in found.items()}
    expected = dict(_named(config))
    require_every_tensor([name for name in expected if name not in held], len(expected), folder)
    beside = sorted(name for name in held.keys() - expected.keys() if name not in _CONSTANTS)
    beyond = [name for name in beside if name.startswith("encoder.layer.")]
    require_no_layer_beyond(beyond, config["num_hidden_layers"], folder)
    other = [f"{name} {held[name].shape}" for name, shape in expected.items() if held[name].shape != shape]
    if other:
        raise unreadable(folder, f"tensors of another shape than the config's: {some(other)}")
    return {name: held[name] for name in expected}, tuple(beside)


PRETRAINING = ("cls", "pooler")
"""What every pretrained checkpoint holds beside its encoder, and nobody misses: the masked-gene head, and a pooler."""


def unused_lines(beside: Collection[str], labels: Collection[str]) -> tuple[str, ...]:
    """Say in words which tensors of a checkpoint are no part of its encoder, and hence not used.

    Parameters
    ----------
    beside
        Their names, as `encoder_tensors` gives them.
    labels
        Classes of a fine-tuned classifier, in the order of its outputs.

    Returns
    -------
    A line, or none.

    Examples
    --------
    >>> unused_lines(["classifier.bias", "classifier.weight"], ["resting", "activated"])[0]
    "Of the checkpoint its classifier of 2 classes ('resting', 'activated') is not used: a campaign trains a head of its own on the two states."
    """
    if not beside:
        return ()
    if "classifier.weight" in beside:
        what = f"its classifier of {len(labels):,} classes ({some(labels)})"
        return (
            f"Of the checkpoint {what} is not used: a campaign trains a head of its own on the two states.",
        )
    parts = Counter(name.partition(".")[0] for name in beside)
    strange = {part: count for part, count in sorted(parts.items()) if part not in PRETRAINING}
    if not strange:
        return ()
    held = ", ".join(f"{count:,} of '{part}'" for part, count in strange.items())
    return (f"Beside its encoder the checkpoint holds tensors that are not used: {held}.",)


def require_every_tensor(missing: Collection[str], n_tensors: int, folder: Path) -> None:
    """Refuse weights with gaps, which would be filled at random.

    Parameters
    ----------
    missing
        Names of the tensors that the folder lacks.
    n_tensors
        How many a checkpoint of this shape has.
    folder
        Folder of the weights.
    """
    if missing:
        msg = (
            f"A checkpoint must hold every tensor of embeddings and encoder; `{folder}` lacks {len(missing):,} of "
            f"{n_tensors:,}: {some(missing)}. Copy the folder again, with all its files."
        )
        raise ModelError(msg)


def require_no_layer_beyond(beyond: Collection[str], n_layers: int, folder: Path) -> None:
    """Refuse weights of more layers than the config counts.

    Parameters
    ----------
    beyond
        Names of tensors of layers that the config does not count.
    n_layers
        How many it counts.
    folder
        Folder of the weights.
    """
    if beyond:
        msg = (
            f"The layers of a checkpoint must be those that its `config.json` counts ({n_layers}); `{folder}` "
            f"holds {len(beyond):,} tensors of others: {some(beyond)}. Copy the folder again, with the config of these weights."
        )
        raise ModelError(msg)


def require_finite(wrong: Collection[str], folder: Path) -> None:
    """Refuse weights that are no numbers, whose tensors are named here."""
    if wrong:
        msg = (
            f"Weights must be finite numbers; in `{folder}` {len(wrong):,} tensors hold others: {some(wrong)}. Copy the folder "
            "again, or train the model again."
        )
        raise ModelError(msg)


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor lies in its file."""

    path: Path
    kind: str
    shape: tuple[int, ...]
    offset: int

    def read(self) -> np.ndarray:
        """Values as float32."""
        if self.kind not in _TYPES:
            raise unreadable(self.path.parent, f"`{self.path.name}` holds values of type {self.kind}")
        flat = np.fromfile(self.path, _TYPES[self.kind], int(np.prod(self.shape)), offset=self.offset)
        if self.kind == "BF16":  # the upper half of a float32
            return (flat.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        with np.errstate(over="ignore"):  # infinite, and refused as such
            return flat.astype(np.float32).reshape(self.shape)


def read_safetensors(files: Collection[Path], folder: Path) -> dict[str, Tensor]:
    """All tensors of these files, by name; their values are read when they are asked for."""
    held: dict[str, Tensor] = {}
    for path in files:
        try:
            with safe_open(path, "np"):  # checks the header and that the file is whole
                pass
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header: dict[str, Any] = json.loads(file.read(size))
            header.pop("__metadata__", None)
            for name, entry in header.items():
                held[name] = _Tensor(
                    path, entry["dtype"], tuple(entry["shape"]), 8 + size + entry["data_offsets"][0]
                )
        except PermissionError:
            raise
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise unreadable(folder, error) from None
    return held


def _plain(name: str) -> str:
    """Name of a tensor in the encoder itself: no prefixes, no names of TensorFlow."""
    while bare := next((prefix for prefix in _PREFIXES if name.startswith(prefix)), ""):
        name = name.removeprefix(bare)
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _layer(name: str) -> int:
    """Which layer a tensor belongs to, from 0; -1 for the embeddings."""
    return int(name.split(".")[2]) if name.startswith("encoder.layer.") else -1


def _named(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, wide = config["hidden_size"], config["intermediate_size"]

    def both(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[:1]

    tables = {
        "word": config["vocab_size"],
        "position": config["max_position_embeddings"],
        "token_type": config["type_vocab_size"],
    }
    for table, rows in tables.items():
        yield f"embeddings.{table}_embeddings.weight", (rows, width)
    yield from both("embeddings.LayerNorm", width)
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            yield from both(f"{layer}.attention.self.{part}", width, width)
        yield from both(f"{layer}.attention.output.dense", width, width)
        yield from both(f"{layer}.attention.output.LayerNorm", width)
        yield from both(f"{layer}.intermediate.dense", wide, width)
        yield from both(f"{layer}.output.dense", width, wide)
        yield from both(f"{layer}.output.LayerNorm", width)


def unreadable(folder: Path, why: object) -> ModelError:
    """What is said of weights that are none of a BERT."""
    msg = f"The weights in `{folder}` must be a BERT checkpoint; they cannot be read: {why}. Copy the folder again."
    return ModelError(msg)
