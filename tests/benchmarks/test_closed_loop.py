"""The simulator benchmark in small: its directions, not its values."""

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.long
FOLDER = Path(__file__).parents[2] / "benchmarks" / "closed_loop"


@pytest.fixture(scope="module")
def benchmark():
    """The benchmark's own modules, which import each other by name."""
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location("benchmark_closed_loop", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def results(benchmark, tmp_path_factory):
    """Two networks of the report, frozen encoder and evidence of hit-enriched panels only."""
    out = tmp_path_factory.mktemp("closed_loop")
    parts = []
    for seed in (benchmark.FIRST_SEED, benchmark.FIRST_SEED + 1):
        study = benchmark.Study(
            seed, False, benchmark.Difficulty(), out / str(seed), panel_names=("hit-enriched",)
        )
        parts.append(benchmark.play_network(study, []))
    found = pd.concat(parts, ignore_index=True)
    benchmark.write(out, found)
    return found, out


def auroc(results, method, k):
    rows = results[(results["method"] == method) & (results["k"] == k)]
    return rows["auroc"].mean()


def test_measured_effects_raise_the_open_loop_and_shuffled_ones_do_not(results):
    found, _ = results
    open_loop, closed = auroc(found, "frozen", 0), auroc(found, "posterior", 20)
    assert open_loop > 0.6
    assert closed > open_loop
    assert closed > auroc(found, "posterior-shuffled", 20)
    assert closed > auroc(found, "posterior-alone", 20)
    assert closed > auroc(found, "evidence", 20)


def test_raising_genes_that_are_not_expressed_tells_more_than_raising_the_others(results):
    found, _ = results
    raised = found[found["kind"] == "overexpress"]
    assert auroc(raised, "frozen", 0) > auroc(raised, "frozen-skip", 0)


def test_every_panel_gene_is_left_out_of_the_judgement_and_the_tables_are_written(results):
    found, out = results
    assert (found["n_genes"] == 310).all()
    assert (found["n_hits"] > 5).all()
    text = (out / "summary.md").read_text()
    assert "shuffled effects minus k = 0" in text
    assert (out / "curves.png").stat().st_size > 10_000
