"""The published tool's pickles: numbers of raw shifts, tensors of states, read by the restricted reader of `data.pickles`."""

import io
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perturbloop.data.pickles import Allowed, read_dictionary
from perturbloop.errors import InputError, some

_AS_WRITTEN = "Use the file as the published tool wrote it."


def read_numbers(path: Path) -> dict[Any, Any]:
    """Return the dictionary of numbers, lists and dictionaries that a pickle holds.

    Raises
    ------
    InputError
        If the file is missing, is no pickle, asks for anything else, or holds no dictionary.
    """
    return read_dictionary(path, holds="a pickled dictionary of numbers", todo=_AS_WRITTEN)


def read_state_embeddings(path: Path | str) -> dict[str, np.ndarray]:
    """Read the mean embedding of each state, as the published tool's `EmbExtractor.get_state_embs` writes it.

    Parameters
    ----------
    path
        A pickled dictionary of torch tensors, one per state. Tensors of a GPU are read into main memory.

    Returns
    -------
    State → vector of the model's width, float32; what `shifts_by_state` takes as `states`.

    Raises
    ------
    InputError
        If the file is missing, asks for code, or holds something other than one vector per state.
    """
    path = Path(path)
    found = read_dictionary(
        path, allowed=_TENSORS, holds="a pickled dictionary of torch tensors", todo=_AS_WRITTEN
    )
    todo = "Give the `.pkl` that `EmbExtractor.get_state_embs` wrote."
    wrong = [state for state, value in found.items() if not isinstance(value, torch.Tensor)]
    if wrong or not found:
        msg = f"`{path.name}` must hold one tensor per state; without a tensor: {some(wrong)} of {len(found):,}. {todo}"
        raise InputError(msg)
    vectors = {str(state): value.float().numpy().copy() for state, value in found.items()}
    shapes = {vector.shape for vector in vectors.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        msg = (
            f"`{path.name}` must hold vectors of one length; their shapes are {some(sorted(shapes))}. {todo}"
        )
        raise InputError(msg)
    return vectors


def _storage(data: bytes) -> torch.storage.TypedStorage:
    """Read a tensor's numbers; torch's own function would unpickle them without restriction."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # typed storages are deprecated, and what old files hold
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(found, torch.storage.TypedStorage):
        msg = f"a tensor's numbers are expected, a {type(found).__name__} came"
        raise pickle.UnpicklingError(msg)
    return found


def _tensor(
    storage: Any, offset: int, size: Sequence[int], stride: Sequence[int], *_unused: Any
) -> torch.Tensor:
    """Lay out a tensor over its storage; gradients and hooks are left out, and a view beyond its end is an error."""
    if not isinstance(storage, torch.storage.TypedStorage):
        msg = f"a tensor's storage is expected, a {type(storage).__name__} came"
        raise pickle.UnpicklingError(msg)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flat = torch.empty(0, dtype=storage.dtype).set_(storage.untyped())
    return flat.as_strided(tuple(size), tuple(stride), offset)


_TENSORS: Allowed = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.storage", "_load_from_bytes"): _storage,
}
