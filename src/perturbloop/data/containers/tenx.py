"""Matrices of Cell Ranger and STARsolo: `filtered_feature_bc_matrix.h5`, or the folder of that name; genes only.

Other kinds of features (guides, antibodies, hashtags) and genes of another species are left out, and counted.
"""

import gzip
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from pandas.io.parsers import TextFileReader
from scipy import io, sparse

from perturbloop.data.containers.base import Contents, Place, texts
from perturbloop.data.containers.spilled import Entries, Spilled
from perturbloop.data.containers.stored import MOST_TURNED, Columns, StoredSparse
from perturbloop.errors import InputError, some

GENES = "Gene Expression"
"""Kind of the features that are genes."""
_HUMAN = re.compile(r"(GRCh3\d|hg\d+|T2T|CHM13|human|Homo)", re.I)
_LINES = 2_000_000
"""Lines of a matrix in text that are read in one go."""
_MATRIX = re.compile(r"(?P<before>.*?)matrix\.mtx(\.gz)?$")


def is_tenx_h5(file: h5py.File) -> bool:
    """Whether an HDF5 file is a matrix of Cell Ranger, version 2 or 3."""
    return "matrix/features" in file or bool(_genomes(file))


def is_matrix(path: Path) -> bool:
    """Whether a file is the matrix of a 10x folder, by its name."""
    return bool(_MATRIX.fullmatch(path.name))


def matrices(folder: Path) -> list[Path]:
    """Matrices in the files of a folder: one in a folder of Cell Ranger, one a sample in some deposits."""
    return sorted(filter(is_matrix, folder.iterdir()))


def read_tenx_h5(path: Path) -> Contents:
    """Read the h5 matrix of Cell Ranger 3 and later, or of Cell Ranger 2 with one group per genome.

    Parameters
    ----------
    path
        The file.
    """
    file = h5py.File(path, "r")
    try:
        return replace(_of_h5(file, path.name), close=file.close)
    except BaseException:
        file.close()
        raise


def _of_h5(file: h5py.File, source: str) -> Contents:
    if "matrix/features" in file:
        group = file["matrix"]
        features = {name: texts(group["features"][name][...]) for name in ("id", "name", "feature_type")}
        genome = texts(group["features"]["genome"][...]) if "genome" in group["features"] else ""
        table = pd.DataFrame(features).assign(genome=genome)
        return _contents(_counts(group), table, texts(group["barcodes"][...]), source)
    groups = [file[name] for name in _genomes(file)]
    table = pd.concat([_genes_of(group) for group in groups], ignore_index=True)
    counts = [_counts(group) for group in groups]
    whole = sparse.hstack([one.to_memory() for one in counts], format="csr") if len(counts) > 1 else counts[0]
    return _contents(whole, table, texts(groups[0]["barcodes"][...]), source)


def read_tenx_folder(path: Path) -> Contents:
    """Read the matrix, features and barcodes of a folder, gzipped or plain.

    Parameters
    ----------
    path
        The folder, or its file `matrix.mtx` where the folder holds several samples.
    """
    found = [path] if path.is_file() else matrices(path)
    if len(found) > 1:
        msg = (
            f"A folder is one sample; `{path.name}` holds {len(found)} matrices: {some(file.name for file in found)}. Name the "
            "matrices themselves, as many as belong together: `--cells A_matrix.mtx.gz B_matrix.mtx.gz`."
        )
        raise InputError(msg)
    matrix = found[0]
    before = str(_MATRIX.fullmatch(matrix.name)["before"])  # type: ignore[index]
    features = _beside(matrix, before, ("features.tsv", "genes.tsv"))
    barcodes = _beside(matrix, before, ("barcodes.tsv",))
    table = _table(features)
    names = _table(barcodes)[0].astype(str).to_numpy(object)
    source = path.name
    shape = io.mminfo(matrix)[:2]
    if shape != (len(table), len(names)):
        msg = (
            f"The three files of `{source}` must belong together; {matrix.name} holds {shape[0]:,} × {shape[1]:,} values, "
            f"{features.name} {len(table):,} features and {barcodes.name} {len(names):,} barcodes. Copy all three again."
        )
        raise InputError(msg)
    kinds = table[2] if table.shape[1] > 2 else pd.Series(GENES, index=table.index)
    named = {"id": table[0], "name": table[min(1, table.shape[1] - 1)], "feature_type": kinds, "genome": ""}
    return _contents(_of_text(matrix), pd.DataFrame(named), names, source)


def _of_text(path: Path) -> sparse.csr_matrix | Spilled:
    """Values of a matrix in text, barcodes × features; many are laid out on the disk rather than held in memory."""
    n_features, n_barcodes, n_values, form, kind, symmetry = io.mminfo(path)
    if (
        n_values <= MOST_TURNED
        or (form, symmetry) != ("coordinate", "general")
        or kind not in ("integer", "real")
    ):
        return sparse.csr_matrix(io.mmread(path).T)
    lines = pd.read_csv(
        path, sep=r"\s+", comment="%", header=None, names=("feature", "barcode", "value"), chunksize=_LINES
    )
    return Spilled((n_barcodes, n_features), n_values, _entries(lines, n_values))


