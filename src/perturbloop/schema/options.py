"""Options by one flat name each, as they are given on the command line or to a function."""

import ast
import inspect
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache, reduce
from operator import or_
from typing import Any, get_args, get_origin, get_type_hints

from perturbloop.schema.checks import choices, file_fields, meant, require


@dataclass(frozen=True)
class Option:
    """One option, and the places where it stands in a campaign."""

    name: str
    """Its own name: that of its field, with the section before it where several sections have one of that name."""
    places: tuple[tuple[str, str], ...]
    """Section and field of each place that it sets."""
    hint: Any
    """Declared type of the field."""
    meaning: str
    """Docstring under the field."""
    default: Any = None
    """Value where it is not given; `MISSING` where it must be."""
    is_file: bool = False
    """Whether it names a file or a folder."""

    @property
    def words(self) -> tuple[str, ...]:
        """Words it takes; empty where it takes any text or a number."""
        return tuple(dict.fromkeys(choices(self.hint)))

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return any(get_origin(hint) is tuple for hint in (self.hint, *get_args(self.hint)))

    @property
    def kind(self) -> type:
        """Type of one value: text, whole number, number or truth."""
        return next((kind for kind in (bool, int, float) if kind in (self.hint, *get_args(self.hint))), str)


def options(
    sections: Mapping[str, type],
    *,
    names: Mapping[str, str] | None = None,
    apart: bool = True,
    optional: bool = False,
) -> tuple[Option, ...]:
    """List every option of some sections under one flat name.

    Parameters
    ----------
    sections
        Dataclass of each section, by name.
    names
        Other names, by `section.field`.
    apart
        Whether fields of one name in several sections are also options of their own, the section before their name; the plain
        name then sets them all.
    optional
        Whether options without a default may be left out, as whoever uses them checks for himself.

    Examples
    --------
    >>> from perturbloop.schema import PerturbConfig, TrainConfig
    >>> found = options({"train": TrainConfig, "perturb": PerturbConfig})
    >>> [option.name for option in found if option.name.endswith("seed")]
    ['train_seed', 'perturb_seed', 'seed']
    """
    by_name: dict[str, list[Option]] = {}
    for section, kind in sections.items():
        hints = get_type_hints(kind)
        files, docs = file_fields(kind), field_docs(kind)
        for field in sorted(
            fields(kind), key=lambda one: one.default is not MISSING
        ):  # what must come stands first
            name = (names or {}).get(f"{section}.{field.name}", field.name)
            option = Option(
                name,
                ((section, field.name),),
                hints[field.name],
                docs.get(field.name, ""),
                None if optional and field.default is MISSING else field.default,
                field.name in files,
            )
            by_name.setdefault(name, []).append(option)
    single: list[Option] = []
    joint: list[Option] = []
    for name, found in by_name.items():
        if len(found) == 1 or not apart:
            single.append(found[0] if len(found) == 1 else _joint(name, found, apart=False))
            continue
        single += [replace(one, name=f"{one.places[0][0]}_{name}") for one in found]
        joint.append(_joint(name, found, apart=True))
    return (*single, *joint)


def nested(known: tuple[Option, ...], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Put options that came by their flat names into their sections; what is `None` was not given.

    Parameters
    ----------
    known
        All options, as `options` lists them.
    given
        Values by flat name.

    Returns
    -------
    Values by section and field.

    Raises
    ------
    InputError
        If a word of an option that goes by another name than its field is none of those it takes: the section would refuse it by
        a name that was not typed.
    """
    tree: dict[str, dict[str, Any]] = {}
    for option in sorted(known, key=lambda one: -len(one.places)):  # what is said of one section wins
        value = given.get(option.name)
        if value is not None:
            if option.words and option.name not in [field for _, field in option.places]:
                need = f"`{option.name}` must be among {meant(option.words)}"
                require(value in option.words, need, value, "Correct it.")
            for section, field in option.places:
                tree.setdefault(section, {})[field] = value
    return tree


def _joint(name: str, found: list[Option], *, apart: bool) -> Option:
    first = found[0]
    places = tuple(place for one in found for place in one.places)
    if apart:
        meaning = f"Sets {', '.join(f'`{section}.{field}`' for section, field in places)} at once."
        return replace(first, name=name, places=places, meaning=meaning, default=None)
    meaning = " / ".join(dict.fromkeys(one.meaning for one in found))
    hint = reduce(or_, (one.hint for one in found))
    return replace(first, name=name, places=places, meaning=meaning, hint=hint)


def field_docs(kind: type) -> dict[str, str]:
    """Docstrings under the fields of a dataclass and those that it inherits, by field; a field without one has none."""
    docs: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        docs |= _docs_of_module(one.__module__).get(one.__name__, {})
    return docs


@cache
def _docs_of_module(name: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    return {node.name: _docs(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _docs(node: ast.ClassDef) -> dict[str, str]:
    docs = {}
    for statement, following in zip(node.body, node.body[1:], strict=False):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr)):
            continue
        if isinstance(statement.target, ast.Name) and isinstance(following.value, ast.Constant):
            docs[statement.target.id] = inspect.cleandoc(str(following.value.value))
    return docs
