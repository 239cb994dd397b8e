import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from perturbloop.data.gene_sets import GeneSets
from perturbloop.errors import InputError, LeakageError
from perturbloop.evaluate.gains import kept_by_control, paired_gain, rank_correlation
from perturbloop.evaluate.metrics import auroc
from perturbloop.schema import EFFECTS, EvaluateConfig
from perturbloop.stats.delong import auroc_difference
from perturbloop.stats.resample import bootstrap_interval

GENES = [f"ENSG{place:02}" for place in range(40)]
CONFIG = EvaluateConfig(bootstrap=100)


@pytest.fixture
def effects():
    table = pd.DataFrame(dict.fromkeys(EFFECTS.names, ""), index=range(40))
    return table.assign(
        gene_id=GENES, modality="crispri", level="gene", effect_to_goal=1.0, hit=np.arange(40) < 10, fold=0
    )


@pytest.fixture
def predictions(rng):
    good = np.where(np.arange(40) < 10, 2.0, 0.0) + rng.normal(size=40)
    parts = {"frozen": good, "de": rng.normal(size=40)}
    return pd.concat(
        pd.DataFrame({"method": name, "kind": "delete", "gene_id": GENES, "score": score, "fold": -1})
        for name, score in parts.items()
    )


def scores(predictions, method):
    return predictions.loc[predictions["method"] == method, "score"].to_numpy()


def test_a_gain_is_the_difference_of_two_aurocs_on_the_same_genes(predictions, effects):
    gain = paired_gain(predictions, effects, "frozen", "de", kind="delete", config=CONFIG)
    hit_n = effects["hit"].to_numpy()
    expected = roc_auc_score(hit_n, scores(predictions, "frozen")) - roc_auc_score(
        hit_n, scores(predictions, "de")
    )
    assert gain.value == pytest.approx(expected)
    assert gain.ci_low < gain.value < gain.ci_high
    delong = auroc_difference(hit_n, scores(predictions, "frozen"), scores(predictions, "de"))
    assert (gain.delong_low, gain.delong_high, gain.pvalue) == pytest.approx(
        (delong.low, delong.high, delong.pvalue)
    )
    assert (gain.n_genes, gain.n_hits) == (40, 10)


def test_the_interval_of_a_gain_is_that_of_the_plain_paired_bootstrap(predictions, effects):
    gain = paired_gain(predictions, effects, "frozen", "de", kind="delete", config=CONFIG)
    plain = bootstrap_interval(
        lambda hit_n, first_n, second_n: auroc(hit_n, first_n) - auroc(hit_n, second_n),
        effects["hit"].to_numpy(),
        scores(predictions, "frozen"),
        scores(predictions, "de"),
        rng=np.random.default_rng(CONFIG.seed),
        n_samples=CONFIG.bootstrap,
    )
    assert (gain.ci_low, gain.ci_high) == (plain.low, plain.high)


@pytest.mark.parametrize(("n_hits", "defined"), [(0, False), (1, True), (39, True), (40, False)])
def test_one_hit_or_one_other_target_gives_a_difference_without_an_interval(
    predictions, effects, n_hits, defined
):
    few = effects.assign(hit=np.arange(40) < n_hits)
    gain = paired_gain(predictions, few, "frozen", "de", kind="delete", config=CONFIG)
    assert np.isnan(gain.value) != defined
    assert np.isnan([gain.ci_low, gain.ci_high, gain.delong_low, gain.pvalue]).all()


def test_a_method_gains_nothing_over_itself(predictions, effects):
    gain = paired_gain(predictions, effects, "de", "de", kind="delete", config=CONFIG)
    assert (gain.value, gain.ci_low, gain.ci_high) == (0, 0, 0)
    assert gain.pvalue == 1


def test_only_genes_that_both_score_are_compared(predictions, effects):
    shorter = predictions[(predictions["method"] == "de") | ~predictions["gene_id"].isin(GENES[:4])]
    gain = paired_gain(shorter, effects, "frozen", "de", kind="delete", config=CONFIG)
    assert (gain.n_genes, gain.n_hits) == (36, 6)


def test_with_gene_sets_only_targets_unlike_the_training_ones_are_compared(predictions, effects):
    member_gs = csr_matrix(np.isin(np.arange(40), [*range(5, 9), 39]).astype(np.float32)[:, None])
    sets = GeneSets("a.gmt", np.array(["a"], dtype=object), np.array(GENES, dtype=object), member_gs)
    spent = effects.assign(fold=np.where(np.arange(40) == 39, -1, 0))
    gain = paired_gain(predictions, spent, "frozen", "de", kind="delete", config=CONFIG, gene_sets=sets)
    kept_n = ~np.isin(np.arange(40), [*range(5, 9), 39])
    hit_n = effects["hit"].to_numpy()[kept_n]
    expected = [roc_auc_score(hit_n, scores(predictions, name)[kept_n]) for name in ("frozen", "de")]
    assert gain.value == pytest.approx(expected[0] - expected[1])
    assert (gain.n_genes, gain.n_hits) == (35, 6)


def test_leaking_and_missing_methods_are_refused(predictions, effects):
    with pytest.raises(InputError, match=r"no predictions of `frozn` for `delete`. Closest: 'frozen'"):
        paired_gain(predictions, effects, "frozn", "de", kind="delete", config=CONFIG)
    with pytest.raises(LeakageError, match="`evidence` uses measured effects"):
        paired_gain(
            predictions.replace("frozen", "evidence"), effects, "evidence", "de", kind="delete", config=CONFIG
        )


def test_what_a_control_keeps_is_said_in_words():
    assert kept_by_control(0.1, 0.04).share == pytest.approx(0.4)
    assert kept_by_control(0.1, -0.04).sentence == "The control keeps none of a gain of +0.100."
    assert np.isnan(kept_by_control(0.0, 0.04).share)
    assert "undefined" in kept_by_control(np.nan, 0.04).sentence


def test_rank_correlation_is_spearmans_on_shared_genes(predictions, rng):
    earlier = predictions[predictions["gene_id"].isin(GENES[5:])]
    found = rank_correlation(predictions, earlier, method="de", reference="frozen", kind="delete")
    expected = spearmanr(scores(predictions, "de")[5:], scores(predictions, "frozen")[5:]).statistic
    assert found.rho == pytest.approx(expected)
    assert found.n_genes == 35


def test_an_unchanged_ranking_has_correlation_one_and_a_constant_one_none(predictions):
    same = rank_correlation(predictions, predictions, method="de", reference="de", kind="delete")
    assert same.rho == pytest.approx(1)
    flat = predictions.assign(score=1.0)
    assert np.isnan(rank_correlation(flat, predictions, method="de", reference="de", kind="delete").rho)
