"""The published tool's raw shifts: every `*_raw.pickle` of one run, in the order in which it processed the cells."""

import re
from array import array
from fnmatch import fnmatchcase
from glob import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.compat.pickles import read_numbers
from perturbloop.errors import InputError, some

SUFFIX = "_raw.pickle"
NO_STATE = "(none)"
_EVERY_GENE = re.compile(r"(?P<head>.+_dict_cell_embs_)(?P<cell>1K|\d+)batch(?P<batch>-?\d+)_raw\.pickle")
_SET = re.compile(r"(?P<head>.+_cell_embs_dict_)\[(?P<tokens>.+)\]_raw\.pickle")
_TOKEN = re.compile(r"(?:np\.u?int\d+\()?(\d+)\)?")


def read_raw_shifts(folder: Path | str, *, pattern: str | None = None) -> pd.DataFrame:
    """Read each cell's shift for each gene from the raw files of one run of the published tool.

    A positive shift moves the cell toward the state. Runs without states hold cosine similarities, 1 = no effect.

    Parameters
    ----------
    folder
        Folder of the `*_raw.pickle` files. Those of genes (`…gene_embs…`) hold no shifts of cells and are left out.
    pattern
        File names to read, with `*` for any text, where the folder holds more than one run.

    Returns
    -------
    One row per state, gene and cell. `state`: 'stimulated', or '(none)' for a run without states. `token`: 14170, or
    -1 for a set of genes edited together. `tokens`: the same as text, '14170' or '14170,695'. `place`: 0, 1, … within
    state and gene, in the order in which the tool processed the cells that express the gene. `shift`: -0.0012, unitless.

    Raises
    ------
    InputError
        If there are no such files, files of more than one run, or files that ask for code.

    Notes
    -----
    The files name no cells: `place` is all there is. A name says type, prefix and mode of its run. The published tool
    reads whatever lies in the folder; two runs of one name overwrite each other, and nothing can tell afterwards.
    """
    folder = Path(folder)
    values: dict[tuple[str, tuple[int, ...]], array[float]] = {}
    levels: dict[frozenset[str], str] = {}
    for path in _one_run(folder, pattern):
        by_state = _by_state(path)
        if by_state:
            levels.setdefault(frozenset(by_state), path.name)
        for state, genes in by_state.items():
            for (token, affected), shifts in genes.items():
                if affected == "cell_emb" and shifts:
                    _extend(values.setdefault((state, _tokens(token)), array("d")), shifts, path)
    if len(levels) > 1:
        shown = "; ".join(f"`{name}`: {some(sorted(states))}" for states, name in levels.items())
        msg = f"The files of a run must name the same states; these differ: {shown}. Move the files of other runs away."
        raise InputError(msg)
    if not values:
        msg = f"The raw files in `{folder}` must hold shifts of cells; all of them are empty. Run the tool again."
        raise InputError(msg)
    size = [len(shifts) for shifts in values.values()]
    tokens = [genes for _, genes in values]
    return pd.DataFrame(
        {
            "state": np.repeat(np.array([state for state, _ in values], dtype=object), size),
            "token": np.repeat([genes[0] if len(genes) == 1 else -1 for genes in tokens], size),
            "tokens": np.repeat(
                np.array([",".join(map(str, genes)) for genes in tokens], dtype=object), size
            ),
            "place": np.concatenate([np.arange(count) for count in size]),
            "shift": np.concatenate([np.asarray(shifts) for shifts in values.values()]),
        }
    )


def _one_run(folder: Path, pattern: str | None) -> list[Path]:
    """Return the files of the only run there is, in the order of its cells."""
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    selected = [path for path in paths if pattern is None or fnmatchcase(path.name, pattern)]
    runs: dict[str, list[tuple[tuple[int, ...], Path]]] = {}
    for path in selected:
        if "_gene_embs_" not in path.name:
            run, order = _run_and_order(path.name)
            runs.setdefault(run, []).append((order, path))
    if not runs:
        match = "" if pattern is None else f" that match {pattern!r}"
        msg = (
            f"Raw shifts are files `*{SUFFIX}` of cell embeddings; `{folder}` holds none{match}, but "
            f"{some(path.name for path in paths)}. Give the folder the tool wrote them into, or another `pattern`."
        )
        raise InputError(msg)
    if len(runs) > 1:
        msg = (
            f"The raw files of one run are needed; `{folder}` holds {len(runs)}: {some(runs)}. "
            "Name one of them as `pattern`."
        )
        raise InputError(msg)
    files = sorted(next(iter(runs.values())))
    twice = [after.name for (before, _), (order, after) in pairwise(files) if before == order]
    if twice:
        msg = f"A cell or set of genes must occur once in a run; these occur again: {some(twice)}. Move the old files away."
        raise InputError(msg)
    return [path for _, path in files]


def _run_and_order(name: str) -> tuple[str, tuple[int, ...]]:
    """Return what a file's run is called, as a pattern of its files, and the file's place in it."""
    if found := _EVERY_GENE.fullmatch(name):
        # The older form counts thousands of cells, and -1 is the first cell; the newer counts cells, and -1 is the first batch.
        older = found["cell"] == "1K"
        cell = 0 if older else int(found["cell"])
        files = "1Kbatch*" if older else "*[0-9]batch*"
        return f"{escape(found['head'])}{files}{SUFFIX}", (cell, int(found["batch"]))
    if found := _SET.fullmatch(name):
        return f"{escape(found['head'])}*{SUFFIX}", tuple(map(int, _TOKEN.findall(found["tokens"])))
    return escape(name), ()


def _by_state(path: Path) -> dict[str, dict[Any, Any]]:
    """Return state → gene → shifts, whether or not the file has the level of states."""
    found = read_numbers(path)
    with_states = all(isinstance(key, str) and isinstance(genes, dict) for key, genes in found.items())
    by_state: dict[str, dict[Any, Any]] = found if with_states else {NO_STATE: found}
    odd = [key for genes in by_state.values() for key in genes if not _is_gene(key)]
    if odd:
        msg = (
            f"`{path.name}` must hold shifts by state and gene; these keys are neither: {some(odd)}. "
            "Give the raw files of an in-silico perturbation."
        )
        raise InputError(msg)
    return by_state


def _is_gene(key: Any) -> bool:
    """Whether a key names what was edited and what was affected."""
    if not isinstance(key, tuple) or len(key) != 2:
        return False
    edited = key[0] if isinstance(key[0], tuple) else (key[0],)
    return all(isinstance(token, int | np.integer) for token in edited)


def _tokens(token: Any) -> tuple[int, ...]:
    return tuple(int(one) for one in token) if isinstance(token, tuple) else (int(token),)


def _extend(values: Any, shifts: Any, path: Path) -> None:
    """Append one gene's shifts, 8 bytes each: a run may hold tens of millions."""
    try:
        values.extend(shifts)
    except TypeError:
        msg = (
            f"`{path.name}` must hold one number per cell and gene; it holds something else. "
            "Files from before shifts were stored by state cannot be read; run the tool again."
        )
        raise InputError(msg) from None
