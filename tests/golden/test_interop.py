"""The published tool's own files, read from the shared data: cells, state vectors, raw shifts, tables of shifts."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from perturbloop.compat.datasets import read_dataset
from perturbloop.compat.goal_state import goal_state_stats, write_goal_state_csv
from perturbloop.compat.pickles import read_state_embeddings
from perturbloop.compat.raw_shifts import read_raw_shifts
from perturbloop.data.pickles import read_dictionary
from perturbloop.data.vocabulary import Vocabulary

pytestmark = pytest.mark.shared_data
VERSIONS = {"v1": "geneformer-v1", "v2": "geneformer-v2"}
NAMES = {"v1": "gene_name_id_dict.pkl", "v2": "gene_name_id_dict_gc104M.pkl"}
POOLS = [("v1", "small"), ("v1", "pool_over_100k"), ("v2", "small")]
RAW = [
    ("v1", "m64_cell_layer0_delete_all"),
    ("v1", "m64_cell_layer0_overexpress_list3"),
    ("v2", "m256_cls_layer0_delete_all"),
    ("v2", "m64_cls_layer0_overexpress_list3"),
]


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    return Path(os.environ.get("PERTURBLOOP_GOLDEN", shared / "golden"))


def mappings(shared: Path, version: str) -> dict[str, dict]:
    """Token to Ensembl id, and id to name, as the published tool inverts its dictionaries."""
    folder = shared / "geneformer"
    vocabulary = Vocabulary.published(folder, version=VERSIONS[version])
    return {
        "gene_ids": vocabulary.gene_of_token,
        "gene_names": {gene: name for name, gene in read_dictionary(folder / NAMES[version]).items()},
    }


def assert_equal_tables(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Same columns, genes and numbers; order as sorted, free inside equal sort keys."""
    assert ours.columns.tolist() == theirs.columns.tolist()
    keys = ["Sig", "Shift_to_goal_end", "Goal_end_FDR"]
    np.testing.assert_allclose(ours[keys], theirs[keys], rtol=1e-12, atol=1e-15)
    tied = theirs.duplicated(keys, keep=False).to_numpy()
    assert ours.index[~tied].tolist() == theirs.index[~tied].tolist()
    ours = ours.loc[theirs.index]
    for column in theirs:
        if theirs[column].dtype == float:
            np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-12, atol=1e-300)
        else:
            assert ours[column].fillna("").tolist() == theirs[column].fillna("").tolist(), column


def read_csv(path: Path) -> pd.DataFrame:
    exact = {} if pd.__version__ >= "3" else {"float_precision": "round_trip"}  # pandas 3 reads so by itself
    return pd.read_csv(path, index_col=0, keep_default_na=False, na_values={"Gene_name": [""]}, **exact)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_table_of_shifts_follows_from_the_shifts(golden, shared, version, tmp_path):
    genes = mappings(shared, version)
    shifts = pd.read_parquet(golden / version / "shifts.parquet").query("with_states and genes == 'all'")
    shifts["token"] = shifts["tokens"].str[0].astype(int)
    files = sorted((golden / version / "stats").iterdir())
    assert len(files) == {"v1": 8, "v2": 12}[version]
    for file in files:
        run = file.name.removeprefix("stats_").split(".")[0]
        own = shifts[shifts["run_id"] == run].sort_values("cell_order", kind="stable")
        assert len(own)
        found = goal_state_stats(own, goal_state="stimulated", alt_states=["crohn"], **genes)
        assert_equal_tables(found, read_csv(file))
        write_goal_state_csv(found, tmp_path / "ours.csv")
        pd.testing.assert_frame_equal(read_csv(tmp_path / "ours.csv"), found, check_dtype=False)


@pytest.mark.parametrize(("version", "pool"), POOLS)
def test_tables_of_simulated_shifts_follow_from_their_raw_files(golden, shared, version, pool):
    folder = golden / version / "stats_synthetic" / pool
    shifts = read_raw_shifts(folder)
    alt_states = [state for state in shifts["state"].unique() if state not in ("control", "stimulated")]
    found = goal_state_stats(
        shifts, goal_state="stimulated", alt_states=alt_states, **mappings(shared, version)
    )
    assert found["Sig"].sum() > 5
    assert_equal_tables(found, read_csv(folder / f"stats_synthetic_{pool}.csv"))


