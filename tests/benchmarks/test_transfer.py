"""Effects of one screen, hits of another: what is judged, what the intervals rest on, and that strangers' files are read."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import average_precision_score, roc_auc_score

from perturbloop.evidence.graphs import from_vectors
from perturbloop.evidence.kernels import vector_kernel

FOLDER = Path(__file__).parents[2] / "benchmarks" / "real"
IDS = np.array([f"gene{place}" for place in range(60)], dtype=object)


@pytest.fixture
def load(monkeypatch):
    """Import a script of the folder, which finds its neighbors there."""
    monkeypatch.syspath_prepend(FOLDER)

    def loaded(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return loaded


@pytest.fixture
def given(load, rng):
    """Six sets of ten genes; the genes of the first set are the hits of both screens."""
    member_gs = sparse.csr_matrix(np.repeat(np.eye(6), 10, axis=0))
    first_g = np.arange(60) < 10
    return load("transfer_problem").Problem(
        gene_ids=IDS,
        effect_g=5.0 * first_g + 0.1 * rng.standard_normal(60),
        se_g=np.full(60, 1.0),
        known_hit_g=first_g,
        hit_g=first_g,
        away_g=np.arange(60) >= 55,
        kernels=(vector_kernel("sets", IDS, member_gs, power=1),),
        expression_g=rng.random(60),
        change_g=np.full(60, np.nan),
        lineage_g=np.full(60, np.nan),
        degree_g=np.ones(60),
        in_pathway_g=np.arange(60) < 3,
    )


def test_numbers_are_those_of_scikit_learn_on_genes_that_were_not_measured(load, given):
    methods = load("transfer_methods")
    place_p = methods.panel_places(given, "hit-enriched", 5, 0)
    graph = from_vectors(IDS, given.kernels[0].vector_gd.toarray(), k=5, name="sets")
    free_g = ~np.isin(np.arange(60), place_p)
    found = {
        one.method: one for one in (*methods.rankings(given, graph, place_p, 0), *methods.constants(given))
    }
    for one in found.values():
        row = methods.judged(given, one, place_p)
        assert row["auroc"] == pytest.approx(roc_auc_score(given.hit_g[free_g], one.toward_g[free_g]))
        assert row["auroc_away"] == pytest.approx(roc_auc_score(given.away_g[free_g], one.away_g[free_g]))
        assert row["n_genes"] == 55
        assert np.isnan(row["places"][np.isin(np.flatnonzero(given.hit_g), place_p)]).all()
        assert 1 - np.nanmean(row["places"]) / (55 - row["n_hits"]) == pytest.approx(row["auroc"])
    assert methods.judged(given, found["posterior"], place_p)["auroc"] > 0.95
    assert {"posterior", "permuted effects", "prior alone", "expression", "static pathway"} <= set(found)
    assert {"propagation", "ridge"} <= set(found)


def test_the_table_has_the_columns_that_were_promised(load, given):
    transfer = load("transfer")
    played = transfer.play(given, n_panels=2, sizes=[4])
    table = transfer.table(played)
    assert list(table.columns) == [
        *("method", "panel", "k", "auroc", "auroc_away", "average_precision", "precision_at_50"),
        *("sd_auroc", "n_panels", "n_genes", "n_hits"),
    ]
    assert set(table["panel"]) == {"random", "hit-enriched"}
    assert "posterior − permuted effects" in transfer.summary(played)


def test_average_precision_by_places_is_that_of_scikit_learn(load, rng):
    score_g = rng.permutation(40).astype(float)
    hit_g = np.arange(40) < 6
    places = [float((score_g[6:] > score).sum()) for score in score_g[:6]]
    found = load("transfer_summary").average_precision(np.array([places]), np.ones(6))
    assert found[0] == pytest.approx(average_precision_score(hit_g, score_g))


def test_the_interval_holds_the_hits_not_only_the_panels(load, rng):
    summary = load("transfer_summary")
    hits_h = rng.standard_normal(30)
    one_ph = hits_h + 0.01 * rng.standard_normal((20, 30))
    one_ph[:, 0] = np.nan
    found = summary.paired(one_ph, np.zeros((20, 30)), summary._mean, n_samples=2000)
    assert found.value == pytest.approx(np.nanmean(one_ph))
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * hits_h[1:].std() / np.sqrt(29), rel=0.15)


def test_the_graph_of_a_kernel_is_that_of_its_vectors(load, rng):
    vectors = rng.standard_normal((60, 8))
    found = load("networks").graph_of(vector_kernel("drawn", IDS, vectors, power=1), k=7, chunk=16)
    assert found.weights_gg.toarray() == pytest.approx(
        from_vectors(IDS, vectors, k=7, name="drawn").weights_gg.toarray()
    )


@pytest.mark.parametrize(
    "columns", [{"state": ["a", "b"] * 3, "donor": list("xxyyzz")}, {"batch": list("xxyyzz")}]
)
def test_expression_is_read_with_and_without_states(load, columns):
    from perturbloop.data.cells import from_adata
    from perturbloop.data.genes import GeneNames

    symbols = [f"S{n}" for n in range(30)]
    counts = np.tile(np.arange(30), (6, 1)).astype(np.float32)
    counts[1::2, 0] = 1000
    adata = ad.AnnData(sparse.csr_matrix(counts), obs=pd.DataFrame(columns, index=list("abcdef")))
    adata.var_names = symbols
    cells = from_adata(adata, names=GeneNames.of({symbol: symbol for symbol in symbols}))[0]
    level = load("transfer_problem").expression(cells)
    assert level.loc["S0"].max() > 10
    if "state" in columns:
        assert list(level.columns) == ["cpm a", "log a", "cpm b", "log b"]
        assert level.loc["S0", "cpm a"] == 0
        assert level.loc["S3", "cpm a"] == pytest.approx(3 / 435 * 1e6)
    else:
        assert list(level.columns) == ["cpm all", "log all"]
