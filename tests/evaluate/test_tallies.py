"""Each metric of all bootstrap samples at once, against the plain metric of the genes of each sample."""

import numpy as np
import pytest

from perturbloop.evaluate import tallies
from perturbloop.evaluate.metrics import METRICS
from perturbloop.stats.resample import times_drawn

N_SAMPLES = 60


@pytest.fixture(params=["distinct", "tied", "two scores", "few hits", "hits only"])
def genes(request, rng):
    """Hits, scores, and how often each gene is in each sample; in some samples there is no hit, or nothing else."""
    share = {"few hits": 0.05, "hits only": 1.0}.get(request.param, 0.3)
    hit_n, score_n = rng.random(40) < share, rng.normal(size=40)
    if request.param == "tied":
        score_n = score_n.round()
    if request.param == "two scores":
        score_n = (score_n > 0).astype(float)
    return hit_n, score_n, times_drawn(40, rng=rng, n_samples=N_SAMPLES)


@pytest.mark.parametrize("metric", METRICS, ids=[metric.name for metric in METRICS])
@pytest.mark.parametrize("k", [1, 7, 40, 41])
def test_a_metric_of_all_samples_is_the_metric_of_each(metric, k, genes):
    hit_n, score_n, times_nb = genes
    options = {"k": k} if metric.needs == "k" else {}
    value_n = score_n > 1 if metric.needs == "call" else score_n
    counted = tallies.of_calls if metric.needs == "call" else tallies.of_scores
    found_b = metric.resampled(counted(hit_n, value_n, times_nb), **options)
    rows = [np.repeat(np.arange(40), times_n.astype(int)) for times_n in times_nb.T]
    expected_b = [metric.function(hit_n[row], value_n[row], **options) for row in rows]
    np.testing.assert_allclose(found_b, expected_b, rtol=1e-14)


def test_genes_that_no_metric_tells_apart_are_one_group(rng):
    hit_n = np.isin(np.arange(1000), [10, 11, 500])
    tally = tallies.of_scores(hit_n, -np.arange(1000.0), np.ones((1000, 1), dtype=np.float32))
    kept = tally.taken_gb[-1] - tally.taken_gb[:, 0]
    assert len(tally.hits_gb) <= 7
    assert sorted(set(kept)) == [0, 499, 500, 988, 989, 990]


def test_nothing_called_leaves_two_groups():
    tally = tallies.of_calls(np.arange(5) < 2, np.zeros(5, dtype=bool), np.ones((5, 3), dtype=np.float32))
    assert tally.hits_gb.tolist() == [[0, 0, 0], [2, 2, 2]]
    assert np.isnan(tallies.ppv(tally)).all()
