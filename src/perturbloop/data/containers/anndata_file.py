"""AnnData: h5ad files, zarr folders of format 2 and 3, and objects, backed ones too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import pandas as pd

from perturbloop.data.containers.base import Contents, Place
from perturbloop.data.containers.stored import StoredSparse


def is_zarr(path: Path) -> bool:
    """Whether a folder is a group of zarr, format 2 or 3."""
    return any((path / name).is_file() for name in (".zgroup", "zarr.json"))


def read_h5ad(path: Path) -> Contents:
    """Open an h5ad file; one of an AnnData before 0.8, which says less of itself, is read into memory.

    Parameters
    ----------
    path
        The file.
    """
    file = h5py.File(path, "r")
    try:
        if "encoding-type" in file.attrs and isinstance(file["obs"], h5py.Group):
            return _of_group(file, path.name, close=file.close)
    except BaseException:
        file.close()
        raise
    file.close()
    return of_object(ad.read_h5ad(path), path.name)


def read_zarr(path: Path) -> Contents:
    """Open a zarr folder that AnnData wrote."""
    import zarr

    return _of_group(zarr.open_group(path, mode="r"), path.name)


def of_object(adata: ad.AnnData, source: str) -> Contents:
    """List what an AnnData object holds; nothing is copied, and what is backed stays on disk.

    Parameters
    ----------
    adata
        The object.
    source
        What messages call it.
    """
    matrix = StoredSparse(adata.X.group) if hasattr(adata.X, "group") else adata.X  # a backed one
    places = [] if matrix is None else [Place("X", adata.var, matrix, source)]
    if adata.raw is not None:
        places.append(Place("raw", adata.raw.var, adata.raw.X, source))
    places += [Place(f"layers/{name}", adata.var, matrix, source) for name, matrix in adata.layers.items()]
    return Contents(adata.obs, tuple(places))


def _of_group(group: Any, source: str, **ways: Any) -> Contents:
    obs, var = (ad.io.read_elem(group[name]) for name in ("obs", "var"))
    return Contents(obs, tuple(_places(group, var, source)), **ways)


def _places(group: Any, var: pd.DataFrame, source: str) -> Iterator[Place]:
    if (matrix := _matrix(group, "X")) is not None:
        yield Place("X", var, matrix, source)
    if "raw" in group and (matrix := _matrix(group["raw"], "X")) is not None:
        yield Place("raw", ad.io.read_elem(group["raw"]["var"]), matrix, source)
    if "layers" in group:
        for name in group["layers"]:
            yield Place(f"layers/{name}", var, _matrix(group["layers"], name), source)


def _matrix(group: Any, name: str) -> Any:
    """One matrix as it lies on disk; `None` where there is none."""
    if name not in group or group[name].attrs.get("encoding-type") == "null":
        return None
    found = group[name]
    if hasattr(found, "shape") and hasattr(found, "dtype"):
        return found
    return StoredSparse(found)
