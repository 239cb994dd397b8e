"""Which genes of the ranking are wanted, and in which order: what the address says."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from perturbloop.errors import InputError, alike, some
from perturbloop.schema import STATUS

CALLS = ("toward", "away", "none")
SOME, NONE = "some", "none"
"""Words for genes with any caution, and without."""
_ALIASES = {"from": "start"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Genes of one kind, filtered and sorted."""

    kind: str
    q: str = ""
    """Part of a symbol or id, or another name of a gene; several, divided by spaces or commas, are alternatives."""
    genes: str = ""
    """Names of genes, divided by spaces, commas or lines: only these."""
    call: str = ""
    """toward, away or none."""
    caution: str = ""
    """some = any; none = without; a flag; or -flag = without this one."""
    status: str = ""
    detection: float = 0.0
    """Least share of start cells that express the gene."""
    sort: str = "place"
    """Column; a leading - turns the order round."""
    start: int = 0
    """Row that is shown first."""

    @property
    def column(self) -> str:
        """Column that decides the order."""
        return self.sort.removeprefix("-")

    @property
    def narrows(self) -> bool:
        """Whether anything is filtered."""
        return any((self.q, self.genes, self.call, self.caution, self.status, self.detection))

    def query(self, **changes: Any) -> str:
        """What follows the `?` of the address; what is as usual is left out.

        >>> Wanted(kind="delete", q="stat").query(sort="-log2fc")
        'kind=delete&q=stat&sort=-log2fc'
        """
        named = replace(self, **changes)
        usual = {entry.name: entry.default for entry in fields(self)}
        given = {
            {"start": "from"}.get(name, name): value
            for name, default in usual.items()
            if (value := getattr(named, name)) != default
        }
        return urlencode(given)


def wanted(
    asked: Mapping[str, str], kinds: tuple[str, ...], columns: tuple[str, ...], flags: tuple[str, ...]
) -> Wanted:
    """Read the address.

    Parameters
    ----------
    asked
        Its parameters; empty ones are as if they were not there.
    kinds
        Kinds that are ranked, the first is shown where none is named.
    columns
        Columns that any kind can be sorted by.
    flags
        Cautions that some gene has.

    Raises
    ------
    InputError
        If a parameter is unknown, or its value is; the message says which may come.
    """
    given = {_ALIASES.get(name, name): value.strip() for name, value in asked.items() if value.strip()}
    known = [entry.name for entry in fields(Wanted)]
    for name in asked:
        if _ALIASES.get(name, name) not in known or name == "start":
            may = ["from" if one == "start" else one for one in known]
            msg = f"The ranking is asked by {some(may, limit=12)}; `{name}` came.{_meant(name, may)}"
            raise InputError(msg)
    _one_of("kind", given.setdefault("kind", kinds[0]), kinds)
    _one_of("sort", given.get("sort", "place").removeprefix("-"), columns)
    _one_of("call", given.get("call", ""), ("", *CALLS))
    _one_of("status", given.get("status", ""), ("", *STATUS))
    _one_of("caution", given.get("caution", "").removeprefix("-"), ("", SOME, NONE, *flags))
    share, row = _share(given.pop("detection", "0")), _row(given.pop("start", "0"))
    words: Mapping[str, Any] = given
    return Wanted(**words, detection=share, start=row)


def labels(said: str) -> tuple[str, ...]:
    """Names in a text, each once.

    >>> labels("STAT1, JAK2; stat1\\nTYK2")
    ('STAT1', 'JAK2', 'TYK2')
    """
    every: dict[str, str] = {}
    for name in filter(None, re.split(r"[\s,;]+", said)):
        every.setdefault(name.upper(), name)
    return tuple(every.values())


def _one_of(name: str, value: str, may: tuple[str, ...]) -> None:
    if value not in may:
        words = [one for one in may if one]
        msg = f"`{name}` must be one of {some(words, limit=24)}; '{value}' came.{_meant(value, words)}"
        raise InputError(msg)


def _meant(value: str, may: Iterable[str]) -> str:
    near = alike(value, may)
    return f" Did you mean {some(near)}?" if near else ""


def _share(value: str) -> float:
    try:
        share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        msg = f"`detection` must be a share of cells from 0 to 1, such as 0.1; '{value}' came."
        raise InputError(msg)
    return share


def _row(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 8):
        msg = f"`from` must be the number of a row, 0 for the first; '{value}' came."
        raise InputError(msg)
    return int(value)
