"""Where in a file its raw counts lie: the one place that holds whole numbers, or the one that was named."""

import re
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import sparse

from perturbloop.data.containers import Place
from perturbloop.data.counts import MEANING, Kind, count_matrix, kind_of
from perturbloop.errors import InputError, some

_NAMED = re.compile(r"(^|[_. -])(raw|counts?|umis?|molecules)($|[_. -])", re.I)
"""Names of layers of counts."""
_PARTS = ("layers/spliced", "layers/unspliced")
"""Layers of RNA velocity: each holds a part of the counts."""
_BLOCKS, _ROWS = 4, 128
"""Blocks of rows that are looked at, spread over the file, and rows of each."""


def counts_place(places: Sequence[Place], asked: str | None, source: str, *, rounds: bool) -> Place:
    """Say which matrix holds the raw counts.

    Parameters
    ----------
    places
        All of a file; `X` first.
    asked
        The one that was named; `None` = the one that holds whole numbers.
    source
        What messages call the file.
    rounds
        Whether fractions of molecules will be rounded, so that they may be chosen.

    Raises
    ------
    InputError
        If there is none of that name, if several hold different whole numbers, or parts of the counts only.
    """
    if not places:
        msg = f"{source} must hold counts; it holds no matrix at all. Give another file."
        raise InputError(msg)
    if asked is not None:
        return _named(places, asked, source)
    samples = {place.name: looked(place) for place in places}
    held = {name: kind_of(sample) for name, sample in samples.items()}
    usual = [place for place in places if place.name in ("X", "raw") or _NAMED.search(place.name[7:])]
    others = [place for place in places if place not in usual and place.name not in _PARTS]
    wanted: tuple[Kind, ...] = ("counts", "fractions") if rounds else ("counts",)
    for kind in wanted:
        for group in (usual, others):
            found = [place for place in group if held[place.name] == kind]
            if found:
                _refuse_different(found, samples, source)
                return found[0]
    _refuse_parts(held, source)
    return places[0]  # whose values are then refused, one by one


def held_line(places: Sequence[Place]) -> str:
    """Say what each place of a file holds, as a sentence; empty where there is only one.

    Parameters
    ----------
    places
        All of a file.
    """
    if len(places) < 2:
        return ""
    held = ", ".join(f"{place.shown} {MEANING[kind_of(looked(place))]}" for place in places)
    return f"The file holds: {held}. "


def _named(places: Sequence[Place], asked: str, source: str) -> Place:
    found = next((place for place in places if place.name == asked), None)
    if found is None:
        known = [place.name for place in places]
        msg = f"`--counts` names where the counts lie; {source} has {some(known, limit=12)}, and {asked!r} came. Name one of them."
        raise InputError(msg)
    return found


def looked(place: Place) -> sparse.csr_matrix:
    """Some rows, in blocks spread over the file."""
    n_cells = place.shape[0]
    starts = sorted({int(start) for start in np.linspace(0, max(n_cells - _ROWS, 0), _BLOCKS)})
    stops = [
        min(start + _ROWS, following) for start, following in zip(starts, [*starts[1:], n_cells], strict=True)
    ]
    blocks = [
        count_matrix(place.rows(start, stop), place.source, place.shown)
        for start, stop in zip(starts, stops, strict=True)
    ]
    return sparse.vstack(blocks, format="csr")


def _refuse_different(found: list[Place], looked: dict[str, sparse.csr_matrix], source: str) -> None:
    pairs = combinations(found, 2)
    different = next(
        (pair for pair in pairs if not _same(*pair, looked[pair[0].name], looked[pair[1].name])), None
    )
    if different is None:
        return
    told = ", ".join(f"{one.shown} ({one.shape[1]:,} genes)" for one in found)
    choice = " or ".join(f"`--counts {one.name}`" for one in found)
    msg = (
        f"Raw counts lie in one place; {source} holds different whole numbers in {told}. Say which are the raw counts of all genes: "
        f"{choice} (`counts` in `campaign.toml`)."
    )
    raise InputError(msg)


def _same(one: Place, other: Place, first: sparse.csr_matrix, second: sparse.csr_matrix) -> bool:
    """Whether two places hold the same genes and, where they were looked at, the same values."""
    if first.shape != second.shape or not pd.Index(one.var.index).equals(other.var.index):
        return False
    return bool((first - second).count_nonzero() == 0)


def _refuse_parts(held: dict[str, Kind], source: str) -> None:
    if any(held.get(name) != "counts" for name in _PARTS):
        return
    msg = (
        f"{source} holds spliced and unspliced counts only; each is a part of the counts of a gene. Take the spliced ones, as references "
        "without introns count, with `--counts layers/spliced`, or add them up: "
        "`adata.layers['counts'] = adata.layers['spliced'] + adata.layers['unspliced']`."
    )
    raise InputError(msg)
