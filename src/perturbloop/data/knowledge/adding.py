"""Add a published file to the collections of this machine, from a path or an address, and take one away."""

import hashlib
import json
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path

import numpy as np

from perturbloop.data.drugs.reading import packed, read_interactions
from perturbloop.data.genes import is_ensembl
from perturbloop.data.hgnc import symbols
from perturbloop.data.knowledge.collection import (
    Collection,
    CollectionKind,
    added,
    collections,
    day,
    home,
    recorded,
    shipped,
)
from perturbloop.data.knowledge.content import pack
from perturbloop.data.knowledge.sources import in_logarithms, is_interactions, read_source
from perturbloop.data.text_files import MOST_BYTES
from perturbloop.errors import InputError, closest, some
from perturbloop.progress import tell
from perturbloop.store.files import file_digest, whole, write_text

SECONDS = 60
"""Seconds without an answer after which a download is given up."""
LEAST_SHARE = 0.1
"""Least share of a file's labels that must be genes."""
_PIECE = 2**20


def add(
    name: str,
    source: str | Path,
    *,
    kind: CollectionKind | None = None,
    date: str | None = None,
    aliases: Sequence[str | Path] = (),
    licence: str = "",
    sha256: str | None = None,
) -> Collection:
    """Add a collection to those of this machine.

    Parameters
    ----------
    name
        What it is to be called: letters, digits, `-`, `_` and `.`.
    source
        Path or http(s) address of a published file, as `read_source` reads it.
    kind
        What it is, where its form does not tell.
    date
        Day by which it was written (YYYY-MM-DD); by default the day the server names, else none, and `--knowledge-until` then
        leaves it out.
    aliases
        Paths or addresses of tables of other names of its labels.
    licence
        Under which licence it may be used, in words.
    sha256
        Hash that the published file must have.

    Raises
    ------
    InputError
        If the name is taken or is none, the file cannot be had or read, or its hash is another.
    """
    _require_free(name)
    if date is not None:
        day(date)
    with tempfile.TemporaryDirectory() as place:
        path, dated = _here(str(source), Path(place) / "source")
        origin = _sha256(path)
        if sha256 is not None and origin != sha256.lower():
            msg = (
                f"`{source}` must have the SHA-256 {sha256.lower()}; it has {origin}. It is another file, or it was damaged on the way: "
                "get it again, and check the hash."
            )
            raise InputError(msg)
        files = [_here(str(one), Path(place) / f"aliases{number}")[0] for number, one in enumerate(aliases)]
        stored = home() / "knowledge" / f"{name}.xz"
        told: CollectionKind
        if kind == "drugs" or (kind is None and is_interactions(path)):
            told, labels, n_columns = "drugs", *_keep_drugs(path, files, stored)
        else:
            told, labels, n_columns = _keep(path, kind, files, stored)
    made = Collection(
        name=name,
        kind=told,
        source=str(source) if _is_address(str(source)) else Path(source).name,
        version="as published",
        date=date or dated,
        licence=licence or "licence not stated",
        digest="",
        path=stored,
        n_genes=len(labels),
        n_columns=n_columns,
        origin=origin,
    )
    tree = recorded(made, file_digest(stored))
    write_text(stored.with_suffix(".json"), json.dumps(tree, indent=2) + "\n")
    return next(one for one in added() if one.name == name)


def _keep(
    path: Path, kind: CollectionKind | None, aliases: Sequence[Path], stored: Path
) -> tuple[CollectionKind, np.ndarray, int]:
    """Write a collection of genes × columns; its kind, labels and number of columns."""
    told, content = read_source(path, kind=kind, aliases=aliases)
    _require_genes(content.labels, path.name)
    if told == "reference":
        content = in_logarithms(content, path.name)
    pack(stored, content)
    return told, content.labels, len(content.columns)


def _keep_drugs(path: Path, aliases: Sequence[Path], stored: Path) -> tuple[np.ndarray, int]:
    """Write a collection of compounds and targets; its genes and the number of compounds."""
    table = read_interactions(path, aliases=aliases)
    labels = table["gene"].unique()
    _require_genes(labels, path.name)
    with whole(stored) as beside:
        beside.write_bytes(packed(table))
    return labels, table["compound"].nunique()


