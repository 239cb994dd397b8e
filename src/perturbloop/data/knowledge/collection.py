"""Which collections there are: what each holds, who wrote it, when, under which licence."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from perturbloop.data.drugs.reading import unpacked
from perturbloop.data.knowledge.content import Content, unpack
from perturbloop.errors import InputError, StoreError, closest, some
from perturbloop.store.files import file_digest, read_json

CollectionKind = Literal[
    "sets", "edges", "vectors", "table", "reference", "drugs", "categories", "pairs", "names"
]
"""sets: pathways, complexes; edges: a network; vectors: an embedding; table: numbers of each gene, in units of their own;
reference: expression by cell type; drugs: compounds and the genes they act on; categories: of druggable genes; pairs: ligand and
receptor; names: symbols."""
KINDS: tuple[CollectionKind, ...] = get_args(CollectionKind)
KERNELS: tuple[CollectionKind, ...] = ("sets", "edges", "vectors", "table")
"""Kinds that say which genes are alike."""
ALL = "all"
"""Word that leaves out every collection."""
HOME = "PERTURBLOOP_HOME"
"""Environment variable that names the folder of what was added on this machine."""
SHIPPED = Path(__file__).parent / "shipped"


@dataclass(frozen=True)
class Collection:
    """What is known of genes from one source."""

    name: str
    kind: CollectionKind
    source: str
    """Who published it, and where."""
    version: str
    date: str
    """Day by which it was written (YYYY-MM-DD): of its release, else a day on which it was there; '' where none is known."""
    licence: str
    digest: str
    """Hash of the stored file."""
    path: Path
    """The stored file."""
    n_genes: int
    n_columns: int
    """Sets, neighbors, dimensions or cell types."""
    origin: str = ""
    """SHA-256 of the published file that it was made from."""
    is_shipped: bool = False
    """Whether it came with the package."""

    @cached_property
    def content(self) -> Content:
        """What it holds, read once.

        Raises
        ------
        StoreError
            If the file is missing or is not the one that was recorded.
        """
        todo = (
            "Install the package again."
            if self.is_shipped
            else f"Run `perturbloop knowledge remove {self.name}` and add it again."
        )
        if not self.path.is_file() or file_digest(self.path) != self.digest:
            msg = f"The collection '{self.name}' must lie at `{self.path}` as it was recorded; it is missing or damaged. {todo}"
            raise StoreError(msg)
        return unpack(self.path, todo=todo)

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """Table `INTERACTIONS` of a collection of kind drugs, read once."""
        if not self.path.is_file() or file_digest(self.path) != self.digest:
            msg = (
                f"The collection '{self.name}' must lie at `{self.path}` as it was recorded; it is missing or damaged. Run "
                f"`perturbloop knowledge remove {self.name}` and add it again."
            )
            raise StoreError(msg)
        return unpacked(self.path)

    def line(self) -> str:
        """Say where it is from, in one line."""
        return f"{self.source}, {self.version}, {self.date or 'undated'}, {self.licence}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the place on this machine."""
        return {name: value for name, value in asdict(self).items() if name != "path"}


def home() -> Path:
    """Folder of what was added on this machine: `$PERTURBLOOP_HOME`, else the user's data folder."""
    named = os.environ.get(HOME)
    if named:
        return Path(named)
    from platformdirs import user_data_path

    return user_data_path("perturbloop", appauthor=False)


def shipped() -> tuple[Collection, ...]:
    """Collections that came with the package."""
    entries: list[dict[str, Any]] = read_json(SHIPPED / "collections.json", todo="Install the package again.")
    return tuple(
        Collection(**entry, path=SHIPPED / f"{entry['name']}.xz", is_shipped=True) for entry in entries
    )


def added() -> tuple[Collection, ...]:
    """Collections that were added on this machine, by name."""
    folder = home() / "knowledge"
    return tuple(
        Collection(
            **read_json(path, todo=f"Delete it and add the collection '{path.stem}' again."),
            path=path.with_suffix(".xz"),
        )
        for path in sorted(folder.glob("*.json"))
    )


def collections() -> tuple[Collection, ...]:
    """All that are on this machine, those of the package first."""
    return (*shipped(), *added())


def chosen(
    *,
    until: str | None = None,
    leave_out: Sequence[str] = (),
    kinds: Sequence[CollectionKind] = KERNELS,
) -> tuple[Collection, ...]:
    """Collections as a campaign asks for them; by default those that say which genes are alike.

    Parameters
    ----------
    until
        Last day (YYYY-MM-DD) on which a collection may have been written; undated ones are then left out too.
    leave_out
        Names of collections that are not read; 'all' = none is.
    kinds
        Kinds that are asked for.

    Raises
    ------
    InputError
        If a name is that of no collection, or the day is none.
    """
    known = collections()
    names = [one.name for one in known]
    unknown = [name for name in leave_out if name not in (*names, ALL)]
    if unknown:
        msg = (
            f"Collections that are left out must be among {some(names, limit=20)}; {some(unknown)} came. Did you mean "
            f"{closest(unknown[0], names)}? `perturbloop knowledge` lists them."
        )
        raise InputError(msg)
    last = None if until is None else day(until)
    return tuple(
        one
        for one in known
        if one.kind in kinds
        and not {one.name, ALL} & set(leave_out)
        and (last is None or (one.date and day(one.date) <= last))
    )


def day(text: str) -> date:
    """Read a day.

    >>> day("2022-07-01")
    datetime.date(2022, 7, 1)
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        msg = f"A day (`--knowledge-until`, `--date`) must be written as YYYY-MM-DD, for instance 2022-07-01; {text!r} came. Correct it."
        raise InputError(msg) from None


def recorded(collection: Collection, digest: str) -> dict[str, Any]:
    """What is written into the list of collections."""
    tree = replace(collection, digest=digest).to_dict()
    return {name: value for name, value in tree.items() if name != "is_shipped"}
