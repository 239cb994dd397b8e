"""Run a plan in shards that survive a kill, and join them; gaps are refused by name."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from perturbloop.data.tokens import Tokens
from perturbloop.errors import StoreError, some
from perturbloop.models.base import CellModel
from perturbloop.perturb.exact import exact_shifts
from perturbloop.perturb.plan import Plan
from perturbloop.perturb.readout import Readout

SHARD_EDITS = 1000


def run_plan(
    model: CellModel,
    readout: Readout,
    tokens: Tokens,
    plan: Plan,
    folder: Path,
    *,
    batch_tokens: int = 16384,
    on_edits: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Score every edit of a plan; finished shards are read, not computed again.

    Parameters
    ----------
    model, readout, tokens, plan
        What is edited, and how a shift is read.
    folder
        Holds this plan's shards and nothing else; name it by the hashes of model, readout, cells and plan.
    batch_tokens
        Tokens in a batch of the engine.
    on_edits
        Called with edits done and edits in all.

    Returns
    -------
    Table `SHIFTS`, in the order of the plan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = 0
    for number, edits in enumerate(plan.shards(SHARD_EDITS)):
        path = shard_path(folder, number)
        if not path.is_file():
            frame = exact_shifts(model, readout, tokens, edits, batch_tokens=batch_tokens)
            write_parquet(frame, path)
        done += len(edits)
        if on_edits is not None:
            on_edits(done, len(plan.edits))
    return collect(plan, folder, model)


def collect(plan: Plan, folder: Path, model: CellModel) -> pd.DataFrame:
    """Join the shards of a plan and check that every edit is there.

    Raises
    ------
    StoreError
        If a shard is missing or damaged; the message names the genes and what to do.
    """
    frames = []
    for number, edits in enumerate(plan.shards(SHARD_EDITS)):
        path = shard_path(folder, number)
        genes = [model.vocabulary.gene_of_token[token] for token in edits["token"].unique()]
        todo = f"Delete `{path.name}` in `{folder}` and run `perturb` again; the other shards are kept."
        try:
            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            msg = f"Shard `{path.name}` is needed for {some(genes)}; it cannot be read ({type(error).__name__}). {todo}"
            raise StoreError(msg) from None
        if len(frame) != len(edits) or not np.array_equal(frame["cell"], edits["cell"]):
            msg = f"Shard `{path.name}` must hold {len(edits):,} edits of {some(genes)}; it holds others. {todo}"
            raise StoreError(msg)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def shard_path(folder: Path, number: int) -> Path:
    """Return where a shard lies."""
    return folder / f"part-{number:05d}.parquet"


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write beside and rename, so that a file is whole or not there."""
    beside = path.with_suffix(f".{os.getpid()}.partial")
    frame.to_parquet(beside, index=False)
    beside.replace(path)
