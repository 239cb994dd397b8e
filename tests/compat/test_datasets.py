"""Cells that the published tool tokenized, made here: what is read, and what is refused; the table that is written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from perturbloop.compat.datasets import read_dataset
from perturbloop.compat.goal_state import goal_state_stats, write_goal_state_csv
from perturbloop.compat.shifts import shifts_by_state
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError

GENES = [f"ENSG{number:011d}" for number in range(12)]


def vocabulary(*, second: bool = False) -> Vocabulary:
    words = Vocabulary.of_genes(GENES, GENES, np.ones(12), max_length=16)
    if not second:
        return words
    specials = {"<pad>": 0, "<mask>": 1, "<cls>": 2, "<eos>": 3}
    return replace(words, version="geneformer-v2", specials=specials, tokens=words.tokens + 2)


def write_dataset(folder: Path, *tables: dict, state: dict | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data-{part:05d}-of-{len(tables):05d}.arrow" for part in range(len(tables))]
    for name, columns in zip(names, tables, strict=True):
        table = pa.table(columns)
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    listed = {"_data_files": [{"filename": name} for name in names]} | (state or {})
    (folder / "state.json").write_text(json.dumps(listed))
    return folder


def cells(*rows: list[int], **columns: list) -> dict:
    return {
        "input_ids": pa.array(rows, pa.list_(pa.int32())),
        "length": [len(row) for row in rows],
        **columns,
    }


def test_cells_of_several_files_are_read_in_order_with_their_columns(tmp_path):
    first = cells([7, 5, 9], [4], [6, 8], donor=["a", "b", "a"], n=[3, 1, 2])
    folder = write_dataset(tmp_path / "cells.dataset", first, cells([2, 3, 4, 5], donor=["c"], n=[4]))
    tokens, obs = read_dataset(folder, vocabulary=vocabulary())
    assert [tokens.row(cell).tolist() for cell in range(4)] == [[7, 5, 9], [4], [6, 8], [2, 3, 4, 5]]
    assert obs.to_dict("list") == {"donor": ["a", "b", "a", "c"], "n": [3, 1, 2, 4]}
    assert not tokens.has_cls
    without = write_dataset(tmp_path / "bare.dataset", cells([7, 5], [4]))
    assert read_dataset(without)[1].shape == (2, 0)


def test_cls_is_found_from_the_cells_and_from_the_vocabulary(tmp_path):
    enclosed = write_dataset(tmp_path / "v2.dataset", cells([2, 9, 8, 3], [2, 7, 3]))
    assert read_dataset(enclosed)[0].has_cls
    assert read_dataset(enclosed, vocabulary=vocabulary(second=True))[0].has_cls
    bare = write_dataset(tmp_path / "bare.dataset", cells([9, 8], [7, 4]))
    assert not read_dataset(bare, vocabulary=vocabulary(second=True))[0].has_cls


def test_a_vocabulary_of_the_other_generation_is_refused(tmp_path):
    enclosed = write_dataset(tmp_path / "v2.dataset", cells([2, 9, 8, 3], [2, 7, 3]))
    with pytest.raises(
        InputError, match=r"has `<cls>` and `<eos>` around every cell. Give the vocabulary of the other"
    ):
        read_dataset(enclosed, vocabulary=vocabulary())
    foreign = write_dataset(tmp_path / "foreign.dataset", cells([9, 14], [7]))
    with pytest.raises(InputError, match=r"'geneformer-v1' \(14 tokens\); `foreign.dataset` has token 14"):
        read_dataset(foreign, vocabulary=vocabulary())
    mixed = write_dataset(tmp_path / "mixed.dataset", cells([2, 9, 3], [7, 8]))
    with pytest.raises(
        InputError, match=r"All cells or none must lie between `<cls>` and `<eos>`.*do not: '1'"
    ):
        read_dataset(mixed, vocabulary=vocabulary(second=True))


def test_folders_that_are_no_data_set_of_tokenized_cells_are_refused_by_what_they_are(tmp_path):
    with pytest.raises(
        InputError, match=r"has none that can be read \(FileNotFoundError\). Give the `.dataset` folder"
    ):
        read_dataset(tmp_path)
    with pytest.raises(InputError, match=r"that of .* lists no files"):
        read_dataset(write_dataset(tmp_path / "none.dataset"))
    with pytest.raises(InputError, match="selects its cells through an index"):
        read_dataset(
            write_dataset(tmp_path / "index", cells([4]), state={"_indices_data_files": [{"filename": "i"}]})
        )
    with pytest.raises(InputError, match=r"lacks 'input_ids' and has 'length', 'text'"):
        read_dataset(write_dataset(tmp_path / "text.dataset", {"length": [1], "text": ["a"]}))
    with pytest.raises(InputError, match=r"it is list<item: int32>, with 0 of 0 cells missing"):
        read_dataset(write_dataset(tmp_path / "empty.dataset", cells()))
    with pytest.raises(InputError, match=r"it is string"):
        read_dataset(write_dataset(tmp_path / "odd.dataset", {"length": [1], "input_ids": ["a"]}))
    with pytest.raises(InputError, match="it is not for the cells '1' of"):
        read_dataset(write_dataset(tmp_path / "length.dataset", cells([4], [5, 6]) | {"length": [1, 3]}))
    with pytest.raises(InputError, match="must have the same columns"):
        read_dataset(write_dataset(tmp_path / "two.dataset", cells([4]), cells([5], donor=["a"])))
    damaged = write_dataset(tmp_path / "damaged.dataset", cells([4]))
    (damaged / "data-00000-of-00001.arrow").write_bytes(b"no arrow at all")
    with pytest.raises(InputError, match="must be an Arrow stream; it cannot be read"):
        read_dataset(damaged)
    write_dataset(tmp_path / "splits" / "train", cells([4]))
    (tmp_path / "splits" / "dataset_dict.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds several: 'train'. Give the folder of one of them"):
        read_dataset(tmp_path / "splits")


def test_our_own_shifts_become_a_table_that_reads_back(model, tokens, readout, tmp_path):
    shifts = shifts_by_state(
        model,
        tokens,
        kind="delete",
        states={"goal": readout.goal_d, "other": -readout.goal_d},
        compat="geneformer",
    )
    names = dict(zip(GENES, model.vocabulary.gene_names, strict=True))
    table = goal_state_stats(
        shifts,
        goal_state="goal",
        alt_states=["other"],
        gene_ids=model.vocabulary.gene_of_token,
        gene_names=names,
    )
    np.testing.assert_allclose(table["Shift_to_goal_end"], -table["Shift_to_alt_end_other"])
    write_goal_state_csv(table, tmp_path / "a.csv")
    exact = {} if pd.__version__ >= "3" else {"float_precision": "round_trip"}  # pandas 3 reads so by itself
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a.csv", index_col=0, **exact), table)


def test_only_a_table_of_shifts_is_written_as_one(tmp_path):
    with pytest.raises(InputError, match=r"it lacks 'Gene_name', .* Make it with that function"):
        write_goal_state_csv(pd.DataFrame({"Gene": [5]}), tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()
