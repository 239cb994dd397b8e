import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn import metrics as oracle

from perturbloop.evaluate import metrics


@pytest.fixture(params=[False, True], ids=["distinct", "tied"])
def genes(request, rng):
    hit_n = rng.random(60) < 0.2
    score_n = rng.normal(size=60) + hit_n
    return hit_n, score_n.round() if request.param else score_n


def test_auroc_is_the_mann_whitney_statistic(genes):
    hit_n, score_n = genes
    pairs = hit_n.sum() * (~hit_n).sum()
    assert metrics.auroc(hit_n, score_n) == pytest.approx(
        mannwhitneyu(score_n[hit_n], score_n[~hit_n]).statistic / pairs
    )
    assert metrics.auroc(hit_n, -score_n) == pytest.approx(1 - metrics.auroc(hit_n, score_n))


def test_score_metrics_equal_scikit_learns(genes):
    hit_n, score_n = genes
    assert metrics.auroc(hit_n, score_n) == pytest.approx(oracle.roc_auc_score(hit_n, score_n))
    assert metrics.average_precision(hit_n, score_n) == pytest.approx(
        oracle.average_precision_score(hit_n, score_n)
    )


def test_call_metrics_equal_scikit_learns(genes):
    hit_n, score_n = genes
    called_n = score_n > 0.5
    assert metrics.ppv(hit_n, called_n) == pytest.approx(oracle.precision_score(hit_n, called_n))
    assert metrics.npv(hit_n, called_n) == pytest.approx(oracle.precision_score(~hit_n, ~called_n))
    assert metrics.sensitivity(hit_n, called_n) == pytest.approx(oracle.recall_score(hit_n, called_n))
    assert metrics.specificity(hit_n, called_n) == pytest.approx(oracle.recall_score(~hit_n, ~called_n))
    assert metrics.lift(hit_n, called_n) == pytest.approx(metrics.ppv(hit_n, called_n) / hit_n.mean())


def test_precision_at_k_is_a_count_and_breaks_ties_by_expectation(rng):
    hit_n = np.array([True, False, True, True, False])
    assert metrics.precision_at_k(hit_n, np.array([5.0, 4.0, 3.0, 2.0, 1.0]), k=3) == pytest.approx(2 / 3)
    tied = np.array([9.0, 1.0, 1.0, 1.0, 0.0])
    drawn = [hit_n[np.lexsort((rng.random(5), -tied))[:2]].mean() for _ in range(2000)]
    assert metrics.precision_at_k(hit_n, tied, k=2) == pytest.approx(np.mean(drawn), abs=0.03)
    assert metrics.recall_at_k(hit_n, tied, k=5) == 1


def test_what_has_no_denominator_is_undefined():
    none, every = np.zeros(4, dtype=bool), np.ones(4, dtype=bool)
    score_n = np.arange(4.0)
    assert np.isnan(metrics.auroc(none, score_n))
    assert np.isnan(metrics.auroc(every, score_n))
    assert np.isnan(metrics.average_precision(none, score_n))
    assert np.isnan(metrics.ppv(every, none))
    assert np.isnan(metrics.npv(none, every))
    assert np.isnan(metrics.lift(none, every))
    assert np.isnan(metrics.precision_at_k(every, score_n, k=5))


def test_the_published_figures_agree_with_each_other():
    """Sensitivity 48 % and specificity 60 % at a prevalence of 2.5 % give a PPV of 3 %: a lift of 1.2."""
    hit_n = np.arange(40_000) < 1_000
    called_n = np.concatenate([np.arange(1_000) < 480, np.arange(39_000) >= 23_400])
    assert metrics.ppv(hit_n, called_n) == pytest.approx(0.030, abs=0.001)
    assert metrics.npv(hit_n, called_n) == pytest.approx(0.978, abs=0.001)
    assert metrics.lift(hit_n, called_n) == pytest.approx(1.2, abs=0.02)
