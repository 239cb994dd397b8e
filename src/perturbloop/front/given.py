"""What is handed in from Python: options by their short names, and cells as objects."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from perturbloop.errors import InputError, closest, some
from perturbloop.store.files import file_digest

if TYPE_CHECKING:
    from anndata import AnnData

    Source: TypeAlias = AnnData | str | PathLike[str]
    Sources: TypeAlias = Source | Sequence[str | PathLike[str]]
_SHORT = {"state": "state_column", "donor": "donor_column", "target": "target_column", "dose": "dose_column"}
_SHORT |= {"replicate": "replicate_column", "guide": "guide_column"}
"""Short names of options that name a column."""


def named(options: dict[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Options by their full names; unknown ones are refused."""
    given = {_SHORT.get(name, name) if name not in known else name: value for name, value in options.items()}
    unknown = [name for name in given if name not in known]
    if unknown:
        msg = f"Options are those of the command; {some(unknown)} came. Did you mean {closest(unknown[0], known)}?"
        raise InputError(msg)
    return given


def full(cells: "str | PathLike[str] | Sequence[Any]") -> str | tuple[str, ...]:
    """Full path of a file, or of each of several."""
    if isinstance(cells, (str, PathLike)):
        return str(Path(cells).resolve())
    wrong = [type(one).__name__ for one in cells if not isinstance(one, (str, PathLike))]
    if wrong or not cells:
        msg = f'Several files are named by their paths; {some(wrong)} came. Join objects first: `anndata.concat(objects, label="batch")`.'
        raise InputError(msg)
    paths = tuple(str(Path(one).resolve()) for one in cells)
    return paths[0] if len(paths) == 1 else paths


@contextmanager
def kept(folder: Path, cells: "Sources | None", name: str) -> Iterator[str | tuple[str, ...] | None]:
    """Path of cells; an object is written into the campaign's folder, and taken away again where it is refused.

    Parameters
    ----------
    folder
        Campaign folder.
    cells
        The object, in memory or backed, or the path of a file, or of several; `None` where none came.
    name
        What the file of an object is called.
    """
    from anndata import AnnData

    if not isinstance(cells, AnnData):
        yield None if cells is None else full(cells)
        return
    places = folder / "cells"
    made = [place for place in (places, *places.parents) if not place.exists()]
    places.mkdir(parents=True, exist_ok=True)
    beside = places / "new"
    _plain(cells).write_h5ad(beside)
    path, known = _place(places, name, file_digest(beside))
    beside.replace(path)
    try:
        yield str(path.resolve())
    except BaseException:
        if not known:
            path.unlink()
        for place in made:
            if not any(place.iterdir()):
                place.rmdir()
        raise


def _plain(cells: "AnnData") -> "AnnData":
    """Matrices, what is said of cells and genes, and of guides; what a file holds beside them is left out."""
    from anndata import AnnData

    from perturbloop.data.containers.anndata_file import of_object
    from perturbloop.data.guide_files import CELLXGENE_UNS

    held = {place.name: place for place in of_object(cells, "the AnnData object").places}
    layers = {
        name.removeprefix("layers/"): held.pop(name).whole()
        for name in list(held)
        if name.startswith("layers/")
    }
    found = AnnData(
        held["X"].whole() if "X" in held else None, obs=cells.obs.copy(), var=cells.var.copy(), layers=layers
    )  # copies, as writing would turn texts into categories
    found.uns |= {name: cells.uns[name] for name in (CELLXGENE_UNS,) if name in cells.uns}
    if "raw" in held:
        found.raw = AnnData(held["raw"].whole(), obs=found.obs, var=held["raw"].var.copy())
    return found


def _place(places: Path, name: str, digest: str) -> tuple[Path, bool]:
    """Where an object of this name goes, and whether it lies there: the next number where another has the name."""
    paths = (places / f"{name}{'' if number == 1 else f'-{number}'}.h5ad" for number in count(1))
    path = next(path for path in paths if not path.exists() or file_digest(path) == digest)
    return path, path.exists()
