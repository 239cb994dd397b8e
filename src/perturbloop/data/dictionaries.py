"""Geneformer's dictionaries as published: which generation lies in a folder, and what its files hold.

Three generations are in use: 30M (V1: 25,426 tokens), 95M and 104M (V2: 20,275 tokens; the two are the same bytes under other
names). Their files tell them apart by the suffix `_gc30M`, `_gc95M` or `_gc104M`; the oldest of 30M have none.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from perturbloop.data.pickles import read_dictionary
from perturbloop.errors import InputError, VocabularyMismatch, some
from perturbloop.store.files import is_lfs_pointer

Version = Literal["geneformer-v1", "geneformer-v2"]
Generation = Literal["30M", "95M", "104M"]

LENGTHS: dict[Version, int] = {"geneformer-v1": 2048, "geneformer-v2": 4096}
"""Most tokens a cell may have, special ones included."""
MOST_TOKENS = 10**7
"""A token id at or beyond this is taken for damage: an embedding table has a row for each."""
_NEEDED = {
    "token": "token_dictionary",
    "median": "gene_median_dictionary",
    "name": "gene_name_id_dict",
}
_REMEDY = "Use the dictionary as it was published with the model."


@dataclass(frozen=True)
class _Generation:
    version: Version
    suffixes: tuple[str, ...]
    aliases: tuple[str, ...]
    """Files of other labels; 30M takes those of 104M where it has none of its own."""


GENERATIONS: dict[Generation, _Generation] = {
    "104M": _Generation("geneformer-v2", ("_gc104M",), ("_gc104M",)),
    "95M": _Generation("geneformer-v2", ("_gc95M",), ("_gc95M",)),
    "30M": _Generation("geneformer-v1", ("_gc30M", ""), ("_gc30M", "_gc104M")),
}
"""Generations, the one that is looked for first before others."""


@dataclass(frozen=True)
class Dictionaries:
    """One generation in one folder."""

    folder: Path
    generation: Generation

    @property
    def n_tokens(self) -> int:
        """Rows of the embedding table it belongs to."""
        token = _found(self.folder, self.generation)["token"]
        return max(map(int, read_role(token, "token").values())) + 1

    def __str__(self) -> str:
        return f"{self.generation} ({self.n_tokens:,} tokens, in `{self.folder}`)"


def files_of(folder: Path, version: Version, generation: Generation | None = None) -> dict[str, Path]:
    """Return the files of one generation, by role: token, median, name and, where there is one, alias.

    Parameters
    ----------
    folder
        Folder of the dictionaries.
    version
        Encoding.
    generation
        Which of those of the encoding; the first that is whole by default.

    Raises
    ------
    InputError
        If one of the three that are needed is missing; the message says what is there of other generations.
    """
    asked = [one for one, record in GENERATIONS.items() if record.version == version]
    asked = asked if generation is None else [generation]
    found = [_found(folder, one) for one in asked]
    best = max(found, key=lambda files: len(_NEEDED.keys() & files.keys()))
    missing = [
        f"{name}{GENERATIONS[asked[0]].suffixes[-1]}.pkl"
        for role, name in _NEEDED.items()
        if role not in best
    ]
    if missing:
        others = [one for one in dictionaries_in([folder]) if one.generation not in asked]
        there = f" It holds those of {some(others)}." if others else ""
        msg = (
            f"The {version} vocabulary needs three dictionaries in `{folder}`; missing: {some(missing)}.{there} "
            "Give the folder that holds the files published with the model."
        )
        raise InputError(msg)
    return best


def dictionaries_in(folders: Collection[Path]) -> list[Dictionaries]:
    """All generations that lie whole in these folders, the first folder's first."""
    return [
        Dictionaries(folder, generation)
        for folder in folders
        for generation in GENERATIONS
        if _NEEDED.keys() <= _found(folder, generation).keys()
    ]


def places_near(folder: Path) -> list[Path]:
    """Where the dictionaries of a model folder lie as published: in it, beside it, or in the package beside it."""
    bases = [folder, folder.absolute().parent, folder.absolute().parent.parent]
    return [base / name for base in bases for name in _HOMES]


_V1_TOKENS = 25_426
_HOMES = ("", "geneformer", "gene_dictionaries_30m", "geneformer/gene_dictionaries_30m")


