"""The published tool's own numbers, read from the shared data: every run, cell, edit and state."""

import os
from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from perturbloop.compat.shifts import processing_order
from perturbloop.compat.tokenizer import tokenize_adata
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.geneformer import Geneformer, load_geneformer

pytestmark = pytest.mark.shared_data
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
def test_state_vectors_equal_the_published_tools(golden, shared, version):
    folder = golden / version
    for row in pd.read_parquet(folder / "state_embs.parquet").itertuples():
        # The published extractor drops the first and last position whenever the dictionary has special tokens.
        pooling = "cls" if row.emb_mode == "cls" else ("inner" if version == "v2" else "mean")
        checkpoint = folder / "checkpoints" / row.dataset.split("_")[0]
        encoder = model(shared / "geneformer", checkpoint, version, pooling, int(row.emb_layer))
        tokens, _ = cells_of(golden, version, row.dataset, row.state)
        mean_d = encoder.embed([tokens.row(cell) for cell in range(tokens.n_cells)]).mean(
            axis=0, dtype=np.float64
        )
        np.testing.assert_allclose(mean_d, row.embedding, atol=2e-6, rtol=0)


@pytest.mark.parametrize("version", VERSIONS)
def test_token_rows_equal_the_published_tools(golden, shared, version):
    """Equal wherever ranking values differ; inside exact ties any order, and any choice at the cut."""
    folder = golden / version
    values = pd.read_parquet(folder / "tokenise_values.parquet").set_index(["input", "cell_id"])
    table = pd.read_parquet(folder / "tokenise.parquet")
    settings = ["input", "model_input_size", "special_token", "n_counts_dtype"]
    for (name, size, special, dtype), group in table.groupby(settings):
        if dtype == "float32":
            continue  # half-precision totals: the same order here up to one swap, and no use to anyone
        own = folder / f"tokenise_input_{name}.h5ad"
        source = "crohn" if name == "symbols" else name
        adata = ad.read_h5ad(own if own.is_file() else golden / "inputs" / f"tokenise_input_{source}.h5ad")
        if name == "symbols":
            adata.var["ensembl_id"] = adata.var["symbol"].astype(str)
        words = vocabulary(shared / "geneformer", version).with_length(int(size))
        tokens = tokenize_adata(adata, words, compat="geneformer", special_tokens=bool(special))
        place = {cell: row for row, cell in enumerate(adata.obs["cell_id"])}
        edge = int(special)
        for cell in group.itertuples():
            ours = tokens.row(place[cell.cell_id])
            theirs = np.asarray(cell.input_ids)
            assert len(ours) == len(theirs)
            if edge:
                assert ours[0] == theirs[0]
                assert ours[-1] == theirs[-1]
            known = values.loc[(name, cell.cell_id)]
            score = np.asarray(known["values"])
            tie = dict(zip(np.asarray(known["tokens"]).tolist(), score.tolist(), strict=True))
            inner = slice(edge, len(ours) - edge)
            assert [tie[token] for token in ours[inner].tolist()] == [
                tie[token] for token in theirs[inner].tolist()
            ]


def test_order_of_processing_is_longest_first(golden):
    tokens, _ = cells_of(golden, "v1", "m64", "control")
    length = tokens.length_n[processing_order(tokens)]
    assert (np.diff(length) <= 0).all()


def test_more_cells_than_asked_for_are_drawn_by_the_published_shuffle(golden):
    table = pd.read_parquet(golden / "inputs" / "shuffle_seed42.parquet")
    for row in table.itertuples():
        order = np.asarray(row.order if hasattr(row, "order") else row[-1])
        if len(order) < 2:
            continue
        tokens = Tokens.of_rows([[2]] * len(order))  # equal lengths keep the order of the shuffle
        drawn = processing_order(tokens, max_cells=len(order) - 1)
        np.testing.assert_array_equal(drawn, order[:-1])
