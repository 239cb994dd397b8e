"""Nouns from rows of the ledger, with every cell checked."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from perturbloop.store.base import Campaign, Input, Round, Step, Target

Noun = TypeVar("Noun", Campaign, Round, Input, Step, Target)


def noun(kind: type[Noun], row: Mapping[Any, Any]) -> Noun:
    """Build a noun from a row whose cells hold what its fields say; SQLite itself takes anything anywhere."""
    cells = {name: row[name] for name in get_type_hints(kind)}
    for name, hint in get_type_hints(kind).items():
        _require_type(cells[name], hint, name)
    return kind(**cells)


def _require_type(value: Any, hint: Any, name: str) -> None:
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        fits = value in parts
    elif isinstance(hint, UnionType):
        fits = isinstance(value, parts)
    else:
        fits = isinstance(value, get_origin(hint) or hint)
    if fits and isinstance(value, dict) and parts[1] is not Any:
        for item in value.values():
            _require_type(item, parts[1], name)
    if not fits:
        msg = f"a cell of `{name}` holds {value!r}"
        raise ValueError(msg)
