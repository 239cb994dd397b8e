"""The published tool's own shifts, read from the shared data: every run, cell, edit and state."""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from perturbloop.compat.shifts import shifts_by_state
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.geneformer import Geneformer, load_geneformer

pytestmark = [pytest.mark.shared_data, pytest.mark.long]
VERSIONS = {"v1": "geneformer-v1", "v2": "geneformer-v2"}
TOLERANCE = {"cell": 1e-6, "cls": 3e-6}


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    return Path(os.environ.get("PERTURBLOOP_GOLDEN", shared / "golden"))


@cache
def vocabulary(dictionaries: Path, version: str) -> Vocabulary:
    return Vocabulary.published(dictionaries, version=VERSIONS[version])


@cache
def model(dictionaries: Path, checkpoint: Path, version: str, pooling: str, emb_layer: int) -> Geneformer:
    found = load_geneformer(checkpoint, vocabulary=dictionaries, emb_layer=emb_layer, pooling=pooling)
    assert found.vocabulary.version == VERSIONS[version]
    return found


def cells_of(golden: Path, version: str, dataset: str, state: str | None = None) -> tuple[Tokens, np.ndarray]:
    cells = (
        pd.read_parquet(golden / version / "cells.parquet").query("dataset == @dataset").sort_values("row")
    )
    if state is not None:
        cells = cells.query("state == @state")
    tokens = Tokens.of_rows(list(cells["input_ids"]), has_cls=version == "v2" and "nospecial" not in dataset)
    return tokens, cells["cell_id"].to_numpy()


@pytest.mark.parametrize("version", VERSIONS)
def test_per_cell_shifts_equal_the_published_tools(golden, shared, version):
    folder = golden / version
    shifts = pd.read_parquet(folder / "shifts.parquet")
    states = pd.read_parquet(folder / "state_embs.parquet")
    lists = json.loads((folder / "gene_lists.json").read_text())
    runs = pd.read_parquet(folder / "runs.parquet")
    assert len(runs)
    for run in runs.itertuples():
        pooling = "cls" if run.emb_mode == "cls" else "mean"
        checkpoint = folder / "checkpoints" / run.dataset.split("_")[0]
        encoder = model(shared / "geneformer", checkpoint, version, pooling, int(run.emb_layer))
        tokens, names = cells_of(golden, version, run.dataset, "control" if run.with_states else None)
        rows = states.query(
            "dataset == @run.dataset and emb_mode == @run.emb_mode and emb_layer == @run.emb_layer"
        )
        vectors = dict(zip(rows["state"], map(np.asarray, rows["embedding"]), strict=True))
        genes = (
            None if run.genes == "all" else lists[run.dataset][f"{run.perturb_type}_{run.genes}"]["tokens"]
        )
        ours = shifts_by_state(
            encoder,
            tokens,
            kind=run.perturb_type,
            states=vectors if run.with_states else None,
            genes=genes,
            compat="geneformer",
            max_cells=None if run.max_ncells < 0 else int(run.max_ncells),
        )
        ours["cell_id"] = names[ours["cell"]]
        theirs = shifts.query("run_id == @run.run_id")
        joined = theirs.merge(
            ours, on=["cell_id", "position", "state"], how="outer", suffixes=("_theirs", "")
        )
        assert len(joined) == len(theirs) == len(ours), run.run_id
        assert np.isfinite(joined[["shift", "shift_theirs"]]).all(axis=None), run.run_id
        worst = (joined["shift"] - joined["shift_theirs"]).abs().max()
        assert worst <= TOLERANCE[run.emb_mode], (run.run_id, worst)
        order = ours["cell_id"].drop_duplicates().tolist()
        assert order == [name for name in run.cell_order if name in set(order)], run.run_id
