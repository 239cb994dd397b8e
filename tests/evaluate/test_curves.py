"""Points of a learning curve and their mean over draws."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from perturbloop.errors import LeakageError
from perturbloop.evaluate.curves import curve_means, point_rows
from perturbloop.evaluate.held_out import Truth
from perturbloop.schema import CURVE_MEANS, CURVES
from perturbloop.stats.delong import auroc_interval

GENES = np.array([f"ENSG{number:011d}" for number in range(40)], dtype=object)


@pytest.fixture
def truth(rng):
    hit_n = rng.random(20) < 0.4
    return Truth(GENES[:20], np.zeros(20, dtype=int), hit_n, ~hit_n & (rng.random(20) < 0.3))


def predictions(score_g, *, fold=0):
    return pd.DataFrame(
        {"method": "posterior", "kind": "delete", "gene_id": GENES, "score": score_g, "fold": fold}
    )


def test_numbers_are_those_of_scikit_learn_and_the_interval_that_of_delong(truth, rng):
    score_g = rng.normal(size=40)
    area, precision = point_rows(predictions(score_g), truth, method="posterior")
    assert area["value"] == pytest.approx(roc_auc_score(truth.toward_n, score_g[:20]))
    assert precision["value"] == pytest.approx(average_precision_score(truth.toward_n, score_g[:20]))
    places = pd.Series(score_g).rank().to_numpy()[:20]
    expected = auroc_interval(truth.toward_n, places)
    assert (area["ci_low"], area["ci_high"]) == pytest.approx((expected.low, expected.high))
    assert (area["n_genes"], area["n_hits"]) == (20, int(truth.toward_n.sum()))


def test_a_target_without_a_score_counts_and_ranks_last(truth):
    score_g = np.where(np.append(truth.toward_n, [False] * 20), np.nan, 1.0)
    area, _ = point_rows(predictions(score_g), truth, method="posterior")
    assert area["value"] == 0.0
    assert area["n_genes"] == 20


def test_what_was_learnt_from_all_targets_is_refused(truth, rng):
    with pytest.raises(LeakageError, match="has no predictions made without fold"):
        point_rows(predictions(rng.normal(size=40), fold=-1), truth, method="posterior")


def draws(values, **row):
    base = {"kind": "delete", "method": "posterior", "panel": "random", "k": 20, "metric": "auroc"}
    base |= {"ci_low": 0.4, "ci_high": 0.8, "n_genes": 50, "n_hits": 5} | row
    return pd.DataFrame([base | {"seed": seed, "value": value} for seed, value in enumerate(values)])[
        CURVES.names
    ]


def test_a_mean_has_students_interval_over_draws_within_0_and_1():
    values = [0.5, 0.6, 0.7]
    found = curve_means(pd.concat([draws(values), draws([0.1, 0.99], k=50)]))
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert found.loc[0, ["value", "sd", "ci_low", "ci_high"]].tolist() == pytest.approx(
        [np.mean(values), np.std(values, ddof=1), low, high]
    )
    assert found.loc[0, ["n_draws", "interval"]].tolist() == [3, "panels"]
    assert found.loc[1, ["ci_low", "ci_high"]].tolist() == [0, 1]


def test_a_single_draw_keeps_its_interval_over_genes_and_what_has_none_says_so():
    found = curve_means(
        pd.concat([draws([0.6]), draws([0.3], metric="average_precision", ci_low=np.nan, ci_high=np.nan)])
    )
    assert found["interval"].tolist() == ["genes", ""]
    assert found.loc[0, ["ci_low", "ci_high"]].tolist() == [0.4, 0.8]
    assert found["sd"].isna().all()


def test_without_a_hit_nothing_is_defined():
    found = curve_means(draws([np.nan, np.nan]))
    assert found["value"].isna().all()
    assert found["interval"].tolist() == [""]


def test_an_empty_table_gives_an_empty_one():
    assert curve_means(pd.DataFrame(columns=CURVES.names)).columns.tolist() == CURVE_MEANS.names
