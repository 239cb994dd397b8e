"""What every test may use. Nothing downloads; the real data are read where they lie."""

import os
import pickle
import runpy
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib.util import find_spec
from math import inf, nan
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: more threads only wait for each other
os.environ["PERTURBLOOP_HOME"] = os.devnull  # no collection that was added on this machine is read

import numpy as np
import pytest
from filelock import FileLock

# Types and shapes are checked while the tests run; the hook stands before the first import.
# `schema` is a boundary and checks by hand: a type check would fire before its messages could be read.
runpy.run_path(str(Path(__file__).with_name("shapes.py")))["check_imports"](
    f"perturbloop.{entry.parent.name}"
    for entry in Path(find_spec("perturbloop").origin).parent.glob("*/__init__.py")
    if entry.parent.name != "schema"
)


def shared_folder() -> Path | None:
    """Folder of the real data: `PERTURBLOOP_SHARED`, else `../shared/data` beside the checkout."""
    named = os.environ.get("PERTURBLOOP_SHARED")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


def pytest_collection_modifyitems(items):
    """Start the longest tests first, and skip those of the real data where the folder is missing; in CI that is an error."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    if shared_folder() is not None:
        return
    if os.environ.get("CI"):
        msg = "CI needs the shared data: set PERTURBLOOP_SHARED to their folder."
        raise pytest.UsageError(msg)
    for item in items:
        if item.get_closest_marker("shared_data"):
            item.add_marker(pytest.mark.skip(reason="the shared data folder is missing"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the real data."""
    folder = shared_folder()
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Make something dear once for all processes of a run: the first that asks makes it, the others wait for it.

    `once(name, make)` calls `make` with the path of a folder that all share and does not exist yet, and returns what
    `make` returned. What lies there is for reading only: whoever changes it copies it first.
    """
    base = tmp_path_factory.getbasetemp()
    together = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made_once(name: str, make: Callable[[Path], Any]) -> Any:
        folder, result = together / name, together / f"{name}.pickle"
        with FileLock(together / f"{name}.lock"):
            if not result.is_file():
                shutil.rmtree(folder, ignore_errors=True)
                beside = result.with_suffix(".partial")
                beside.write_bytes(pickle.dumps(make(folder)))
                beside.rename(result)
            return pickle.loads(result.read_bytes())

    return made_once


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of this process; skipped where none is installed."""
    with runpy.run_path(str(Path(__file__).with_name("postgres.py")))["running"]() as server:
        yield server


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded random numbers."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def world():
    """A small simulated world with a known answer."""
    from perturbloop.data import toy

    return toy.world(seed=0, n_cells=400)


@pytest.fixture(scope="session")
def random_geneformer():
    """Makes a random encoder for a vocabulary of at most 16 tokens a cell; each call makes the same one anew."""
    import torch
    from transformers import BertConfig, BertModel

    from perturbloop.models.geneformer import Geneformer

    def made(words):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=words.size,
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=16,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        return Geneformer(BertModel(config, add_pooling_layer=False), words, pooling="mean")

    return made


@pytest.fixture(scope="session")
def tiny_model(random_geneformer):
    """Makes a random encoder of 12 genes; each call makes the same one anew, for a test to train or to leave alone."""
    from perturbloop.data.vocabulary import Vocabulary

    genes = [f"ENSG{number:011d}" for number in range(12)]
    return lambda: random_geneformer(Vocabulary.of_genes(genes, genes, np.ones(12), max_length=16))


@pytest.fixture(scope="module")
def model(tiny_model):
    """The random encoder, to be read only."""
    return tiny_model()


@pytest.fixture
def tokens():
    """Six cells of its genes."""
    from perturbloop.data.tokens import Tokens

    rng = np.random.default_rng(0)
    return Tokens.of_rows([2 + rng.permutation(12)[:length] for length in (3, 7, 12, 7, 5, 9)])


@pytest.fixture
def readout():
    """Goal, head and bias that read its embedding."""
    from perturbloop.models.readout import Readout

    rng = np.random.default_rng(1)
    return Readout(rng.normal(size=8), rng.normal(size=8), 0.3)


@pytest.fixture(scope="session")
def damaged():
    """Copies of a file as faults leave them: bits flipped, bytes lost, doubled, zeroed or cut off, by seed."""

    def copies(raw: bytes, count: int, *, seed: int = 0) -> Iterator[bytes]:
        rng = np.random.default_rng(seed)
        for number in range(count):
            start = int(rng.integers(len(raw)))
            stop = min(len(raw), start + 2 ** int(rng.integers(0, 7)))
            yield (
                raw[:start] + bytes([raw[start] ^ 1 << int(rng.integers(8))]) + raw[start + 1 :],
                raw[:start] + rng.bytes(stop - start) + raw[stop:],
                raw[:start] + bytes(stop - start) + raw[stop:],
                raw[:start] + raw[stop:],
                raw[:stop] + raw[start:],
                raw[:start],
            )[number % 6]

    return copies


@pytest.fixture(scope="session")
def odd():
    """Trees of plain values with one of them replaced by one that does not belong there, by seed."""
    values = (
        None,
        True,
        -1,
        0,
        10**30,
        -(10**30),
        0.5,
        nan,
        inf,
        -inf,
        "",
        "x",
        "\x7f\x1b[2J",
        [],
        [1, "a"],
        {},
        {"x": 1},
    )

    def places(tree: Any, path: tuple = ()) -> Iterator[tuple]:
        yield path
        steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
        for step, value in steps:
            yield from places(value, (*path, step))

    def trees(tree: Any, count: int, *, seed: int = 0) -> Iterator[Any]:
        rng = np.random.default_rng(seed)
        every = list(places(tree))
        for _ in range(count):
            *way, last = (None, *every[int(rng.integers(len(every)))])
            whole = {None: deepcopy(tree)}
            owner = whole
            for step in way:
                owner = owner[step]
            owner[last] = values[int(rng.integers(len(values)))]
            yield whole[None]

    return trees
