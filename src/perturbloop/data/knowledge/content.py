"""The compact file of a collection: labels of genes, names of columns, and one number of each gene and column.

A file is an archive of NumPy arrays (`.npz` without pickles) packed by xz. Dense numbers are stored as they are or as whole
numbers with a scale; of sparse ones the columns are lists of rows, each as its distance from the row before, in two planes of
bytes. The same content gives the same bytes.
"""

import io
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from perturbloop.store.files import own, whole


@dataclass(frozen=True, eq=False)
class Content:
    """What a collection holds, by the labels of its source."""

    labels: np.ndarray
    """Symbols or Ensembl ids, each once, dtype object; one per row."""
    columns: np.ndarray
    """Names of sets, dimensions or cell types, dtype object; those of the rows in a network."""
    value_gc: sparse.csc_matrix | np.ndarray
    """Genes × columns: 1 where a gene is in a set, weight of an edge (upper triangle), or any number; float32."""


def pack(path: Path, content: Content, *, scale: float = 0.0) -> None:
    """Write a file, whole or not at all.

    Parameters
    ----------
    path
        Where.
    content
        What it holds.
    scale
        Dense numbers that may be rounded to the next 1 / scale, from 0 to 255 / scale; 0 = as they are.
    """
    arrays: dict[str, np.ndarray] = {"labels": _bytes(content.labels)}
    value_gc = content.value_gc
    if isinstance(value_gc, np.ndarray):
        arrays |= {"columns": _bytes(content.columns), "scale": np.array(scale, dtype=np.float32)}
        arrays["dense"] = np.rint(value_gc.T * scale).astype(np.uint8) if scale else value_gc.T
    else:
        arrays |= _sparse(sparse.csc_matrix(value_gc))
        if content.columns is not content.labels:
            arrays["columns"] = _bytes(content.columns)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    with whole(path) as beside:
        beside.write_bytes(lzma.compress(file.getvalue(), preset=9))


def unpack(path: Path, *, todo: str = "") -> Content:
    """Read a file that `pack` wrote; a damaged one is refused in words.

    Parameters
    ----------
    path
        The file.
    todo
        What to do where it is damaged.
    """
    with (
        own(path, todo=todo),
        np.load(io.BytesIO(lzma.decompress(path.read_bytes())), allow_pickle=False) as file,
    ):
        arrays = {name: file[name] for name in file.files}
        labels = _texts(arrays["labels"])
        columns = _texts(arrays["columns"]) if "columns" in arrays else labels
        if "dense" in arrays:
            scale = float(arrays["scale"]) or 1.0
            return Content(labels, columns, np.ascontiguousarray(arrays["dense"].T, dtype=np.float32) / scale)
        return Content(labels, columns, _columns(arrays, len(labels)))


def _bytes(texts: np.ndarray) -> np.ndarray:
    return np.frombuffer("\n".join(texts).encode(), dtype=np.uint8)


def _texts(raw: np.ndarray) -> np.ndarray:
    return np.array(raw.tobytes().decode().split("\n") if len(raw) else [], dtype=object)


def _sparse(value_gc: sparse.csc_matrix) -> dict[str, np.ndarray]:
    value_gc.sort_indices()
    rows, first = value_gc.indices.astype(np.int64), value_gc.indptr[:-1]
    steps = np.diff(rows, prepend=0)
    first = first[np.diff(value_gc.indptr) > 0]
    steps[first] = rows[first]
    planes = {f"step{place}": (steps >> 8 * place).astype(np.uint8) for place in range(3)}
    sizes = {"sizes": np.diff(value_gc.indptr).astype(np.uint32)}
    weights = value_gc.data.astype(np.float32)
    return planes | sizes | ({} if (weights == 1).all() else {"weights": weights})


def _columns(arrays: dict[str, Any], n_genes: int) -> sparse.csc_matrix:
    steps = sum(arrays[f"step{place}"].astype(np.int64) << 8 * place for place in range(3))
    sizes = arrays["sizes"].astype(np.int64)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    run = np.cumsum(steps)
    before = np.where(indptr[:-1] > 0, run[np.maximum(indptr[:-1] - 1, 0)], 0) if len(run) else indptr[:-1]
    rows = run - np.repeat(before, sizes)
    weights = arrays.get("weights", np.ones(len(rows), dtype=np.float32))
    return sparse.csc_matrix((weights, rows, indptr), shape=(n_genes, len(sizes)))
