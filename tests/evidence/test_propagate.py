import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from perturbloop.errors import InputError
from perturbloop.evidence.graphs import GeneGraph, from_vectors
from perturbloop.evidence.propagate import combine, propagate, shuffle_effects


@pytest.fixture
def graph(rng):
    ids = np.array([f"ENSG{place:011d}" for place in range(40)], dtype=object)
    return from_vectors(ids, rng.normal(size=(40, 4)), k=5, name="test")


def slow_one_hop(graph, targets, effect, weight, doubt):
    """Weighted mean over the measured neighbors, gene by gene."""
    place = {gene: number for number, gene in enumerate(graph.gene_ids)}
    dense, score = graph.weights_gg.toarray(), []
    for gene in graph.gene_ids:
        total = support = 0.0
        for target, value, precision in zip(targets, effect, weight, strict=True):
            if target != gene:
                total += dense[place[gene], place[target]] * precision * value
                support += dense[place[gene], place[target]] * precision
        score.append(total / (support + doubt) if support else 0.0)
    return np.array(score)


def test_one_hop_is_the_weighted_mean_of_measured_neighbors(graph, rng):
    targets, effect, se = graph.gene_ids[3:15], rng.normal(size=12), rng.uniform(0.1, 0.8, size=12)
    between = max((effect**2).mean() - (se**2).mean(), 0.1 * (effect**2).mean())
    weight = 1 / (between + se**2)
    found = propagate(graph, targets, effect, se, hops=1, doubt=0.2)["score"]
    np.testing.assert_allclose(found, slow_one_hop(graph, targets, effect, weight / weight.mean(), 0.2))


def test_two_hops_reach_neighbors_of_neighbors(graph, rng):
    targets, effect, se = graph.gene_ids[:4], np.ones(4), np.full(4, 0.1)
    one, two = (propagate(graph, targets, effect, se, hops=hops) for hops in (1, 2))
    walks = graph.weights_gg + 0.5 * (graph.weights_gg @ graph.weights_gg)
    expected = walks.toarray()[:, :4]
    expected[np.arange(4), np.arange(4)] = 0
    np.testing.assert_allclose(two["support"], expected.sum(axis=1), atol=1e-12)
    assert (two["n_measured"] > 0).sum() > (one["n_measured"] > 0).sum()


def test_a_targets_own_effect_never_scores_it(graph, rng):
    targets, effect, se = graph.gene_ids[:6], rng.normal(size=6), np.full(6, 0.1)
    changed = effect.copy()
    changed[0] = -changed[0]  # same size, so the same precisions
    before, after = (propagate(graph, targets, values, se)["score"] for values in (effect, changed))
    assert before[0] == after[0]
    assert (before != after).any()


def test_genes_out_of_reach_get_zero_and_no_support():
    weights = sparse.csr_matrix(np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 0]]))
    graph = GeneGraph("pair", np.array(["a", "b", "c"], dtype=object), weights)
    found = propagate(
        graph, np.array(["a", "elsewhere"], dtype=object), np.array([2.0, 9.0]), np.zeros(2), doubt=0.0
    )
    assert found["score"].tolist() == [0.0, 2.0, 0.0]
    assert found["support"].tolist() == [0.0, 1.0, 0.0]
    nothing = propagate(graph, np.array([], dtype=object), np.array([]), np.array([]))
    assert nothing["score"].tolist() == [0.0, 0.0, 0.0]


def test_noisy_effects_count_less(graph):
    targets = graph.gene_ids[:2]
    weights = sparse.csr_matrix((np.array([0.5, 0.5]), ([5, 5], [0, 1])), shape=(40, 40))
    pair = GeneGraph("pair", graph.gene_ids, weights)
    score = propagate(pair, targets, np.array([1.0, -1.0]), np.array([0.1, 2.0]), doubt=0.0)["score"][5]
    assert 0 < score < 1
    assert propagate(pair, targets, np.array([1.0, -1.0]), np.zeros(2), doubt=0.0)["score"][5] == 0


def test_effects_and_scores_share_their_unit_and_sign(graph, rng):
    targets, effect, se = graph.gene_ids[:9], rng.normal(size=9), rng.uniform(0.1, 0.3, size=9)
    score = propagate(graph, targets, effect, se)["score"]
    np.testing.assert_allclose(propagate(graph, targets, -3 * effect, 3 * se)["score"], -3 * score)


def test_a_module_of_causes_is_found_from_a_few_of_them(rng):
    vector = rng.normal(size=(60, 10)) + 4 * np.eye(10)[np.repeat(np.arange(10), 6)]
    ids = np.array([f"g{place}" for place in range(60)], dtype=object)
    graph = from_vectors(ids, vector, k=5, name="modules")
    effect = np.repeat([1.0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 6)
    measured = np.arange(60) % 6 < 2
    score = propagate(graph, ids[measured], effect[measured], np.full(20, 0.1))["score"].to_numpy()
    assert set(np.argsort(-score[~measured])[:4]) == {0, 1, 2, 3}


def test_combining_adds_scipys_z_scores_and_ignores_units(rng):
    a, b = rng.normal(size=(2, 30))
    np.testing.assert_allclose(combine(a, b), stats.zscore(a) + stats.zscore(b))
    np.testing.assert_allclose(combine(5 * a + 2, b), combine(a, b))


def test_a_gene_with_one_score_gets_the_mean_for_the_other():
    a, b = np.array([1.0, 2.0, np.nan, np.nan]), np.array([np.nan, 0.0, 1.0, np.nan])
    np.testing.assert_allclose(combine(a, b), [-1, 0, 1, np.nan])
    assert np.isnan(combine(np.full(3, np.nan), np.full(3, np.nan))).all()


def test_shuffling_moves_measurements_as_one_piece_and_leaves_targets_in_place(rng):
    effects = pd.DataFrame(
        {
            "gene_id": list("abcdef"),
            "effect_to_goal": np.arange(6.0),
            "se": np.arange(6.0) / 10,
            "fold": range(6),
        }
    )
    shuffled = shuffle_effects(effects, rng)
    assert shuffled["gene_id"].tolist() == list("abcdef")
    assert shuffled["fold"].tolist() == list(range(6))
    assert shuffled["effect_to_goal"].tolist() != effects["effect_to_goal"].tolist()
    assert sorted(shuffled["effect_to_goal"]) == sorted(effects["effect_to_goal"])
    np.testing.assert_allclose(shuffled["se"], shuffled["effect_to_goal"] / 10)
    assert effects["effect_to_goal"].tolist() == list(range(6))


def test_doubled_targets_and_impossible_errors_are_refused(graph):
    twice = graph.gene_ids[[0, 0]]
    with pytest.raises(
        InputError, match=r"these have several: 'ENSG00000000000'\. Keep the gene-level rows of one modality"
    ):
        propagate(graph, twice, np.ones(2), np.ones(2))
    with pytest.raises(
        InputError, match=r"errors not negative; those of 'ENSG00000000001' are not\. Measure them again"
    ):
        propagate(graph, graph.gene_ids[:2], np.ones(2), np.array([0.1, -1.0]))
