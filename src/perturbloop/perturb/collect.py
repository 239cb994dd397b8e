"""Run a plan in shards that survive a kill, and join them; gaps are refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch

from perturbloop.data.tokens import Tokens
from perturbloop.errors import StoreError, some
from perturbloop.models.cell_model import CellModel
from perturbloop.perturb.engine import Engine, OnRows
from perturbloop.perturb.plan import Plan
from perturbloop.perturb.shards import score_shards, shard_path
from perturbloop.perturb.workers import sharing
from perturbloop.schema import Precision
from perturbloop.store.files import own, read_table, write_first
from perturbloop.store.remote import shown

SHARD_EDITS = 1000
_PRECISIONS: dict[str, Precision] = {name: name for name in get_args(Precision)}
OnEdits = Callable[[int, int], None]


def run_plan(
    engine: Engine,
    tokens: Tokens,
    plan: Plan,
    folder: Path,
    *,
    on_edits: OnEdits | None = None,
) -> pd.DataFrame:
    """Score every edit of a plan; finished shards are read, not computed again; by several processes inside `shared_by`.

    Parameters
    ----------
    engine, tokens, plan
        What is edited, and how a shift is read.
    folder
        Holds this plan's shards and nothing else; name it by the hashes of model, readout, cells and plan.
    on_edits
        Called with edits done and edits in all.

    Returns
    -------
    Table `SHIFTS`, in the order of the plan.
    """
    done = 0

    def step(rows: int) -> None:
        nonlocal done
        done += rows
        if on_edits is not None:
            on_edits(done, len(plan.edits))

    score_shards(score_exactly, engine, tokens, plan, folder, shards_of(plan), on_rows=step)
    return collect(plan, folder, engine.model)


def shards_of(plan: Plan) -> dict[int, pd.DataFrame]:
    """Edits of each shard of a plan, by its number."""
    return dict(enumerate(plan.shards(SHARD_EDITS)))


def score_exactly(
    engine: Engine, tokens: Tokens, plan: Plan, edits: pd.DataFrame, *, on_rows: OnRows | None = None
) -> pd.DataFrame:
    """Score the edits of a shard, a `shards.Score`.

    Parameters
    ----------
    engine, tokens, plan
        Model and readout, encoded cells, what the edits mean.
    edits
        The shard's part of the plan.
    on_rows
        Called with edits done.
    """
    return engine.shifts(tokens, plan, edits=edits, on_rows=on_rows)


def collect(plan: Plan, folder: Path, model: CellModel) -> pd.DataFrame:
    """Join the shards of a plan and check that every edit is there.

    Parameters
    ----------
    plan
        All edits.
    folder
        Where the shards lie.
    model
        Names the genes of a shard that is missing.

    Returns
    -------
    Table `SHIFTS`, one row per edit in the order of the plan.

    Raises
    ------
    StoreError
        If a shard is missing or damaged; the message names the genes and what to do.
    """
    frames = []
    for number, edits in shards_of(plan).items():
        path = shard_path(folder, number)
        genes = [model.vocabulary.gene_of_token[token] for token in edits["token"].unique()]
        todo = f"It holds edits of {some(genes)}. Delete `{path}` and run the same command again; the other shards are kept."
        frame = read_table(path, todo=todo)
        if len(frame) != len(edits) or not np.array_equal(frame["cell"], edits["cell"]):
            msg = f"Shard `{path.name}` must hold {len(edits):,} edits; it holds others. {todo}"
            raise StoreError(msg)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def precision_of(folder: Path, asked: Precision | Literal["auto"], device: torch.device) -> Precision:
    """Precision of a run: what it was begun with, on whatever hardware it goes on; else what is asked for.

    Parameters
    ----------
    folder
        Folder of the run, which notes its precision; a new run's is written here, and where shards are shared through a store there.
    asked
        Precision of a new run. `auto` is mixed where the device multiplies bfloat16 faster than float32: a GPU, or a CPU with
        such units.
    device
        Where the model computes.

    Returns
    -------
    `float32` or `mixed`.

    Raises
    ------
    StoreError
        If the shards in the store are of another precision than those here.
    """
    note, store = folder / "run.json", sharing().store
    if not note.is_file():
        units = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        chosen: Precision = ("mixed" if units else "float32") if asked == "auto" else asked
        text = json.dumps({"precision": chosen}, indent=2)
        write_first(note, store.first(note, text) if store else text)
    with own(note):
        text = note.read_text()
        found = _PRECISIONS[json.loads(text)["precision"]]
    if store and store.first(note, text) != text:
        msg = (
            f"The shards of a run are of one precision; those in {shown(store.url)!r} are not {found}, as those of `{folder}` are. Delete that "
            "folder, or name another place with `--store`."
        )
        raise StoreError(msg)
    return found
