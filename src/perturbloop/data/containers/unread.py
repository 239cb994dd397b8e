"""Files that are known and not read: what they are, and the lines that make an h5ad file of them."""

from pathlib import Path

import h5py

_R = "in R, with Seurat and zellkonverter"
_SEURAT = (
    'sce <- Seurat::as.SingleCellExperiment({read}("{name}"))',
    'zellkonverter::writeH5AD(sce, "{stem}.h5ad", X_name = "counts")',
)
_PANDAS = ("import anndata, pandas", 'anndata.AnnData(pandas.{read}).write_h5ad("{stem}.h5ad")')
_TABLE = "in Python; with `.T` before `.write_h5ad` where genes are rows"
KNOWN: dict[str, tuple[str, str, tuple[str, ...]]] = {
    ".rds": ("an object of R (Seurat, SingleCellExperiment)", _R, _SEURAT),
    ".qs": ("an object of R (qs)", _R, _SEURAT),
    ".h5seurat": ("a Seurat file", f"{_R}, and SeuratDisk", _SEURAT),
    ".rdata": ("a workspace of R", _R, ('load("{name}"); ls()', _SEURAT[1])),
    ".h5mu": (
        "a MuData file",
        "in Python, with mudata",
        ("import mudata", 'mudata.read_h5mu("{name}").mod["rna"].write_h5ad("{stem}.h5ad")'),
    ),
    ".xlsx": ("an Excel sheet", f"{_TABLE}, with openpyxl", _PANDAS),
    ".csv": ("a text table", _TABLE, _PANDAS),
    ".tsv": ("a text table", _TABLE, _PANDAS),
    ".txt": ("a text table", _TABLE, _PANDAS),
    ".parquet": ("a Parquet table", _TABLE, _PANDAS),
    ".h5ad.gz": ("a gzipped h5ad file", "in a terminal", ("gunzip {name}",)),
    ".tar": ("an archive", "in a terminal", ("tar -xf {name}",)),
    ".tar.gz": ("an archive", "in a terminal", ("tar -xf {name}",)),
    ".zip": ("an archive", "in a terminal", ("unzip {name}",)),
}
"""End of the name: what the file is, where the lines are typed, and the lines."""
_READERS = {
    ".rds": "readRDS",
    ".qs": "qs::qread",
    ".h5seurat": "SeuratDisk::LoadH5Seurat",
    ".xlsx": 'read_excel("{name}", index_col=0)',
    ".csv": 'read_csv("{name}", index_col=0)',
    ".tsv": 'read_csv("{name}", sep="\\t", index_col=0)',
    ".txt": 'read_csv("{name}", sep="\\t", index_col=0)',
    ".parquet": 'read_parquet("{name}")',
}


def sentence(path: Path) -> str | None:
    """Say what a file is that is known and not read, and how an h5ad file is made of it; `None` where it is not known.

    Parameters
    ----------
    path
        The file.

    Examples
    --------
    >>> print(sentence(Path("cells.rds")))
    cells.rds is an object of R (Seurat, SingleCellExperiment), which perturbloop does not read. Make an h5ad file of it, in R, with
    Seurat and zellkonverter:
      sce <- Seurat::as.SingleCellExperiment(readRDS("cells.rds"))
      zellkonverter::writeH5AD(sce, "cells.h5ad", X_name = "counts")
    """
    lower = path.name.lower()
    end = max((end for end in KNOWN if lower.endswith((end, f"{end}.gz"))), key=len, default=None)
    if end is None:
        return None
    what, where, lines = KNOWN[end]
    stem = path.name[: lower.rindex(end)]
    read = _READERS.get(end, "").format(name=path.name)
    made = [f"  {line.format(name=path.name, stem=stem, read=read)}" for line in lines]
    todo = f"Make an h5ad file of it, {where}:" if len(made) > 1 else f"Unpack it, {where}:"
    return "\n".join([f"{path.name} is {what}, which perturbloop does not read. {todo}", *made])


def hdf5_sentence(file: h5py.File, name: str) -> str:
    """Say what an HDF5 file is that holds no cells as we know them.

    Parameters
    ----------
    file, name
        The opened file, and what messages call it.
    """
    if "mod" in file:
        return str(sentence(Path(name).with_suffix(".h5mu"))).replace(Path(name).stem + ".h5mu", name)
    if "barcode_idx" in file:
        return (
            f"{name} is Cell Ranger's list of molecules, not of counts per cell. Give `filtered_feature_bc_matrix.h5`, which lies "
            "beside it."
        )
    return (
        f"{name} must be an h5ad file, a loom file or a matrix of Cell Ranger; it is an HDF5 file that holds "
        f"{', '.join(f'`{key}`' for key in list(file)[:5]) or 'nothing'}. Give an AnnData file (h5ad) with raw counts."
    )
