import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from perturbloop.errors import InputError
from perturbloop.evidence.score import (
    fit_state_score,
    readout_genes,
    readout_split,
    scores_by_target,
    shared_genes,
    soft_labels,
)


def test_score_equals_a_centered_dense_logistic_regression(lab):
    cells, is_goal, train = lab.states()
    score = fit_state_score(cells, is_goal, train, cells.gene_ids)
    total = cells.counts_ng.toarray().sum(axis=1, keepdims=True)
    dense = np.log1p(cells.counts_ng.toarray() / total * 1e4)
    scaled = StandardScaler().fit(dense[train])
    model = LogisticRegression(C=score.strength, tol=1e-8, max_iter=10_000).fit(
        scaled.transform(dense[train]), is_goal[train]
    )
    expected = model.decision_function(scaled.transform(dense))
    np.testing.assert_allclose(score.readout.score(cells), expected, atol=0.01 * expected.std())
    assert score.heldout_auroc == pytest.approx(roc_auc_score(is_goal[~train], expected[~train]), abs=0.01)


def test_goal_cells_score_higher_than_start_cells(lab):
    cells, is_goal, train = lab.states()
    score_n = fit_state_score(cells, is_goal, train, cells.gene_ids).readout.score(cells)
    assert score_n[is_goal].mean() > score_n[~is_goal].mean()


def test_a_score_without_a_gene_never_sees_it(lab):
    cells, is_goal, train = lab.states()
    score = fit_state_score(cells, is_goal, train, cells.gene_ids)
    without = score.without(cells.gene_ids[0])
    changed = cells.counts_ng.tolil()
    changed[:, 0] = 1000
    altered = type(cells)(changed.tocsr(), cells.gene_ids, cells.gene_names, cells.obs, "", "")
    np.testing.assert_array_equal(without.score(altered), without.score(cells))
    assert score.without("ENSG99999999999") is score.readout


def test_targets_are_scored_without_their_own_gene(lab):
    cells, is_goal, train = lab.states()
    screen = lab.screen({"GENE000": 0.0, "elsewhere": 0.0})
    score = fit_state_score(cells, is_goal, train, cells.gene_ids)
    scored = scores_by_target(score, screen, {"GENE000": frozenset([lab.gene_ids[0]])})
    assert lab.gene_ids[0] not in scored["GENE000"][0].gene_ids
    assert scored["elsewhere"][0] is score.readout
    np.testing.assert_array_equal(scored["elsewhere"][1], score.readout.score(screen.cells))


def test_the_halves_are_disjoint_complete_and_the_same_in_any_order(lab):
    labels, judges = readout_genes(lab.gene_ids, "label"), readout_genes(lab.gene_ids, "judge")
    assert set(labels) | set(judges) == set(lab.gene_ids)
    assert not set(labels) & set(judges)
    assert 15 < len(labels) < 45
    np.testing.assert_array_equal(readout_split(lab.gene_ids[::-1]), readout_split(lab.gene_ids)[::-1])


def test_soft_labels_follow_the_effect_and_controls_look_like_start_cells(lab):
    cells, is_goal, train = lab.states()
    screen = lab.screen({"GENE021": 0.0, "GENE022": 0.5, "GENE023": 1.0}, replicate_bias=0.3)
    labels = soft_labels(cells, is_goal, train, screen)
    mean = {name: labels.probability_n[screen.target_n == name].mean() for name in set(screen.target_n)}
    assert mean["control"] < 0.25
    assert abs(mean["GENE021"] - mean["control"]) < 0.1
    assert mean["control"] + 0.1 < mean["GENE022"] < mean["GENE023"]
    assert labels.n_genes == len(readout_genes(lab.gene_ids, "label"))
    assert not np.isnan(labels.probability_n).any()


def test_too_few_shared_genes_are_refused_with_the_count(lab):
    cells, _, _ = lab.states()
    with pytest.raises(
        InputError, match=r"must share at least 20 genes.*they share 5: 'ENSG00000000000'.*right id column"
    ):
        shared_genes(cells.restrict(cells.gene_ids[:5]), cells)


def test_a_held_out_side_with_one_state_is_refused(lab):
    cells, is_goal, _ = lab.states()
    train = is_goal | (np.arange(len(is_goal)) % 4 == 0)
    with pytest.raises(InputError, match=r"The held-out cells .* hold 75 start and 0 goal cells"):
        fit_state_score(cells, is_goal, train, cells.gene_ids)
