"""Raw shifts of the published tool, made here: which files are one run, and in which order its cells come."""

import os
import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from perturbloop.compat.raw_shifts import read_raw_shifts
from perturbloop.errors import InputError


class Attack:
    """Pickles as a call of `os.system`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def pickled(path: Path, value: object) -> Path:
    path.write_bytes(pickle.dumps(value))
    return path


def raw(**states: dict) -> dict:
    return {
        state: defaultdict(list, {(token, "cell_emb"): shifts for token, shifts in genes.items()})
        for state, genes in states.items()
    }


def test_older_files_hold_the_first_cell_and_then_the_rest(tmp_path):
    head = "in_silico_delete_study_dict_cell_embs_1Kbatch"
    pickled(tmp_path / f"{head}1000_raw.pickle", raw(goal={5: [0.3]}))
    pickled(tmp_path / f"{head}0_raw.pickle", raw(goal={5: [0.1, 0.2], 7: [0.9]}))
    pickled(tmp_path / f"{head}-1_raw.pickle", raw(goal={7: [0.8]}))
    found = read_raw_shifts(tmp_path).set_index(["token", "place"])["shift"]
    assert found.to_dict() == {(7, 0): 0.8, (7, 1): 0.9, (5, 0): 0.1, (5, 1): 0.2, (5, 2): 0.3}


def test_newer_files_are_ordered_by_number_and_not_by_text(tmp_path):
    for cell in (10, 2, 0):
        for batch in (0, -1, 100):
            name = f"in_silico_delete_study_dict_cell_embs_{cell}batch{batch}_raw.pickle"
            pickled(tmp_path / name, raw(start={}, goal={5: [cell + batch / 1000], 6: []}))
    found = read_raw_shifts(tmp_path)
    assert found["shift"].tolist() == [-0.001, 0, 0.1, 1.999, 2, 2.1, 9.999, 10, 10.1]
    assert found["place"].tolist() == list(range(9))
    assert set(found["state"]) == {"goal"}


def test_sets_of_genes_are_kept_as_text_and_runs_without_states_named_so(tmp_path):
    key = ((np.int16(14170), np.int16(695)), "cell_emb")
    name = "in_silico_delete_study_cell_embs_dict_[np.int16(14170), np.int16(695)]_raw.pickle"
    pickled(tmp_path / name, {key: [0.5, np.float64(0.25)], ((3,), "cell_emb"): [1.0], (3, 7): [0.0]})
    pickled(tmp_path / "in_silico_delete_study_dict_gene_embs_1Kbatch0_raw.pickle", {(3, 7): [0.1]})
    found = read_raw_shifts(tmp_path)
    assert found.columns.tolist() == ["state", "token", "tokens", "place", "shift"]
    assert found.to_numpy().tolist() == [
        ["(none)", -1, "14170,695", 0, 0.5],
        ["(none)", -1, "14170,695", 1, 0.25],
        ["(none)", 3, "3", 0, 1.0],
    ]


def test_a_folder_with_several_runs_is_refused_until_one_is_named_as_the_message_says(tmp_path):
    names = [
        f"in_silico_{run}_raw.pickle"
        for run in (
            "delete_[a]_dict_cell_embs_0batch-1",
            "delete_[a]_dict_cell_embs_1Kbatch0",
            "overexpress_[a]_dict_cell_embs_0batch-1",
            "delete_[a]_cell_embs_dict_[5]",
            "other",
        )
    ]
    for place, name in enumerate(names):
        pickled(tmp_path / name, raw(goal={5: [float(place)]}))
    with pytest.raises(
        InputError, match=r"holds 5: 'in_silico_delete_.*Name one of them as `pattern`"
    ) as error:
        read_raw_shifts(tmp_path)
    patterns = [part for part in str(error.value).split("'") if part.startswith("in_silico")]
    assert len(patterns) == 5
    shifts = [read_raw_shifts(tmp_path, pattern=pattern)["shift"].item() for pattern in patterns]
    assert sorted(shifts) == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match=r"holds 2: "):
        read_raw_shifts(tmp_path, pattern="*batch-1_raw.pickle")
    with pytest.raises(InputError, match=r"holds none that match 'x', but 'in_silico"):
        read_raw_shifts(tmp_path, pattern="x")


def test_two_runs_behind_one_name_are_refused_where_they_can_be_told(tmp_path):
    head = "in_silico_delete_study_cell_embs_dict_"
    for name in ("[5]", "[np.int16(5)]"):
        pickled(tmp_path / f"{head}{name}_raw.pickle", raw(goal={5: [0.1]}))
    with pytest.raises(
        InputError, match=r"these occur again: 'in_silico.*\[np.int16\(5\)\]_raw.pickle'. Move the old"
    ):
        read_raw_shifts(tmp_path)
    (tmp_path / f"{head}[np.int16(5)]_raw.pickle").unlink()
    pickled(tmp_path / f"{head}[6]_raw.pickle", raw(start={6: [0.1]}))
    with pytest.raises(InputError, match=r"must name the same states; these differ: .*'goal'; .*'start'"):
        read_raw_shifts(tmp_path)


def test_raw_files_that_hold_no_shifts_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds none, but none. Give the folder"):
        read_raw_shifts(tmp_path)
    path = tmp_path / "in_silico_delete_study_dict_cell_embs_1Kbatch0_raw.pickle"
    with pytest.raises(InputError, match="all of them are empty"):
        read_raw_shifts(pickled(path, raw(goal={})).parent)
    with pytest.raises(InputError, match="one number per cell and gene"):
        read_raw_shifts(pickled(path, {(5, "cell_emb"): [(0.1, 0.2, 0.3)]}).parent)
    with pytest.raises(InputError, match="these keys are neither: 'goal'"):
        read_raw_shifts(pickled(path, {"goal": [0.1]}).parent)
    mark = tmp_path / "ran"
    with pytest.raises(InputError, match=r"asks for `posix.system`"):
        read_raw_shifts(pickled(path, {(5, "cell_emb"): [Attack(mark)]}).parent)
    assert not mark.exists()


def test_numpy_scalars_of_either_numpy_are_read(tmp_path):
    written = pickle.dumps({(np.int16(5), "cell_emb"): [0.5]}, protocol=3)
    path = tmp_path / "in_silico_delete_study_dict_cell_embs_1Kbatch0_raw.pickle"
    for module in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        path.write_bytes(written.replace(b"numpy._core.multiarray", module))
        assert read_raw_shifts(tmp_path)["token"].tolist() == [5]
