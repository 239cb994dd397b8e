"""What every test may use. Nothing downloads; the real data are read where they lie."""

import os
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: more threads only wait for each other

import numpy as np
import pytest
from jaxtyping import install_import_hook

# Shapes are checked while the tests run, with int allowed for float; the hook stands before the first import.
# `schema` is a boundary and checks by hand: a type check would fire before its messages could be read.
hook = install_import_hook(
    [
        f"perturbloop.{entry.parent.name}"
        for entry in Path(find_spec("perturbloop").origin).parent.glob("*/__init__.py")
        if entry.parent.name != "schema"
    ],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)


def shared_folder() -> Path | None:
    """Folder of the real data: `PERTURBLOOP_SHARED`, else `../shared/data` beside the checkout."""
    named = os.environ.get("PERTURBLOOP_SHARED")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


def pytest_collection_modifyitems(items):
    """Skip tests of the real data where the folder is missing; in CI that is an error."""
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


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded random numbers."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def world():
    """A small simulated world with a known answer."""
    from perturbloop.data import toy

    return toy.world(seed=0, n_cells=400)
