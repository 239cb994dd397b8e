"""Does the model add anything to the evidence: what is kept apart, and what the intervals rest on."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score

from perturbloop.data.gene_sets import GeneSets
from perturbloop.evidence.graphs import from_vectors
from perturbloop.evidence.kernels import constant_kernel, feature_kernel, vector_kernel
from perturbloop.evidence.posterior import posterior

FOLDER = Path(__file__).parents[2] / "benchmarks" / "real"
IDS = np.array([f"gene{place}" for place in range(60)], dtype=object)


@pytest.fixture
def load(monkeypatch):
    """Import a script of the folder, which finds its neighbors there."""
    monkeypatch.syspath_prepend(FOLDER)

    def loaded(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return loaded


@pytest.fixture
def given(load, rng):
    """Six sets of ten genes; the genes of the first set are the hits of both donors."""
    member_gs = sparse.csr_matrix(np.repeat(np.eye(6, dtype=np.float32), 10, axis=0))
    names = np.array([f"set{place}" for place in range(6)], dtype=object)
    kernel = vector_kernel("sets", IDS, member_gs.toarray(), power=1)
    first_g = np.arange(60) < 10
    score_g = rng.standard_normal(60)
    score_g[[3, 40]] = np.nan
    return load("evidence_methods").Problem(
        gene_ids=IDS,
        effect_g=2.0 * first_g + 0.1 * rng.standard_normal(60),
        se_g=np.full(60, 0.3),
        known_hit_g=first_g,
        hit_g=first_g,
        away_g=np.arange(60) >= 55,
        insilico={"ISP": score_g},
        alone={"expression": rng.random(60)},
        features=[constant_kernel(IDS), feature_kernel("expression", IDS, rng.random(60))],
        kernels=[kernel],
        graphs=[from_vectors(IDS, member_gs.toarray().astype(float), k=5, name="sets")],
        cover=kernel,
        sets=GeneSets("sets", names, IDS, member_gs),
        in_pathway_g=first_g,
    )


def test_no_judged_gene_was_measured_and_disjoint_ones_share_no_set(load, given):
    methods = load("evidence_methods")
    small, large = (methods.panel_places(given, "coverage", k, 0) for k in (2, 4))
    kept = methods.denominators(given, small, large)
    assert not kept["all"][small].any()
    assert kept["all"].sum() == 58
    assert not kept["never measured"][large].any()
    assert not kept["outside TCR/CD28"][:10].any()
    touched = set(small // 10)
    assert set(np.flatnonzero(kept["pathway-disjoint"]) // 10) == set(range(6)) - touched


def test_a_prior_put_in_afterwards_gives_the_posterior_with_that_prior(load, given, rng):
    methods = load("evidence_methods")
    place_p = np.arange(0, 60, 4)
    effect_p, se_p, score_g = given.effect_g[place_p], given.se_g[place_p], given.insilico["ISP"]
    base, direct = (
        posterior(
            given.kernels, given.features, prior_g, place_p, effect_p, se_p, rng=np.random.default_rng(0)
        )
        for prior_g in (np.zeros(60), score_g)
    )
    found = methods.with_prior(base, score_g, place_p, effect_p)
    for name in ("mean_g", "sd_g", "probability_g", "influence_gp"):
        assert getattr(found, name) == pytest.approx(getattr(direct, name), abs=1e-12)


def test_places_of_the_hits_average_to_the_auroc(load, given):
    methods = load("evidence_methods")
    place_p = methods.panel_places(given, "hit-enriched", 5, 0)
    found, skills = methods.rankings(given, place_p, 0)
    kept = methods.denominators(given, place_p, place_p)
    rows = pd.DataFrame([row for method in found for row in methods.judged(given, method, kept)])
    for row, method in zip(rows[rows["genes"] == "all"].itertuples(), found, strict=True):
        score_n = np.nan_to_num(method.toward_g, nan=-1e9)[kept["all"]]
        assert row.auroc == pytest.approx(roc_auc_score(given.hit_g[kept["all"]], score_n))
        assert np.nanmean(row.places) == pytest.approx(row.auroc)
        assert np.isnan(row.places[place_p[place_p < 10]]).all()
    best = rows[rows["genes"].eq("all") & rows["network"].eq("sets") & rows["effects"].eq("true")]
    assert best.loc[best["score"] == "nothing", "auroc"].min() > 0.9
    assert set(skills["effects"]) == {"true", "permuted"}


def test_the_skill_of_a_score_is_its_correlation_in_standard_deviations_of_shuffles(load, rng):
    score_p, effect_p = rng.standard_normal((2, 30))
    shuffled = [np.corrcoef(score_p, rng.permutation(effect_p))[0, 1] for _ in range(4000)]
    expected = np.corrcoef(score_p, effect_p)[0, 1] / np.std(shuffled)
    assert load("evidence_methods").score_skill(score_p, effect_p) == pytest.approx(expected, rel=0.05)


def test_the_interval_holds_the_hits_not_only_the_panels(load, rng):
    summary = load("evidence_summary")
    hits_h = rng.standard_normal(30)
    difference_ph = hits_h + 0.01 * rng.standard_normal((20, 30))
    difference_ph[:, 0] = np.nan
    found = summary.paired(difference_ph, n_samples=4000, seed=0)
    assert found.value == pytest.approx(np.nanmean(difference_ph))
    by_hits = 1.96 * hits_h[1:].std() / np.sqrt(29)
    assert (found.high - found.low) / 2 == pytest.approx(by_hits, rel=0.1)
    assert found.panels_high - found.panels_low < 0.1 * by_hits


def test_a_difference_without_a_judged_hit_is_undefined(load):
    found = load("evidence_summary").paired(np.full((3, 4), np.nan), n_samples=10, seed=0)
    assert np.isnan(found.value)
    assert found.n_panels == 0


def test_the_graph_of_a_kernel_is_that_of_its_vectors(load, rng):
    vectors = rng.standard_normal((60, 8))
    found = load("networks").graph_of(vector_kernel("drawn", IDS, vectors, power=1), k=7, chunk=16)
    assert found.weights_gg.toarray() == pytest.approx(
        from_vectors(IDS, vectors, k=7, name="drawn").weights_gg.toarray()
    )
