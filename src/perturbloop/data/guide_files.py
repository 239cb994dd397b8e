"""Guide calls that lie beside the counts: the table of cellranger, and what CELLxGENE writes into `uns`."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from perturbloop.errors import InputError, some

CALLS = ("cell_barcode", "num_features", "feature_call")
CELLXGENE, CELLXGENE_UNS, CELLXGENE_JOIN = "genetic_perturbation_id", "genetic_perturbations", " || "
"""Column of `obs` with the ids of a cell's guides, key of `uns` with what each is, and what joins the ids."""
_FEATURES = ("intended_features", "derived_features", "target_features")
_LEAST_FOUND = 0.1


def read_calls(path: Path | str, cell_names: pd.Index, source: str) -> np.ndarray:
    """Guides of each cell by cellranger's `protospacer_calls_per_cell.csv`, joined by `|`; '' where none was called.

    Parameters
    ----------
    path
        The table; gzipped too.
    cell_names
        Names of the cells; the number of the well (`-1`) may be missing on either side.
    source
        What the cells' file is called in a refusal.

    Raises
    ------
    InputError
        If the table is none, names a cell twice, does not count the guides that it names, or hardly any of its cells is there.
    """
    path = Path(path)
    table = _table(path)
    calls = table["feature_call"].where(table["num_features"] != "0", "").fillna("").str.strip()
    _require_counted(calls, table["num_features"], path.name)
    for bare in (False, True):
        barcode, cell = (_bare(names) if bare else names for names in (table["cell_barcode"], cell_names))
        guide_of = dict(zip(barcode, calls, strict=True))
        found = np.array([guide_of.get(name, "") for name in cell], dtype=object)
        n_found = len(set(barcode) & set(cell))
        if n_found >= _LEAST_FOUND * len(table) and len(set(cell)) == len(set(cell_names)):
            return found
    msg = (
        f"The guide calls of {path.name} must be those of the cells of {source}; of its {len(table):,} barcodes "
        f"({some(table['cell_barcode'], limit=3)}) hardly any is a cell there ({some(cell_names, limit=3)}). Give the table of the same run, "
        "or name its cells as the file of counts does."
    )
    raise InputError(msg)


def _table(path: Path) -> pd.DataFrame:
    todo = "Give cellranger's `crispr_analysis/protospacer_calls_per_cell.csv`."
    if not path.is_file():
        msg = f"Guide calls are needed at `{path}`; there is none. {todo}"
        raise InputError(msg)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        msg = f"{path.name} must be a table of guide calls; it cannot be read: {error}. {todo}"
        raise InputError(msg) from None
    lacking = [name for name in CALLS if name not in table.columns]
    if lacking or table.empty:
        came = f"it lacks {some(lacking)}" if lacking else "it holds no cell"
        msg = f"{path.name} must have the columns {some(CALLS)}, one row a cell; {came}. {todo}"
        raise InputError(msg)
    twice = table.loc[table["cell_barcode"].duplicated(), "cell_barcode"]
    if len(twice):
        msg = f"{path.name} must name each cell once; these occur twice: {some(twice)}. Give the calls of one run at a time."
        raise InputError(msg)
    return table


def _require_counted(calls: pd.Series, counted: pd.Series, source: str) -> None:
    n_named = calls.str.split("|").str.len().where(calls != "", 0)
    wrong = n_named.astype(str) != counted.str.strip()
    if wrong.any():
        first = wrong.idxmax()
        msg = (
            f"`num_features` of {source} must count the guides of `feature_call`, joined by `|`; in {int(wrong.sum()):,} of {len(calls):,} rows "
            f"it does not, for instance {counted[first]!r} for {calls[first]!r}. Give the table as cellranger wrote it."
        )
        raise InputError(msg)


def _bare(names: Collection[str]) -> pd.Index:
    return pd.Index(names).str.replace(r"-\d+$", "", regex=True)


def read_genetic(path: Path | str, source: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Role and genes of each guide, as CELLxGENE keeps them in `uns['genetic_perturbations']`.

    Parameters
    ----------
    path
        h5ad file.
    source
        What it is called in a refusal.

    Returns
    -------
    Id of each guide -> its role, `targeting` or `control`, and the Ensembl ids of the genes that it was made for, or else where it lies;
    none where the file does not say.

    Raises
    ------
    InputError
        If the file does not hold them.
    """
    found: Any = None
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            place = f"uns/{CELLXGENE_UNS}"
            found = read_elem(file[place]) if place in file else None
    entries = found if isinstance(found, Mapping) else {}
    wrong = [name for name, entry in entries.items() if not isinstance(entry, Mapping) or "role" not in entry]
    if not entries or wrong:
        came = f"{some(wrong)} of it have no role" if wrong else "there is none"
        msg = (
            f"`obs['{CELLXGENE}']` of {source} needs `uns['{CELLXGENE_UNS}']`, which says of each guide whether it is a control; {came}. "
            "Take the file as CELLxGENE gives it, or write the genes into a column of `obs` and name it with `--target-column`."
        )
        raise InputError(msg)
    return {str(name): (str(entry["role"]), _genes(entry)) for name, entry in entries.items()}


def _genes(entry: Mapping[str, Any]) -> tuple[str, ...]:
    named = next((entry[key] for key in _FEATURES if len(entry.get(key, ()))), ())
    return tuple(sorted(map(str, named)))
