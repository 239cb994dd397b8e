"""What the value of an option must be: its declared type, a range, or one of some words."""

from collections.abc import Iterable
from dataclasses import fields
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from perturbloop.errors import InputError, some

MOST = 10**9
"""Largest number of anything that an option may ask for, where it names no other."""
MOST_SEED = 2**32 - 1


def require(condition: bool, need: str, came: object, todo: str) -> None:
    """Refuse what does not hold: what is needed, what came, what to do."""
    if not condition:
        msg = f"{need}; it is {came!r}. {todo}"
        raise InputError(msg)


def require_types(owner: Any) -> None:
    """Refuse values of a record that are not of the type its field declares; numbers must be finite, texts writable.

    >>> from dataclasses import make_dataclass
    >>> require_types(make_dataclass("Config", [("seed", int)])("x"))
    Traceback (most recent call last):
    ...
    perturbloop.errors.InputError: `seed` must be a whole number; it is 'x'. Correct it; numbers stand without quotes.
    """
    hints = get_type_hints(type(owner))
    for field in fields(owner):
        value, hint = getattr(owner, field.name), hints[field.name]
        need = f"`{field.name}` must be {_words(hint)}"
        require(_fits(value, hint), need, value, "Correct it; numbers stand without quotes.")


def require_between(owner: object, least: float, most: float, *names: str) -> None:
    """Refuse numbers of a record outside a range; both ends belong to it."""
    for name in names:
        value = getattr(owner, name)
        todo = "Raise it." if value < least else "Lower it."
        require(least <= value <= most, f"`{name}` must be between {least:,} and {most:,}", value, todo)


def require_choice(owner: object, name: str, choices: Iterable[str]) -> None:
    """Refuse words that are not among the choices."""
    value = getattr(owner, name)
    require(value in choices, f"`{name}` must be among {some(choices)}", value, "Correct it.")


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (UnionType, Union):
        return any(_fits(value, part) for part in get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if origin is Literal or hint is str:
        return isinstance(value, str) and _can_be_written(value)
    if hint is float:
        return type(value) in (int, float) and abs(value) < 1e300  # no float holds every whole number
    return type(value) is hint


def _can_be_written(text: str) -> bool:
    """Whether a file of text can hold it, and a path; other control characters are escaped."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _words(hint: Any) -> str:
    parts = get_args(hint)
    if get_origin(hint) in (UnionType, Union):
        return " or ".join(dict.fromkeys(_words(part) for part in parts if part is not type(None)))
    if get_origin(hint) is tuple:
        return "a list of texts"
    names = {int: "a whole number", float: "a finite number", bool: "true or false"}
    return names.get(hint, "a text")
