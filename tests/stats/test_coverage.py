"""The bar on intervals, by the benchmark that measures it: genes drawn from a large list whose AUROC is known."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SIZES = (60, 150)


@pytest.fixture(scope="module")
def run():
    """The benchmark, which is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / "coverage" / "run.py"
    spec = importlib.util.spec_from_file_location("coverage_run", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def genes(rng):
    """A large list: 8 % hits that score higher and vary more, and a second, weaker ranking that shares its noise."""
    hit_g = rng.random(8000) < 0.08
    shared_g = rng.normal(size=8000) * np.where(hit_g, 1.4, 1.0)
    return shared_g + hit_g, hit_g, shared_g + 0.5 * hit_g + rng.normal(size=8000)


def test_delongs_intervals_hold_the_value_over_all_genes_in_nine_of_ten_samples(run, genes, rng):
    score_g, hit_g, other_g = genes
    found = run.coverage(score_g, hit_g, other_g, sizes=SIZES, times=500, n_samples=2, rng=rng)
    delong = found[found["interval"] == "delong"]
    assert len(delong) == 4
    assert delong["coverage"].between(0.85, 0.95).all()
    assert (delong["se"] < 0.02).all()
    assert delong["without"].max() < 0.1


def test_a_sample_of_everything_is_never_wrong(run, genes, rng):
    score_g, hit_g, _ = (column[:300] for column in genes)
    found = run.coverage(score_g, hit_g, sizes=(300,), times=3, n_samples=50, rng=rng)
    assert set(found["statistic"]) == {"auroc"}
    assert (found["coverage"] == 1).all()
    assert (found["ideal"] == 1).all()
    assert (found["n_hits"] == hit_g.sum()).all()


def test_samples_without_hits_are_counted_apart(run, rng):
    hit_g = np.arange(400) < 4
    found = run.coverage(rng.normal(size=400), hit_g, sizes=(100,), times=200, n_samples=2, rng=rng)
    delong = found[found["interval"] == "delong"]
    assert delong["without"].item() == pytest.approx(0.75**4, abs=0.1)