def _entries(lines: TextFileReader, n_values: int) -> Entries:
    """Values of a matrix in text, whose first line tells its size."""
    n_lines = 0
    with lines:
        for place, part in enumerate(lines):
            kept = part.iloc[0 if place else 1 :]
            n_lines += len(kept)
            if kept.isna().to_numpy().any() or n_lines > n_values:
                msg = f"a line is cut, or there are more than the {n_values:,} that its first line tells of"
                raise ValueError(msg)
            cell_e, gene_e = (kept[name].to_numpy(int) - 1 for name in ("barcode", "feature"))
            yield cell_e, gene_e, kept["value"].to_numpy(float)
    if n_lines < n_values:
        msg = f"it holds {n_lines:,} values, and its first line tells of {n_values:,}"
        raise ValueError(msg)


def _contents(counts: Any, features: pd.DataFrame, barcodes: np.ndarray, source: str) -> Contents:
    """Keep the genes of one species; cells are known by their barcode alone."""
    notes: list[str] = []
    is_gene = (features["feature_type"] == GENES).to_numpy()
    kinds = features.loc[~is_gene, "feature_type"].value_counts()
    notes += [f"{n:,} features of kind '{kind}' left out" for kind, n in kinds.items()]
    if not is_gene.any():
        msg = (
            f"{source} must hold features of kind '{GENES}'; it holds {some(kinds.index)} only. Give the matrix of gene "
            "expression of the same cells."
        )
        raise InputError(msg)
    genome = _genome_of(features)
    human = _human(genome[is_gene])
    kept = is_gene & np.isin(genome, list(human))
    others = pd.Series(genome[is_gene & ~kept]).value_counts()
    notes += [f"{n:,} genes of '{name}' left out" for name, n in others.items()]
    obs = pd.DataFrame(index=pd.Index(barcodes.astype(str)))
    if len(others):
        obs["genome"] = _mostly(counts, genome, is_gene)
        notes.append("`obs['genome']` says where most counts of a cell lie")
    var = features[kept].reset_index(drop=True)
    prefix = f"^(?:{'|'.join(map(re.escape, human))})_+" if any(human) else "^$"
    ids, names = (var[name].str.replace(prefix, "", regex=True) for name in ("id", "name"))
    table = pd.DataFrame({"gene_ids": ids.to_numpy(), "gene_name": names.to_numpy()}, index=ids.to_numpy())
    warnings = (_EMPTY.format(source=source),) if source.startswith("raw_") else ()
    matrix = counts if kept.all() else Columns(counts, kept)
    return Contents(obs, (Place("X", table, matrix, source, "a 10x matrix"),), tuple(notes), warnings)


_EMPTY = "{source} holds every barcode, most of them empty droplets; take `filtered_feature_bc_matrix`, which lies beside it."


def _genome_of(features: pd.DataFrame) -> np.ndarray:
    """Genome of each feature: as it is said, or as the prefix of its id says; '' where there is one only."""
    said = features["genome"].astype(str)
    if len(set(said)) > 1:
        return said.to_numpy()
    prefix = features["id"].astype(str).str.extract(r"^(GRCh\w+?|GRCm\w+?|hg\d+|mm\d+)_+", expand=False)
    return prefix.fillna("").to_numpy() if prefix.notna().any() else np.full(len(features), "")


def _mostly(counts: Any, genome: np.ndarray, is_gene: np.ndarray) -> np.ndarray:
    """Genome in which most counts of a cell lie."""
    names = sorted(set(genome[is_gene]))
    totals = [np.ravel(Columns(counts, is_gene & (genome == name)).to_memory().sum(axis=1)) for name in names]
    return np.array(names, dtype=object)[np.argmax(np.column_stack(totals), axis=1)]


def _human(genomes: np.ndarray) -> tuple[str, ...]:
    """Names of the human genome among these; the only one, whatever it is called, where there is one."""
    names = sorted({str(name) for name in genomes})
    return tuple(names) if len(names) == 1 else tuple(filter(_HUMAN.match, names)) or tuple(names)


def _genomes(file: h5py.File) -> list[str]:
    """Groups of a file of Cell Ranger 2, one per genome."""
    return [name for name in file if isinstance(file[name], h5py.Group) and "gene_names" in file[name]]


def _genes_of(group: Any) -> pd.DataFrame:
    ids, names = texts(group["genes"][...]), texts(group["gene_names"][...])
    genome = group.name.strip("/")
    return pd.DataFrame({"id": ids, "name": names, "feature_type": GENES, "genome": genome})


def _counts(group: Any) -> StoredSparse:
    """Columns of features × barcodes are rows of barcodes × features."""
    n_features, n_barcodes = (int(n) for n in group["shape"][...])
    return StoredSparse(group, (n_barcodes, n_features))


def _beside(matrix: Path, before: str, names: tuple[str, ...]) -> Path:
    """Return the file that belongs to a matrix, gzipped or plain."""
    tried = [matrix.with_name(f"{before}{name}{end}") for name in names for end in (".gz", "")]
    for place in tried:
        if place.is_file():
            return place
    there = sorted(file.name for file in matrix.parent.iterdir())
    msg = (
        f"A 10x folder holds `matrix.mtx`, `features.tsv` (or `genes.tsv`) and `barcodes.tsv`, gzipped or plain; beside {matrix.name} "
        f"there is no `{tried[1].name}`: {some(there)}. Copy it there."
    )
    raise InputError(msg)


def _table(path: Path) -> pd.DataFrame:
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return pd.DataFrame([line.rstrip("\r\n").split("\t") for line in file if line.strip()])
