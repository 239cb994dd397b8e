"""Read pickles of plain values without running code that one of them may carry.

Every name that a pickle asks for is looked up in a short table and nowhere else, so a pickle can build numbers, lists,
dictionaries and what else a reader puts in its table, and nothing more.
"""

import pickle
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from perturbloop.errors import InputError

Allowed = Mapping[tuple[str, str], Any]
"""Module and name that a pickle may ask for, and what it gets."""


def read_dictionary(
    path: Path,
    *,
    allowed: Allowed | None = None,
    holds: str = "a pickled dictionary",
    todo: str = "Use the file as it was published.",
) -> dict[Any, Any]:
    """Return the dictionary a pickle holds; anything else in it is refused.

    Parameters
    ----------
    path
        The file.
    allowed
        Names that it may ask for; those of NumPy's plain numbers by default.
    holds
        What it must hold, in words.
    todo
        What to do where it does not.

    Raises
    ------
    InputError
        If the file is missing, is no pickle, asks for anything else, or holds no dictionary.
    """
    try:
        with path.open("rb") as file:
            value = _Restricted(file, NUMBERS if allowed is None else allowed).load()
    except FileNotFoundError:
        msg = f"`{path.name}` is needed in `{path.parent}`; there is no such file. Correct the path."
        raise InputError(msg) from None
    except PermissionError:
        raise
    except Exception as error:  # pickle, NumPy and torch raise many kinds for a damaged file
        msg = f"`{path.name}` must be {holds}; it could not be read: {error or type(error).__name__}. {todo}"
        raise InputError(msg) from None
    if not isinstance(value, dict):
        msg = f"`{path.name}` must be {holds}; it holds a {type(value).__name__}. {todo}"
        raise InputError(msg)
    return value


class _Restricted(pickle.Unpickler):
    """An unpickler that knows the names of one table."""

    def __init__(self, file: IO[bytes], allowed: Allowed) -> None:
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            msg = f"the pickle asks for `{module}.{name}`, which such a file does not need"
            raise pickle.UnpicklingError(msg)
        return self._allowed[module, name]


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


# NumPy 2 renamed the module of its scalars; both names occur in files.
NUMBERS: Allowed = {
    ("builtins", "list"): list,
    ("collections", "defaultdict"): defaultdict,
    ("numpy", "dtype"): _NumberType,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy._core.multiarray", "scalar"): _number,
}
"""Names of NumPy's plain numbers and of lists and dictionaries of them."""