def fitting(near: Collection[Path], n_tokens: int, *, generation: str | None, model: Path) -> Dictionaries:
    """Choose the dictionaries that belong to a checkpoint, by the number of its tokens.

    Parameters
    ----------
    near
        Folders to look in.
    n_tokens
        Rows of the checkpoint's embedding table.
    generation
        The only one to take; any by default.
    model
        Folder of the checkpoint, for the message.

    Raises
    ------
    InputError
        If there are none.
    VocabularyMismatch
        If there are some, and none is of that many tokens.
    """
    found = [one for one in dictionaries_in(near) if generation in (None, one.generation)]
    for one in found:
        if one.n_tokens == n_tokens:
            return one
    if found:
        msg = (
            f"A checkpoint goes with the dictionaries it was trained with: `{model}` has {n_tokens:,} embeddings, and those of "
            f"generation {'; '.join(dict.fromkeys(map(str, found)))} were found. Give the folder of its own with `--vocabulary`: 30M has 25,426 "
            "tokens, 95M and 104M have 20,275."
        )
        raise VocabularyMismatch(msg)
    if len(near) == 1:  # it was named: say what it lacks
        files_of(next(iter(near)), "geneformer-v1" if n_tokens == _V1_TOKENS else "geneformer-v2")
    which = "" if generation is None else f" of generation {generation}"
    msg = (
        f"`{model}` holds no vocabulary of its own, and no dictionaries{which} lie in or near it. Give the folder of the published "
        "dictionaries (tokens, medians, names) with `--vocabulary`, or put them into the folder."
    )
    raise InputError(msg)


def symbol_ids(model: Path, dictionaries: Path | str | None) -> dict[str, str]:
    """Ensembl id of each symbol and other label, in upper case, for a model whose own vocabulary holds symbols alone.

    Parameters
    ----------
    model
        Folder of the model.
    dictionaries
        Folder of published dictionaries of any generation; by default one in or near the model's.

    Raises
    ------
    InputError
        If there are none.
    """
    near = places_near(model) if dictionaries is None else [Path(dictionaries)]
    found = dictionaries_in(near)
    if not found:
        msg = (
            f"`{model}` names genes by symbols, and their Ensembl ids are looked up in Geneformer's dictionaries; none lie in "
            f"{'or near it' if dictionaries is None else f'`{dictionaries}`'}. Give their folder with `--vocabulary`."
        )
        raise InputError(msg)
    files = _found(found[0].folder, found[0].generation)
    tables = [read_role(files[role], role) for role in ("alias", "name") if role in files]
    return {str(label).upper(): gene for table in tables for label, gene in table.items()}


def read_role(path: Path, role: str) -> dict[str, Any]:
    """Read one published dictionary: from texts to token ids (`token`), to medians (`median`), or to texts."""
    if is_lfs_pointer(path):
        msg = (
            f"`{path.name}` must hold a dictionary; the one in `{path.parent}` only points to it (Git LFS). Run `git lfs pull` where it "
            "was cloned, or bring the model with `perturbloop models fetch`."
        )
        raise InputError(msg)
    found = read_dictionary(path, todo=_REMEDY)
    kinds = {"token": (int, np.integer), "median": (int, float, np.integer, np.floating)}
    fits = kinds.get(role, (str,))
    wrong = [
        f"{key!r}: {value!r}"[:80]
        for key, value in found.items()
        if not isinstance(key, str)
        or isinstance(value, bool)
        or not isinstance(value, fits)
        or (role == "token" and not 0 <= int(value) < MOST_TOKENS)
    ]
    if wrong or not found:
        what = {"token": f"whole numbers below {MOST_TOKENS:,}", "median": "numbers"}.get(role, "texts")
        msg = (
            f"`{path.name}` must hold a dictionary from texts to {what}; {len(wrong):,} of its {len(found):,} entries are none: "
            f"{some(wrong)}. {_REMEDY}"
        )
        raise InputError(msg)
    return found


def _found(folder: Path, generation: Generation) -> dict[str, Path]:
    """Files of a generation that are there, by role."""
    return dict(_looked_for(folder, generation))


def _looked_for(folder: Path, generation: Generation) -> Iterator[tuple[str, Path]]:
    record = GENERATIONS[generation]
    names = {role: (name, record.suffixes) for role, name in _NEEDED.items()}
    for role, (name, suffixes) in (names | {"alias": ("ensembl_mapping_dict", record.aliases)}).items():
        paths = [folder / f"{name}{suffix}.pkl" for suffix in suffixes]
        yield from [(role, path) for path in paths if path.is_file()][:1]
