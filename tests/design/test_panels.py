"""Panels nest, hold the hits they are asked for, and cover what a graph links, without seeing an effect."""

import re
from itertools import combinations

import numpy as np
import pytest

from perturbloop.design.panels import panel
from perturbloop.errors import DesignError
from perturbloop.evidence.kernels import vector_kernel

IDS = np.array([f"gene{place}" for place in range(60)], dtype=object)
HITS = IDS[:12]
MODULES = vector_kernel("modules", IDS, np.repeat(np.eye(6), 10, axis=0))
RULES = {"random": {}, "hit-enriched": {"hits": HITS}, "coverage": {"kernel": MODULES}}


def draw(how: str, k: int, seed: int = 0) -> list[str]:
    return panel(how, k, gene_ids=IDS, rng=np.random.default_rng(seed), **RULES[how]).tolist()


@pytest.mark.parametrize("how", RULES)
def test_panels_nest_and_hold_each_gene_once(how: str) -> None:
    whole = draw(how, len(IDS))
    assert sorted(whole) == sorted(IDS)
    assert all(draw(how, k) == whole[:k] for k in (0, 1, 5, 20, 50))
    assert draw(how, 20) != draw(how, 20, seed=1)


@pytest.mark.parametrize("k", [5, 10, 20, 28])
def test_hit_enriched_panel_holds_its_share_of_hits(k: int) -> None:
    assert len(set(draw("hit-enriched", k)) & set(HITS)) == int(0.4 * k)


def test_hits_that_run_out_are_replaced_by_other_genes() -> None:
    assert len(set(draw("hit-enriched", 50)) & set(HITS)) == 12


@pytest.mark.parametrize("seed", range(5))
def test_coverage_takes_one_gene_of_each_module_first(seed: int) -> None:
    modules = {int(name.removeprefix("gene")) // 10 for name in draw("coverage", 6, seed)}
    assert modules == set(range(6))


def test_coverage_chooses_the_best_pair_when_it_can_see_all_genes(rng: np.random.Generator) -> None:
    ids = IDS[:8]
    kernel = vector_kernel("drawn", ids, rng.standard_normal((8, 3)), power=1)
    similar_gg = kernel.columns(np.arange(8))
    first = int(np.argmax(np.maximum(similar_gg, 0).sum(axis=0)))
    covered = {
        pair: np.maximum(similar_gg[:, list(pair)].max(axis=1), 0).sum()
        for pair in combinations(range(8), 2)
        if first in pair
    }
    found = panel("coverage", 2, gene_ids=ids, rng=rng, kernel=kernel)
    assert set(found) == set(ids[list(max(covered, key=lambda pair: covered[pair]))])


def test_coverage_takes_genes_without_neighbors_last() -> None:
    vectors = np.repeat(np.eye(6), 10, axis=0)
    vectors[40:] = 0
    kernel = vector_kernel("modules", IDS, vectors)
    chosen = panel("coverage", 4, gene_ids=IDS, rng=np.random.default_rng(0), kernel=kernel)
    assert {int(name.removeprefix("gene")) // 10 for name in chosen} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("how", "k", "given", "said"),
    [
        ("random", 61, {}, "it was to hold 61 of 60. Lower `k`"),
        ("hit-enriched", 5, {"hits": ["TP53"]}, "none of `hits` is. Give hits of a screen"),
        ("coverage", 5, {}, "needs a kernel that says which genes are alike"),
    ],
)
def test_a_panel_that_cannot_be_drawn_is_refused(how: str, k: int, given: dict, said: str) -> None:
    with pytest.raises(DesignError, match=re.escape(said)):
        panel(how, k, gene_ids=IDS, rng=np.random.default_rng(0), **given)
