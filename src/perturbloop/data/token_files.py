"""Encoded cells on disk: those of cells that stay in their files are encoded once, and mapped into memory by every later run."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from perturbloop import progress
from perturbloop.data.cells import Cells
from perturbloop.data.encoding import ENCODING, encode_blocks, tokenize
from perturbloop.data.ragged import starts
from perturbloop.data.stored_counts import StoredCounts
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import PerturbloopError
from perturbloop.store.files import PARTIAL, file_digest, read_table, whole, write_table

_INDEX = "lengths.parquet"


def tokens_of(
    cells: Cells, vocabulary: Vocabulary, *, spare: int = 0, folder: Path | None = None, keeps: bool = False
) -> Tokens:
    """Encode cells as `tokenize` does; the tokens of cells that stay in their files go to a file as well.

    Parameters
    ----------
    cells, vocabulary, spare
        As of `tokenize`.
    folder
        Where such tokens are kept; `None` = nowhere.
    keeps
        Whether they may be written there; else what is not there yet goes to a file that vanishes with this run.
    """
    if not isinstance(cells.counts, StoredCounts):
        return tokenize(cells, vocabulary, spare=spare)
    place = folder / _key(cells, vocabulary, spare) if folder else None
    kept = _mapped(place, vocabulary) if place else None
    if kept is not None:
        return kept
    parts = _counted(cells, encode_blocks(cells, vocabulary, spare=spare))
    if place is None or not keeps:
        with tempfile.TemporaryFile() as file:
            return _tokens(file, _write(parts, file, vocabulary), vocabulary)
    with whole(place) as beside:
        beside.mkdir()
        with (beside / "tokens").open("wb") as file:
            index = _write(parts, file, vocabulary)
        (beside / "tokens").rename(beside / f"{file_digest(beside / 'tokens')}.bin")
        write_table(beside / _INDEX, index)
    for other in place.parent.iterdir():
        if other != place and other.suffix != PARTIAL:
            shutil.rmtree(other, ignore_errors=True)  # of other cells or another model
    return _tokens(_file(place), index, vocabulary)


def _key(cells: Cells, vocabulary: Vocabulary, spare: int) -> str:
    """Name of what is made of these cells."""
    hasher = hashlib.sha256(f"{ENCODING} {cells.digest} {vocabulary.digest} {spare}".encode())
    hasher.update("\n".join(cells.gene_ids).encode())
    for part in cells.counts.parts if isinstance(cells.counts, StoredCounts) else ():
        hasher.update(part.cells_n.astype(np.int64).tobytes())
    return hasher.hexdigest()[:16]


def _counted(cells: Cells, parts: Iterator[Tokens]) -> Iterator[Tokens]:
    """Show how far it is."""
    done = 0
    for part in parts:
        yield part
        done += part.n_cells
        progress.tell("encode cells", done, cells.n_cells)


def _write(parts: Iterator[Tokens], file: IO[bytes], vocabulary: Vocabulary) -> pd.DataFrame:
    """Write the tokens one cell after another; gives the lengths of the cells."""
    lengths = []
    for part in parts:
        file.write(part.flat_e.astype(_dtype(vocabulary)).tobytes())
        spare = {} if part.spare_n is None else {"spare": part.spare_n}
        lengths.append(pd.DataFrame({"length": part.length_n} | spare))
    file.flush()
    return pd.concat(lengths, ignore_index=True)


def _mapped(place: Path, vocabulary: Vocabulary) -> Tokens | None:
    """What an earlier run kept; `None` where there is nothing, or it is damaged."""
    try:
        file = _file(place)
        if file.stem == file_digest(file):
            return _tokens(file, read_table(place / _INDEX), vocabulary)
    except (OSError, StopIteration, PerturbloopError):
        pass
    return None


def _file(place: Path) -> Path:
    """File of the tokens; its name is the hash of what it holds."""
    return next(place.glob("*.bin"))


def _tokens(file: Path | IO[bytes], index: pd.DataFrame, vocabulary: Vocabulary) -> Tokens:
    length_n = index["length"].to_numpy(np.int32)
    spare_n = index["spare"].to_numpy(np.int32) if "spare" in index else None
    size_n = length_n if spare_n is None else length_n + spare_n
    kind = _dtype(vocabulary)
    flat_e = np.memmap(file, dtype=kind, mode="r") if size_n.any() else np.zeros(0, dtype=kind)
    return Tokens(flat_e, starts(size_n), length_n, vocabulary.has_cls, spare_n)


def _dtype(vocabulary: Vocabulary) -> str:
    return "<u2" if vocabulary.size <= 2**16 else "<i4"
