"""What a plan costs, before it runs: counted from the sizes of a model, so that nothing is loaded to say it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from perturbloop.data.tokens import Tokens
from perturbloop.models.spec import Shape
from perturbloop.store.files import read_json

PASSES_PER_SCREEN: Mapping[str, float] = {"delete": 12.0, "overexpress": 100.0}
"""Passes that cost as much as the screen of one cell: states times a forward and two backward passes, roughly."""
RANDOM_SHARE = 0.02
"""Share of all edits that the fast engine verifies at random."""


@dataclass(frozen=True)
class Cost:
    """Passes, arithmetic, memory and, where the machine's speed is known, time of a run."""

    passes: float
    """Encoded cells; a gradient at one state counts as four."""
    flops: float
    """Floating-point operations, a multiplication and an addition being two."""
    memory_bytes: float
    """Estimate of what a batch needs above the model."""
    seconds: float | None = None
    """Estimate from the speed of passes made on this machine; missing where none was measured."""

    def lines(self) -> list[str]:
        """Say it in words."""
        memory = f"{self.memory_bytes / 1e9:.2f} GB above the model"
        time = "" if self.seconds is None else f"about {duration(self.seconds)} on this machine, "
        return [f"{self.passes:,.0f} passes, {self.flops:.2g} FLOPs", f"{time}{memory}"]

    def to_dict(self) -> dict[str, float | None]:
        """Plain dictionary, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Footprint:
    """What reading cells takes."""

    flops_n: Float[np.ndarray, " n"]
    """Floating-point operations of reading each cell once."""
    memory_bytes: float
    """Bytes of a batch above the model."""


def flops_per_pass(shape: Shape, length: int) -> float:
    """Floating-point operations of encoding one cell: products of weights and attention, the first layer to the last that is read.

    >>> shape = Shape(layers=6, dim=256, heads=4, intermediate=512, positions=2048)
    >>> round(flops_per_pass(shape, 2048) / 1e9, 1)
    38.7
    """
    dim, wide = shape.dim, shape.intermediate
    return float(shape.layers * (2 * length * (4 * dim * dim + 2 * dim * wide) + 4 * length**2 * dim))


def encoder_footprint(shape: Shape, tokens: Tokens, *, batch_tokens: int) -> Footprint:
    """What an encoder takes to read cells.

    Parameters
    ----------
    shape
        Sizes of the encoder.
    tokens
        Encoded cells.
    batch_tokens
        Tokens in a batch.

    Returns
    -------
    Floating-point operations of one pass of each cell, and bytes of a batch above the model.
    """
    flops_n = np.array([flops_per_pass(shape, int(length)) for length in tokens.length_n])
    longest = int(tokens.length_n.max(initial=1))
    per_token = 4 * (
        8 * shape.dim + 2 * shape.intermediate
    )  # residual, queries, keys, values, context, feed-forward
    return Footprint(flops_n, float(max(batch_tokens, longest) * per_token))


def counts_footprint(n_genes_n: Float[np.ndarray, " n"]) -> Footprint:
    """What the counts engine takes: about eight operations for each expressed gene of a cell, and a few copies of one cell."""
    return Footprint(8.0 * n_genes_n, float(64 * n_genes_n.max(initial=1)))


def passes_of(edits: pd.DataFrame, n_cells: int, *, fast: bool = False) -> Float[np.ndarray, " n"]:
    """Passes that the edits of a plan take, cell by cell.

    Parameters
    ----------
    edits
        Edits of a `Plan`.
    n_cells
        Cells of the plan's tokens.
    fast
        Count the fast engine's screen and its random check, and not what they will ask for; else every edit is a pass.

    Returns
    -------
    One value per cell.
    """
    edits_n = np.bincount(edits["cell"].to_numpy(int), minlength=n_cells).astype(float)
    if not fast:
        return edits_n
    screened = edits[["cell", "kind"]].drop_duplicates()
    passes = screened["kind"].map(lambda kind: PASSES_PER_SCREEN.get(kind, 0.0)).to_numpy(float)
    screen_n = np.bincount(screened["cell"].to_numpy(int), passes, minlength=n_cells)
    return screen_n + RANDOM_SHARE * edits_n


def cost(
    footprint: Footprint,
    passes_n: Float[np.ndarray, " n"],
    *,
    seconds_per_flop: float | None = None,
) -> Cost:
    """Add up the cost of reading each cell so many times.

    Parameters
    ----------
    footprint
        What reading each cell once takes: `encoder_footprint` or `counts_footprint`, or that of an engine.
    passes_n
        Passes of each cell.
    seconds_per_flop
        Speed of this machine, as `probe.seconds_per_flop` measures it; without it no time is told.

    Returns
    -------
    Passes, floating-point operations, memory and time.
    """
    flops = float((footprint.flops_n * passes_n).sum())
    seconds = None if seconds_per_flop is None else flops * seconds_per_flop
    return Cost(float(passes_n.sum()), flops, footprint.memory_bytes, seconds)


def cost_of_edits(
    edits: pd.DataFrame,
    tokens: Tokens,
    shape: Shape | None,
    counts_ng: sparse.csr_matrix | None,
    *,
    batch_tokens: int,
    fast: bool,
    rate: Path,
) -> Cost:
    """Cost of a plan's edits before a model is loaded.

    Parameters
    ----------
    edits
        Edits of a `Plan`.
    tokens
        Encoded cells.
    shape
        Sizes of the encoder; `None` for a model of counts.
    counts_ng
        Counts of the same cells, for a model of counts.
    batch_tokens
        Tokens in a batch.
    fast
        Whether the fast engine makes them.
    rate
        File that says how fast this machine edits; where there is none, no time is told.
    """
    if shape is not None:
        footprint = encoder_footprint(shape, tokens, batch_tokens=batch_tokens)
    else:
        footprint = counts_footprint(np.diff(cast("sparse.csr_matrix", counts_ng).indptr).astype(float))
    per_flop = read_json(rate)["seconds_per_flop"] if rate.is_file() else None
    return cost(footprint, passes_of(edits, tokens.n_cells, fast=fast), seconds_per_flop=per_flop)


def rate_path(shifts: Path, *, linear: bool) -> Path:
    """Where a campaign keeps how fast this machine edits: beside its shifts."""
    return shifts / f"rate-{'linear' if linear else 'encoder'}.json"


def duration(seconds: float) -> str:
    """Time in words.

    >>> duration(42), duration(600), duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def how_long(cost: Cost) -> str:
    """Say it first where edits take minutes."""
    return f" (about {duration(cost.seconds)})" if cost.seconds is not None and cost.seconds > 60 else ""
