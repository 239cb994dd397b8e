"""Loom files, genes × cells, read with h5py alone."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from perturbloop.data.containers.base import Contents, Place, texts
from perturbloop.data.containers.stored import Turned

_CELLS = ("CellID", "obs_names", "cell_id", "barcode")
_GENES = ("Gene", "var_names", "gene_name", "gene_symbol")
_IDS = ("Accession", "gene_ids", "ensembl_id", "gene_id")
"""Attributes that hold names of cells, names of genes and their ids, the usual one first."""


def is_loom(file: h5py.File) -> bool:
    """Whether an HDF5 file is a loom file."""
    return "row_attrs" in file and "col_attrs" in file


def read_loom(path: Path) -> Contents:
    """Open a loom file; its matrix becomes `X`, cells × genes, and its layers those of the same name.

    Parameters
    ----------
    path
        The file.
    """
    file = h5py.File(path, "r")
    obs, var = _attributes(file["col_attrs"], _CELLS, "cell"), _attributes(file["row_attrs"], _GENES, "gene")
    var["gene_name"] = var.index
    ids = next((name for name in _IDS if name in var.columns), None)
    if ids is not None:
        var["gene_ids"] = var[ids]
    places = [Place("X", var, Turned(file["matrix"]), path.name, "a loom file")]
    layers = file.get("layers", {})
    places += [
        Place(f"layers/{name}", var, Turned(layers[name]), path.name, "a loom file")
        for name in layers
        if name
    ]
    return Contents(obs, tuple(places), close=file.close)


def _attributes(group: Any, names: tuple[str, ...], what: str) -> pd.DataFrame:
    """Attributes of one value each as a table; its index is the first of the names that is there."""
    columns = {str(name): group[name] for name in group if group[name].ndim == 1}
    table = pd.DataFrame({name: _values(column) for name, column in columns.items()})
    name = next((one for one in names if one in table.columns), None)
    if name is None:
        table.index = pd.Index([f"{what}{place}" for place in range(len(table))])
        return table
    return table.set_index(table[name].astype(str).to_numpy())


def _values(column: Any) -> np.ndarray:
    return texts(column[...]) if column.dtype.kind in "OSU" else np.asarray(column[...])
