"""The benchmark of judging in small: every step makes its table, and a difference between two tables is seen."""

import importlib.util
import sys
from pathlib import Path

import pytest

from perturbloop.evaluate import comparisons

FOLDER = Path(__file__).parents[2] / "benchmarks" / "evaluate"


@pytest.fixture
def benchmark(monkeypatch):
    """The benchmark's own modules; what it puts in the place of the evidence channel is put back."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("evidence_predictions", "n_shuffles"):
        monkeypatch.setattr(comparisons, name, getattr(comparisons, name))
    spec = importlib.util.spec_from_file_location("benchmark_evaluate", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in ("inputs", "work"):
        sys.modules.pop(name, None)


def test_all_steps_make_their_tables_and_differences_are_seen(benchmark, tmp_path):
    benchmark.write_inputs(tmp_path, n_genes=300, kinds=("delete",), seed=1)
    tables = {name: step() for name, step in sys.modules["work"].steps(tmp_path, 5).items()}
    assert list(tables) == list(benchmark.KEYS)
    assert set(tables["metrics"]["targets"]) == {"held-out", "pathway-disjoint"}
    assert {"matched-null", "geneformer"} <= set(tables["metrics"]["rule"])
    assert tables["gains"]["control_gain"].notna().any()
    metrics, keys = tables["metrics"], benchmark.KEYS["metrics"]
    assert benchmark.difference(metrics, metrics, keys) == (0, 0, 0)
    moved = metrics.assign(value=metrics["value"] + 0.5, interval="")[1:]
    largest, other, alone = benchmark.difference(metrics, moved, keys)
    assert (largest, alone) == (pytest.approx(0.5), 1)
    assert other == metrics["interval"][1:].ne("").sum()