def remove(name: str) -> Collection:
    """Take an added collection away; campaigns that read it are then stale.

    Parameters
    ----------
    name
        Name of the collection.

    Raises
    ------
    InputError
        If none of that name was added here.
    """
    own = {one.name: one for one in added()}
    if name not in own:
        why = (
            "it came with the package, leave it out of a campaign with `--knowledge-leave-out`"
            if name in {one.name for one in shipped()}
            else f"did you mean {closest(name, own)}?"
            if own
            else "`perturbloop knowledge` lists what there is"
        )
        msg = f"A collection that was added on this machine is needed, {some(own, limit=20) if own else 'of which there is none'}; '{name}' came: {why}."
        raise InputError(msg)
    own[name].path.with_suffix(".json").unlink()
    own[name].path.unlink(missing_ok=True)
    return own[name]


def _require_genes(labels: np.ndarray, source: str) -> None:
    unknown = [one for one in labels if not is_ensembl(one) and one.upper() not in symbols().row_of]
    if len(labels) - len(unknown) >= LEAST_SHARE * len(labels):
        return
    msg = (
        f"The labels of `{source}` must be human symbols or Ensembl ids of genes; {len(labels) - len(unknown):,} of {len(labels):,} are; "
        f"others are for instance {some(unknown)}. Give a table of their genes with `--aliases`."
    )
    raise InputError(msg)


def _require_free(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) or name == "all":
        msg = f"The name of a collection must be letters, digits, `-`, `_` and `.`, at most 64, and not 'all'; it is {name!r}. Choose another."
        raise InputError(msg)
    if name in {one.name for one in collections()}:
        msg = f"There is a collection '{name}' already. Choose another name, or take it away first: `perturbloop knowledge remove {name}`."
        raise InputError(msg)


def _is_address(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _here(source: str, folder: Path) -> tuple[Path, str]:
    """Place of a file on this machine, and the day its server names; '' without one."""
    if not _is_address(source):
        return Path(source), ""
    folder.mkdir()
    path = folder / (Path(source.split("?")[0].split("#")[0]).name or "file")
    try:
        with urllib.request.urlopen(source, timeout=SECONDS) as answer, path.open("wb") as file:
            total = int(answer.headers.get("Content-Length") or 0)
            size = 0
            while piece := answer.read(_PIECE):
                size += len(piece)
                if max(size, total) > MOST_BYTES:
                    msg = f"`{source}` must hold at most {MOST_BYTES:,} bytes; it holds more. Give a smaller file."
                    raise InputError(msg)
                file.write(piece)
                tell(f"getting {path.name}", size, max(total, size))
            dated = answer.headers.get("Last-Modified")
    except (urllib.error.URLError, OSError, ValueError) as error:
        msg = f"`{source}` must be the address of a file; it could not be got: {error}. Check the address, or give a file of your own."
        raise InputError(msg) from None
    if total and size < total:
        msg = f"`{source}` must hold {total:,} bytes; {size:,} came. Run the same command again."
        raise InputError(msg)
    return path, _day_of(dated)


def _day_of(header: str | None) -> str:
    """Day of an HTTP date.

    >>> _day_of("Fri, 01 Jul 2022 10:00:00 GMT"), _day_of("soon")
    ('2022-07-01', '')
    """
    try:
        return parsedate_to_datetime(header or "").astimezone(UTC).date().isoformat()
    except ValueError:
        return ""


def _sha256(path: Path) -> str:
    if path.is_dir():  # a release of Open Targets
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        told = "\n".join(f"{file.relative_to(path).as_posix()} {_sha256(file)}" for file in files)
        return hashlib.sha256(told.encode()).hexdigest()
    if not path.is_file():
        msg = f"A file is needed at `{path}`, a collection of genes; there is none. Correct the path."
        raise InputError(msg)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
