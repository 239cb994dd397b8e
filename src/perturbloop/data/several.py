"""Several files read as one: what tells their cells apart, and the genes that all of them measure."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from perturbloop.errors import InputError, some

if TYPE_CHECKING:
    from perturbloop.data.cells import Cells

_COMMON = (
    "outs",
    "filtered_feature_bc_matrix",
    "sample_filtered_feature_bc_matrix",
    "count",
    "filtered",
    "Gene",
)
"""Names that say nothing of a sample."""
_ENDS = (".gz", ".mtx", ".h5ad", ".h5", ".zarr", ".loom")
BATCH = ("batch", "file")
"""Column of `obs` that names the file of a cell: the first that is not there yet."""


def batch_names(paths: Sequence[Path]) -> list[str]:
    """Name each file by the part of its path that tells it from the others.

    >>> batch_names([Path("a.h5ad"), Path("b.h5ad")])
    ['a', 'b']
    >>> batch_names([Path(f"runs/{name}/outs/filtered_feature_bc_matrix.h5") for name in ("rest", "stim")])
    ['rest', 'stim']
    """
    parts = [[_bare(part) for part in path.parts] for path in paths]
    shortest = min(map(len, parts))
    for level in range(1, shortest + 1):
        names = [one[-level] for one in parts]
        if len(set(names)) == len(names) and not set(names) & set(_COMMON):
            return names
    return ["/".join(one) for one in parts]


def require_apart(paths: Sequence[Path]) -> None:
    """Refuse a file that is named twice."""
    full = [path.resolve() for path in paths]
    twice = sorted({str(path) for path in full if full.count(path) > 1})
    if twice:
        msg = f"Each file of cells is named once, as its cells would count twice; these came more often: {some(twice)}. Leave the repeats out."
        raise InputError(msg)


def _bare(name: str) -> str:
    for end in _ENDS:
        name = name.removesuffix(end)
    return name.removesuffix("_matrix") or name


def joint_obs(tables: Sequence[pd.DataFrame], names: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """Join what is known of the cells of several files; a cell's name ends in that of its file.

    Parameters
    ----------
    tables
        `obs` of each file.
    names
        Name of each file.

    Returns
    -------
    The joint table, and its column that names the file.
    """
    taken = {str(column) for table in tables for column in table.columns}
    column = next(name for name in (*BATCH, "file_of_cell") if name not in taken)
    named = [
        table.set_axis(pd.Index([f"{cell}-{name}" for cell in table.index]), axis=0).assign(**{column: name})
        for table, name in zip(tables, names, strict=True)
    ]
    return pd.concat(named), column


def common_genes(gene_ids: Sequence[np.ndarray], sources: Sequence[str]) -> np.ndarray:
    """Genes that every file measures, in the order of the first.

    Parameters
    ----------
    gene_ids
        Ensembl ids of each file.
    sources
        What messages call the files.
    """
    shared = set(gene_ids[0]).intersection(*gene_ids[1:])
    if not shared:
        msg = (
            f"Files that are read as one must measure the same genes; {some(sources)} share none. Make a campaign of each, or name the "
            "right column of `var` with `--gene-column`."
        )
        raise InputError(msg)
    return np.array([gene for gene in gene_ids[0] if gene in shared], dtype=object)


def joint_lines(
    files: "Sequence[Cells]", names: Sequence[str], column: str, gene_ids: np.ndarray
) -> Iterator[str]:
    """Say how many cells came of each file, and which genes are not in all of them.

    Parameters
    ----------
    files, names
        Cells of each file, and its name.
    column
        Column of `obs` that names the file.
    gene_ids
        Genes that are kept.
    """
    counted = ", ".join(f"'{name}' ({one.n_cells:,} cells)" for name, one in zip(names, files, strict=True))
    yield f"{len(files)} files, told apart by `obs['{column}']`: {counted}"
    lost = {name: one.n_genes - len(gene_ids) for name, one in zip(names, files, strict=True)}
    if any(lost.values()):
        told = ", ".join(f"{n:,} of '{name}'" for name, n in lost.items() if n)
        yield f"Genes that not every file measures are left out: {told}"