@pytest.mark.parametrize("version", VERSIONS)
def test_cells_of_a_data_set_are_those_the_published_tool_read(golden, shared, version):
    cells = pd.read_parquet(golden / version / "cells.parquet").query("dataset == 'm64'").sort_values("row")
    vocabulary = Vocabulary.published(shared / "geneformer", version=VERSIONS[version])
    for words in (None, vocabulary):
        tokens, obs = read_dataset(golden / version / "cells_m64.dataset", vocabulary=words)
        assert tokens.has_cls == (version == "v2")
        assert [tokens.row(cell).tolist() for cell in range(tokens.n_cells)] == [
            row.tolist() for row in cells["input_ids"]
        ]
        assert obs.columns.tolist() == ["cell_id", "state"]
        assert obs.to_numpy().tolist() == cells[["cell_id", "state"]].to_numpy().tolist()


@pytest.mark.parametrize(("version", "run"), RAW)
def test_raw_shifts_are_those_of_the_run_in_its_order_of_cells(golden, version, run):
    found = read_raw_shifts(golden / version / "raw_pickles" / run)
    theirs = pd.read_parquet(golden / version / "shifts.parquet").query("run_id == @run")
    if run == "m256_cls_layer0_delete_all":
        theirs = theirs.query("cell_order == 0")  # its raw files are those of the first cell
    theirs = theirs.assign(tokens=[",".join(map(str, tokens)) for tokens in theirs["tokens"]])
    theirs = theirs.sort_values("cell_order", kind="stable")
    theirs["place"] = theirs.groupby(["state", "tokens"]).cumcount()
    keys = ["state", "tokens", "place"]
    joined = found.merge(theirs, on=keys, how="outer", suffixes=("", "_theirs"), validate="one_to_one")
    assert len(joined) == len(found) == len(theirs)
    assert joined["shift"].tolist() == joined["shift_theirs"].tolist()
    single = found[found["token"] >= 0]
    assert single["token"].astype(str).tolist() == single["tokens"].tolist()
    assert len(single) == (0 if "list" in run else len(found))


@pytest.mark.parametrize("version", VERSIONS)
def test_state_vectors_are_those_of_the_published_extractor(golden, version):
    (path,) = (golden / version / "raw_pickles").glob("states_*.pkl")
    dataset, mode, layer = path.stem.removeprefix("states_").split("_")
    keys = ["dataset", "emb_mode", "emb_layer", "state"]
    vectors = (
        pd.read_parquet(golden / version / "state_embs.parquet").set_index(keys)["embedding"].sort_index()
    )
    theirs = vectors.loc[dataset, mode, int(layer.removeprefix("layer"))]
    found = read_state_embeddings(path)
    assert set(found) == set(theirs.index)
    for state, vector in found.items():
        assert vector.dtype == np.float32
        assert vector.tolist() == theirs[state].tolist()


def test_the_page_for_users_of_the_published_tool_does_what_it_says(golden, shared, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "howto" / "from_geneformer.md").read_text()
    for name, path in {
        "gene_dictionaries_30m": shared / "geneformer",
        "Geneformer-V1-10M": golden / "v1" / "checkpoints" / "m64",
        "cells.dataset": golden / "v1" / "cells_m64.dataset",
        "states.pkl": golden / "v1" / "raw_pickles" / "states_m64_cell_layer0.pkl",
        "isp_output": golden / "v1" / "raw_pickles" / "m64_cell_layer0_delete_all",
    }.items():
        (tmp_path / name).symlink_to(path.resolve())
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL):
        exec(block, names)
    theirs = read_csv(golden / "v1" / "stats" / "stats_m64_cell_layer0_delete_all.csv")
    assert names["difference"] <= 1e-6
    assert len(names["both"]) == len(theirs)
    assert read_csv(tmp_path / "stats.csv").columns.tolist() == theirs.columns.tolist()
    assert_equal_tables(names["old"].drop(columns="Gene_name"), theirs.drop(columns="Gene_name"))
