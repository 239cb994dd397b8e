"""Read the published dictionaries without running code that a pickle may carry."""

import pickle
from pathlib import Path
from typing import Any

from perturbloop.errors import InputError

# Plain dictionaries need no globals at all; the first generation's token ids are NumPy scalars.
_ALLOWED = {
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
}


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            msg = f"the pickle asks for `{module}.{name}`, which a plain dictionary does not need"
            raise pickle.UnpicklingError(msg)
        return super().find_class(module, name)


def read_dictionary(path: Path) -> dict[Any, Any]:
    """Return the dictionary a pickle holds; anything else in it is refused.

    Raises
    ------
    InputError
        If the file is missing, is no pickle, asks for code, or holds no dictionary.
    """
    todo = "Use the dictionary as it was published with the model."
    try:
        with path.open("rb") as file:
            value = _Restricted(file).load()
    except FileNotFoundError:
        msg = f"A dictionary is needed at `{path.name}` in `{path.parent}`; there is no such file. {todo}"
        raise InputError(msg) from None
    except (pickle.UnpicklingError, EOFError, AttributeError, ValueError, IndexError, KeyError) as error:
        msg = f"`{path.name}` must be a pickled dictionary; it could not be read: {error}. {todo}"
        raise InputError(msg) from None
    if not isinstance(value, dict):
        msg = f"`{path.name}` must be a pickled dictionary; it holds a {type(value).__name__}. {todo}"
        raise InputError(msg)
    return value
