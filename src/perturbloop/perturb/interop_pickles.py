"""The published tool's pickles, read without running code that one of them may carry.

Every name that a pickle asks for is looked up in a short table and nowhere else, so a pickle can build numbers, lists,
dictionaries and tensors, and nothing more.
"""

import io
import pickle
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from perturbloop.errors import InputError, some


def read_numbers(path: Path) -> dict[Any, Any]:
    """Return the dictionary of numbers, lists and dictionaries that a pickle holds.

    Raises
    ------
    InputError
        If the file is missing, is no pickle, asks for anything else, or holds no dictionary.
    """
    return _read(path, _NUMBERS, holds="a pickled dictionary of numbers")


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
    found = _read(path, _TENSORS, holds="a pickled dictionary of torch tensors")
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


class _Restricted(pickle.Unpickler):
    """An unpickler that knows the names of one table."""

    def __init__(self, file: IO[bytes], allowed: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            msg = f"the pickle asks for `{module}.{name}`, which such a file does not need"
            raise pickle.UnpicklingError(msg)
        return self._allowed[module, name]


def _read(path: Path, allowed: Mapping[tuple[str, str], Any], *, holds: str) -> dict[Any, Any]:
    todo = "Use the file as the published tool wrote it."
    try:
        with path.open("rb") as file:
            value = _Restricted(file, allowed).load()
    except FileNotFoundError:
        msg = f"`{path.name}` is needed in `{path.parent}`; there is no such file. Correct the path."
        raise InputError(msg) from None
    except Exception as error:  # pickle, NumPy and torch raise many kinds for a damaged file
        msg = f"`{path.name}` must be {holds}; it could not be read: {error}. {todo}"
        raise InputError(msg) from None
    if not isinstance(value, dict):
        msg = f"`{path.name}` must be {holds}; it holds a {type(value).__name__}. {todo}"
        raise InputError(msg)
    return value


class _NumberType:
    """Stands in for NumPy's dtype, which a damaged pickle could use to crash Python."""

    def __init__(self, code: str, *_unused: Any) -> None:
        self.code = code
        self.order = "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


def _number(kind: Any, data: bytes) -> Any:
    """Read one NumPy number; those of objects, texts and records are refused."""
    if not isinstance(kind, _NumberType) or kind.code not in ("i1", "i2", "i4", "i8", "f2", "f4", "f8"):
        msg = "it holds a NumPy value that is no plain number"
        raise pickle.UnpicklingError(msg)
    return np.frombuffer(data, dtype=np.dtype(kind.order + kind.code), count=1)[0]


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


# NumPy 2 renamed the module of its scalars; both names occur in files.
_NUMBERS: dict[tuple[str, str], Any] = {
    ("builtins", "list"): list,
    ("collections", "defaultdict"): defaultdict,
    ("numpy", "dtype"): _NumberType,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy._core.multiarray", "scalar"): _number,
}
_TENSORS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.storage", "_load_from_bytes"): _storage,
}
