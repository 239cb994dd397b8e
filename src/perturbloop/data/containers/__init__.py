"""Files of cells in the formats that people have, each opened by a module of its own.

`open_cells` tells the format by what lies there, not by its name, and gives `Contents`: what is said of cells and genes, and the
places where counts may lie. Which of them holds the counts is for `data.places` to say.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from perturbloop.data.containers import anndata_file, loom, tenx, unread
from perturbloop.data.containers.base import Contents, Place, sound
from perturbloop.errors import InputError, some

__all__ = ["Contents", "Place", "open_cells"]
_REMEDY = "Give an AnnData file (h5ad) with raw counts."
_ENDS = (".h5ad", ".zarr", ".loom", ".h5")


@contextmanager
def open_cells(path: Path) -> Iterator[Contents]:
    """Open a file or folder of cells: h5ad, zarr, loom, or a 10x matrix (h5, or the folder).

    Parameters
    ----------
    path
        The file or folder.

    Raises
    ------
    InputError
        If there is none, it is empty, damaged, or of another format; of formats that are known it says how to convert them.
    """
    contents = _of_folder(path) if path.is_dir() else _of_file(path)
    try:
        yield contents
    finally:
        contents.close()


def _of_folder(path: Path) -> Contents:
    if anndata_file.is_zarr(path):
        with sound(path.name, "a zarr folder that AnnData wrote"):
            return anndata_file.read_zarr(path)
    if tenx.matrices(path):
        with sound(path.name, "a 10x folder"):
            return tenx.read_tenx_folder(path)
    below = [place for place in sorted(path.glob("*")) if place.name.endswith(_ENDS) or _has_matrix(place)]
    msg = (
        f"A folder of cells is a 10x matrix (`matrix.mtx`, `features.tsv`, `barcodes.tsv`) or a zarr folder; `{path}` is neither. "
        f"Cells in it: {some(place.name for place in below)}. Name one of them, or give an AnnData file (h5ad)."
    )
    raise InputError(msg)


def _has_matrix(place: Path) -> bool:
    return place.is_dir() and bool(tenx.matrices(place))


def _of_file(path: Path) -> Contents:
    _require_file(path)
    if tenx.is_matrix(path):
        with sound(path.name, "a 10x matrix"):
            return tenx.read_tenx_folder(path)
    if (said := unread.sentence(path)) is not None:
        raise InputError(said)
    if not h5py.is_hdf5(path):
        msg = f"{path.name} must be an AnnData file (h5ad); it is no HDF5 file. {_REMEDY}"
        raise InputError(msg)
    with sound(path.name):
        with h5py.File(path, "r") as file:
            kinds = {
                anndata_file.read_h5ad: "obs" in file and "var" in file,
                loom.read_loom: loom.is_loom(file),
                tenx.read_tenx_h5: tenx.is_tenx_h5(file),
            }
            said = unread.hdf5_sentence(file, path.name)
        read = next((read for read, fits in kinds.items() if fits), None)
        if read is None:
            raise InputError(said)
        return read(path)


def _require_file(path: Path) -> None:
    if not path.is_file():
        beside = path.parent.glob("*") if path.parent.is_dir() else ()
        near = sorted(other.name for other in beside if other.name.endswith(_ENDS))
        msg = (
            f"A file is needed at `{path}`; there is none. Files of cells beside it: {some(near)}. {_REMEDY}"
        )
        raise InputError(msg)
    if path.stat().st_size == 0:
        msg = f"{path.name} must be an AnnData file (h5ad); it is empty. {_REMEDY}"
        raise InputError(msg)
