"""`campaign.toml`: edited in place, so that what a user wrote beside the options stays; its paths move with the folder.

In memory every path is full. In the file a path is relative to the campaign's folder where it lies below or beside it.
"""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table

from perturbloop.errors import StoreError
from perturbloop.schema import CampaignConfig, file_fields
from perturbloop.store.files import file_digest, write_text

CONFIG_FILE = "campaign.toml"
_KNOWN_BY = {"perturbed": ("path", "modality"), "screen": ("name",)}
"""Sections of several entries, and what tells an entry from the others."""


def read_config(folder: Path, *, remembered: Callable[[], CampaignConfig] | None = None) -> CampaignConfig:
    """Read the options of a campaign: its `campaign.toml`, or, where that is gone, what is remembered of it.

    Parameters
    ----------
    folder
        Campaign folder.
    remembered
        Options of the last run, asked for where `campaign.toml` is gone, or a file is not where it says: a folder that was
        copied without its files finds them where they were.

    Returns
    -------
    The options, every path full.
    """
    path, home = folder / CONFIG_FILE, folder.resolve()
    if remembered is not None and not path.is_file():
        return remembered()
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        problem = "" if tree else "it is empty"
    except (ValueError, RecursionError) as error:  # no TOML, no text, numbers too long, lists too deep
        problem = f"it cannot be read: {error}"
    if problem:
        msg = (
            f"`{path}` must be a TOML file of options; {problem}. Correct it, or delete `{path}` and run the same command again: the "
            "ledger remembers the options of the last run."
        )
        raise StoreError(msg)
    return _with_paths(CampaignConfig.from_dict(tree), lambda place: _found(place, home, remembered))


def write_config(folder: Path, config: CampaignConfig) -> None:
    """Write the options, once it is sure that they can be read back as they are.

    Parameters
    ----------
    folder
        Campaign folder. Where it has a `campaign.toml`, only the options that changed are touched in it.
    config
        The options; a path that is not full is read from the working directory.
    """
    path, home = folder / CONFIG_FILE, folder.resolve()
    full = with_full_paths(config)
    tree = _with_paths(full, lambda place: _shortened(place, home)).to_dict()
    tree = {name: section for name, section in tree.items() if section}
    text = _edited(path.read_text(encoding="utf-8"), tree) if path.is_file() else tomlkit.dumps(tree)
    if _with_paths(CampaignConfig.from_dict(tomllib.loads(text)), lambda place: _at(place, home)) != full:
        msg = f"`{CONFIG_FILE}` cannot hold these options as they are: {tree!r}. Use plain names and numbers."
        raise StoreError(msg)
    write_text(path, text)


def with_full_paths(config: CampaignConfig) -> CampaignConfig:
    """Return the options with every path full, as seen from the working directory."""
    return _with_paths(config, lambda place: _at(place, Path.cwd()))


def _with_paths(config: CampaignConfig, change: Callable[[str], str]) -> CampaignConfig:
    def of(section: Any) -> Any:
        named = {name: getattr(section, name) for name in file_fields(type(section))}
        return replace(section, **{name: _each(change, place) for name, place in named.items() if place})

    sections = {field.name: getattr(config, field.name) for field in fields(config)}
    changed: dict[str, Any] = {
        name: tuple(map(of, values)) if name in _KNOWN_BY else of(values) for name, values in sections.items()
    }
    return replace(config, **changed)


def _each(change: Callable[[str], str], place: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Change a path, or every one of several."""
    return change(place) if isinstance(place, str) else tuple(map(change, place))


def _at(place: str, home: Path) -> str:
    return os.path.normpath(home / place)


def _found(place: str, home: Path, remembered: Callable[[], CampaignConfig] | None) -> str:
    """Full path of a file; where there is none, and the last run knew one of that name, where it was."""
    here = _at(place, home)
    if remembered is None or Path(place).is_absolute() or Path(here).exists():
        return here
    name = tuple(part for part in Path(place).parts if part != "..")
    there = [
        old for old in _paths(remembered()) if Path(old).parts[-len(name) :] == name and Path(old).exists()
    ]
    return there[0] if there else here


def _paths(config: CampaignConfig) -> Iterator[str]:
    sections = [getattr(config, field.name) for field in fields(config)]
    for section in sections:
        for entry in section if isinstance(section, tuple) else (section,):
            for place in filter(None, (getattr(entry, name) for name in file_fields(type(entry)))):
                yield from (place,) if isinstance(place, str) else place


def _shortened(place: str, home: Path) -> str:
    """Return the path as seen from the campaign's folder, where it lies below it or beside it."""
    for base, way in ((home, Path()), (home.parent, Path(".."))):
        if Path(place).is_relative_to(base) and Path(place) != base:
            return (way / Path(place).relative_to(base)).as_posix()
    return place


def _edited(text: str, tree: Mapping[str, Any]) -> str:
    """Change what differs in the text of a `campaign.toml`, and nothing else."""
    document = tomlkit.parse(text)
    before = CampaignConfig.from_dict(tomllib.loads(text)).to_dict()
    for name in before:
        old, new = before[name], tree.get(name, {})
        if old == new or not (old or new):
            continue
        if name not in _KNOWN_BY:
            _edit(document.setdefault(name, tomlkit.table()), old, new)
            continue
        entries = document.pop(name, ())
        tables = {_identity(name, entry): table for entry, table in zip(old, entries, strict=True)}
        known = {_identity(name, entry): entry for entry in old}
        document[name] = AoT([])
        for entry in new:
            table = tables.get(_identity(name, entry))
            if isinstance(table, Table):
                _edit(table, known[_identity(name, entry)], entry)
            else:
                table = tomlkit.item(dict(entry))
                table.add(tomlkit.nl())
            document[name].append(table)
    return tomlkit.dumps(document)


def _edit(table: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for name in before.keys() - after.keys():
        table.pop(name, None)
    table.update({name: value for name, value in after.items() if before.get(name) != value})


def _identity(section: str, entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(entry[name] for name in _KNOWN_BY[section])


def digests_of(entry: Any) -> list[str]:
    """Role and digest of each file that the options of a section or of a recorded file name."""
    named = {role: getattr(entry, role) for role in file_fields(type(entry))}
    return [
        f"{role} {file_digest(Path(path)) if Path(path).exists() else ''}"
        for role, path in named.items()
        if path
    ]
