"""Pickles of tensors and numbers, made here: what is read, and what is refused without being run."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from perturbloop.compat.pickles import read_numbers, read_state_embeddings
from perturbloop.errors import InputError


class Attack:
    """Pickles as a call of `os.system`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Nested:
    """Pickles as a tensor's storage whose bytes are a pickle themselves."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self):
        return torch.storage._load_from_bytes, (self.data,)


def pickled(path: Path, value: object) -> Path:
    path.write_bytes(pickle.dumps(value))
    return path


def torch_bytes(value: object, *, legacy: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def test_state_vectors_are_read_as_they_were_written(tmp_path):
    wide = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    states = {"start": wide[1], "goal": wide[:, 1], "other": torch.nn.Parameter(torch.ones(4)).data.half()}
    path = pickled(tmp_path / "states.pkl", {name: states[name] for name in ("start", "other")})
    found = read_state_embeddings(path)
    assert {name: vector.tolist() for name, vector in found.items()} == {
        "start": [4, 5, 6, 7],
        "other": [1] * 4,
    }
    assert {vector.dtype for vector in found.values()} == {np.dtype(np.float32)}
    strided = read_state_embeddings(pickled(tmp_path / "strided.pkl", {"goal": states["goal"]}))
    assert strided["goal"].tolist() == [1, 5, 9]


@pytest.mark.parametrize("read", [read_state_embeddings, read_numbers])
def test_a_pickle_that_asks_for_code_is_refused_and_does_not_run(tmp_path, read):
    mark = tmp_path / "ran"
    for value in (Attack(mark), {"goal": Attack(mark)}, {"goal": [torch.ones(2), Attack(mark)]}):
        with pytest.raises(InputError, match=r"must be a pickled dictionary of .*the pickle asks for"):
            read(pickled(tmp_path / "attack.pkl", value))
    assert not mark.exists()


@pytest.mark.parametrize("legacy", [True, False])
def test_code_hidden_in_the_bytes_of_a_tensor_is_refused_and_does_not_run(tmp_path, legacy):
    mark = tmp_path / "ran"
    for data in (pickle.dumps(Attack(mark)), torch_bytes(Attack(mark), legacy=legacy)):
        path = pickled(tmp_path / "nested.pkl", {"goal": Nested(data)})
        with pytest.raises(InputError, match="it could not be read"):
            read_state_embeddings(path)
    assert not mark.exists()
    with pytest.raises(InputError, match="a tensor's numbers are expected, a dict came"):
        read_state_embeddings(pickled(path, {"goal": Nested(torch_bytes({"a": 1}, legacy=legacy))}))


class Beyond:
    """Pickles as a tensor that reaches beyond its storage."""

    def __reduce__(self):
        storage = Nested(torch_bytes(torch.ones(3).storage(), legacy=True))
        return torch._utils._rebuild_tensor_v2, (storage, 0, (1000,), (1,), False, {})


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(tmp_path):
    with pytest.raises(InputError, match="it could not be read"):
        read_state_embeddings(pickled(tmp_path / "beyond.pkl", {"goal": Beyond()}))


def test_files_without_one_vector_per_state_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"is needed in .*; there is no such file"):
        read_state_embeddings(tmp_path / "absent.pkl")
    with pytest.raises(InputError, match="without a tensor: 'goal' of 1"):
        read_state_embeddings(pickled(tmp_path / "a.pkl", {"goal": 1.0}))
    with pytest.raises(InputError, match="without a tensor: none of 0"):
        read_state_embeddings(pickled(tmp_path / "a.pkl", {}))
    with pytest.raises(InputError, match="it holds a list"):
        read_state_embeddings(pickled(tmp_path / "a.pkl", [torch.ones(2)]))
    for states in ({"a": torch.ones(2), "b": torch.ones(3)}, {"a": torch.ones(2, 2)}):
        with pytest.raises(InputError, match="must hold vectors of one length"):
            read_state_embeddings(pickled(tmp_path / "a.pkl", states))
    (tmp_path / "text.pkl").write_text("goal,1.0")
    with pytest.raises(InputError, match="could not be read"):
        read_state_embeddings(tmp_path / "text.pkl")


def test_damaged_pickles_are_refused_whatever_is_damaged(tmp_path, rng):
    path = pickled(tmp_path / "a.pkl", {(np.int16(5), "cell_emb"): [0.5], (np.int16(6), "cell_emb"): [0.25]})
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    refused = 0
    for place in range(len(whole)):
        damaged = whole.copy()
        damaged[place] = rng.integers(256)
        path.write_bytes(damaged.tobytes())
        try:
            read_numbers(path)
        except InputError:
            refused += 1
    assert refused > len(whole) / 3


def test_numbers_that_are_no_plain_numbers_are_refused(tmp_path):
    for value in (np.array(["a"])[0], np.datetime64("2020"), np.complex64(1)):
        with pytest.raises(InputError, match="could not be read"):
            read_numbers(pickled(tmp_path / "a.pkl", {"a": value}))
    kinds = [np.int8(-1), np.int16(-2), np.int64(-3), np.float16(0.5), np.float32(0.25), np.float64(0.1)]
    found = read_numbers(pickled(tmp_path / "a.pkl", {"a": kinds}))["a"]
    assert found == kinds
    assert [value.dtype for value in found] == [value.dtype for value in kinds]
