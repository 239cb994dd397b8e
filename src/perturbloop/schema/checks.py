"""What the value of an option must be: its declared type, a range, or one of some words.

A section of options is a frozen dataclass whose fields say it all: `Annotated[int, Interval(ge=1, le=MOST)]`. pydantic
compares the values with them; the sentences are ours.
"""

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import Interval

from perturbloop.errors import InputError
from perturbloop.schema.words import MEANT

if TYPE_CHECKING:  # loaded when the first value is checked: `--help` checks none
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

MOST = 10**9
"""Largest number of anything that an option may ask for, where it names no other."""
MOST_SEED = 2**32 - 1


class FileMark:
    """Mark of the options that name a file or a folder."""


Count = Annotated[int, Interval(ge=1, le=MOST)]
Seed = Annotated[int, Interval(ge=0, le=MOST_SEED)]
Share = Annotated[float, Interval(ge=0, le=1)]
Open = Annotated[float, Interval(gt=0, lt=1)]
Quantity = Annotated[float, Interval(ge=0, le=MOST)]
FileName = Annotated[str, FileMark()]
"""File or folder: by its full path in memory, and in `campaign.toml` relative to the campaign where it lies beside it."""

_TYPES = {
    "int_type": "a whole number",
    "float_type": "a finite number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list of texts",
}
"""pydantic's name of a fault, and what is needed."""


def require(condition: bool, need: str, came: object, todo: str) -> None:
    """Refuse what does not hold.

    Parameters
    ----------
    condition
        What must hold.
    need, came, todo
        What is needed, what came, and what to do.
    """
    if not condition:
        msg = f"{need}; it is {came!r}. {todo}"
        raise InputError(msg)


def check(owner: Any) -> None:
    """Refuse values of a record that are not what its fields declare; numbers must be finite, texts writable.

    >>> from dataclasses import make_dataclass
    >>> check(make_dataclass("Config", [("seed", Seed)])(-1))
    Traceback (most recent call last):
    ...
    perturbloop.errors.InputError: `seed` must be between 0 and 4,294,967,295; it is -1. Raise it.
    """
    from pydantic import ValidationError

    values = {field.name: getattr(owner, field.name) for field in fields(owner)}
    try:
        kind: Any = type(owner)
        _model(kind).model_validate(values)
    except ValidationError as error:
        _refuse(error.errors(include_url=False)[0], values, get_type_hints(type(owner), include_extras=True))
    for name, value in values.items():
        texts = value if isinstance(value, tuple) else (value,)
        fits = all(_can_be_written(text) for text in texts if isinstance(text, str))
        require(fits, f"`{name}` must be a text", value, "Leave out what no file can hold.")


def file_fields(kind: type) -> tuple[str, ...]:
    """Names of the options of a section that name a file or a folder, in order: what they hold counts, not where it lies.

    >>> from perturbloop.schema import PerturbedConfig
    >>> file_fields(PerturbedConfig)
    ('path', 'guides', 'targets', 'label_table')
    """
    hints = get_type_hints(kind, include_extras=True)
    return tuple(field.name for field in fields(kind) if _marked(hints[field.name], FileMark))


@cache
def _model(kind: type) -> "type[BaseModel]":
    from pydantic import ConfigDict, create_model

    hints: dict[str, Any] = {
        name: (hint, ...) for name, hint in get_type_hints(kind, include_extras=True).items()
    }
    config = ConfigDict(strict=True, allow_inf_nan=False, protected_namespaces=())
    return create_model(kind.__name__, __config__=config, **hints)


def _refuse(fault: "ErrorDetails", values: dict[str, Any], hints: dict[str, Any]) -> None:
    name, *inside = fault["loc"]
    need, came, todo = fault["msg"].removeprefix("Input should "), fault["input"], "Correct it."
    if fault["type"] == "literal_error":
        need = f"be among {meant(choices(hints[str(name)]))}"
    elif fault["type"] in _TYPES:
        need = f"be {_TYPES['tuple_type' if inside else fault['type']]}"
        came, todo = values[str(name)], "Correct it; numbers stand without quotes."
    elif wanted := _marked(hints[str(name)], Interval):
        need = f"be {_range(wanted)}"
        todo = "Raise it." if fault["type"].startswith("greater") else "Lower it."
    elif fault["type"] == "too_short":
        need = f"name one or more of {meant(choices(hints[str(name)]))}"
    require(False, f"`{name}` must {need}", came, todo)


def choices(hint: Any) -> tuple[str, ...]:
    """Words that a declared type allows, in order; none where it allows any text or number.

    >>> choices(tuple[Literal["a", "b"], ...] | None)
    ('a', 'b')
    """
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(word for part in get_args(hint) for word in choices(part))


def allowed(kind: type, name: str) -> str:
    """Say what an option of a section takes.

    Parameters
    ----------
    kind
        Dataclass of the section.
    name
        Name of the option.

    Examples
    --------
    >>> from perturbloop.schema import TrainConfig
    >>> allowed(TrainConfig, "epochs"), allowed(TrainConfig, "levels")
    ('a whole number, 1 or more', 'some of frozen, lora, full')
    """
    hint = get_type_hints(kind, include_extras=True)[name]
    within = _marked(hint, Interval)
    if within:
        number = f"a {'whole ' if _holds(hint, int) else ''}number"
        is_open = within.le == MOST and within.ge is not None
        return f"{number}, {within.ge:,} or more" if is_open else f"{number} {_range(within)}"
    several = _holds(hint, tuple)
    if words := choices(hint):
        return f"{'some' if several else 'one'} of {', '.join(words)}"
    if _marked(hint, FileMark):
        return "a file or folder"
    return "yes or no" if _holds(hint, bool) else "a list of texts" if several else "a text"


def _holds(hint: Any, kind: type) -> bool:
    """Whether a type stands anywhere in a declared type."""
    return kind in (hint, get_origin(hint)) or any(_holds(part, kind) for part in get_args(hint))


def meant(words: tuple[str, ...]) -> str:
    """Words that are allowed, each with what it means where the laboratory says it otherwise.

    >>> meant(("delete", "overexpress"))
    "'delete' (a knockout), 'overexpress'"
    """
    shown = [f"'{word}' ({MEANT[word]})" if word in MEANT else f"'{word}'" for word in words]
    return ", ".join(shown)


def _marked(hint: Any, kind: type) -> Any:
    """Return the mark of this type in a declared type, wherever in it, or `None`."""
    own = (mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, kind))
    return next(own, None) or next(filter(None, (_marked(part, kind) for part in get_args(hint))), None)


def _range(wanted: Interval) -> str:
    if wanted.gt is None and wanted.lt is None:
        return f"between {wanted.ge:,} and {wanted.le:,}"
    low = f"at least {wanted.ge:,}" if wanted.gt is None else f"above {wanted.gt:,}"
    return f"{low} and " + (f"at most {wanted.le:,}" if wanted.lt is None else f"below {wanted.lt:,}")


def _can_be_written(text: str) -> bool:
    """Whether a file of text can hold it, and a path; other control characters are escaped."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
