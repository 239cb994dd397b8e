"""Weights of a BERT in safetensors, read and hashed without torch: what a model is can be told before it is loaded."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from perturbloop.errors import ModelError, some

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def weight_files(folder: Path) -> list[Path] | None:
    """Files of weights in safetensors, one or several; `None` where a folder has another format."""
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return None
    try:
        return [folder / name for name in sorted(set(json.loads(index.read_bytes())["weight_map"].values()))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(folder, error) from None


def weights_digest(
    files: Collection[Path], config: Mapping[str, Any], *, layers: int, pooling: str, vocabulary_digest: str
) -> str:
    """Hash a checkpoint as the loaded model is hashed: of its weights in float32 and of how they are used.

    Parameters
    ----------
    files
        Files of its weights, in one folder.
    config
        What `read_config` says of the folder.
    layers
        Layers up to the one that is read; those above are no part of the model.
    pooling
        How a cell's embedding is made from its hidden states.
    vocabulary_digest
        Hash of the vocabulary.

    Returns
    -------
    What `Geneformer.digest` gives for the model once it is loaded: 16 hexadecimal digits.

    Raises
    ------
    ModelError
        If tensors are missing, of another shape, or hold values that are no finite numbers.
    """
    folder = next(iter(files)).parent
    held = _tensors(files, folder)
    expected = _expected(config)
    require_every_tensor(sorted(expected.keys() - held.keys()), len(expected), folder)
    beyond = sorted(name for name in held.keys() - expected.keys() if ".layer." in name)
    require_no_layer_beyond(beyond, config["num_hidden_layers"], folder)
    other = [f"{name} {held[name].shape}" for name, shape in expected.items() if held[name].shape != shape]
    if other:
        raise _unreadable(folder, f"tensors of another shape than the config's: {some(other)}")
    wrong = []
    use = (config["num_attention_heads"], config["hidden_act"], config["layer_norm_eps"])
    hasher = hashlib.sha256(f"{pooling} {vocabulary_digest} {use}".encode())
    for name in sorted(expected):
        weight = held[name].read()
        wrong += [] if np.isfinite(weight).all() else [name]
        if _layer(name) < layers:
            hasher.update(name.encode())
            hasher.update(weight.tobytes())
    require_finite(wrong, folder)
    return hasher.hexdigest()[:16]


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
        flat = np.fromfile(self.path, self.kind, int(np.prod(self.shape)), offset=self.offset)
        if self.kind == _TYPES["BF16"]:  # the upper half of a float32
            return (flat.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # infinite, and refused as such
            return flat.astype(np.float32)


def _tensors(files: Collection[Path], folder: Path) -> dict[str, _Tensor]:
    """All tensors by the name that the encoder has for them."""
    held = {}
    for path in files:
        try:
            with safe_open(path, "np"):  # checks the header and that the file is whole
                pass
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header: dict[str, Any] = json.loads(file.read(size))
            header.pop("__metadata__", None)
            for name, entry in header.items():
                held[_plain(name)] = _Tensor(
                    path, _TYPES[entry["dtype"]], tuple(entry["shape"]), 8 + size + entry["data_offsets"][0]
                )
        except PermissionError:
            raise
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise _unreadable(folder, error) from None
    return held


def _plain(name: str) -> str:
    """Name of a tensor in the encoder itself: no prefix of a model with a head, no names of TensorFlow."""
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _layer(name: str) -> int:
    """Which layer a tensor belongs to, from 0; -1 for the embeddings."""
    return int(name.split(".")[2]) if name.startswith("encoder.layer.") else -1


def _expected(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of embeddings and encoder."""
    return dict(_named(config))


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


def _unreadable(folder: Path, why: object) -> ModelError:
    msg = f"The weights in `{folder}` must be a BERT checkpoint; they cannot be read: {why}. Copy the folder again."
    return ModelError(msg)
