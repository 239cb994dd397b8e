import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from perturbloop.errors import LeakageError
from perturbloop.evaluate.strata import by_stratum, quantile_strata, strata
from perturbloop.schema import EFFECTS, STRATA

GENES = [f"ENSG{place:03}" for place in range(200)]


@pytest.fixture
def level_g(rng):
    return rng.normal(size=200)


@pytest.fixture
def hit_g(rng, level_g):
    """Hits are frequent among highly expressed genes, and for no other reason."""
    return rng.random(200) < 1 / (1 + np.exp(2.5 - 1.5 * level_g))


@pytest.fixture
def effects(hit_g):
    table = pd.DataFrame(dict.fromkeys(EFFECTS.names, ""), index=range(200))
    return table.assign(
        gene_id=GENES, modality="crispri", level="gene", effect_to_goal=1.0, hit=hit_g, fold=0
    )


def predictions_of(**scores):
    return pd.concat(
        pd.DataFrame({"method": name, "kind": "delete", "gene_id": GENES, "score": score_g, "fold": -1})
        for name, score_g in scores.items()
    )


def value(table, method, stratum, by="expression", column="value"):
    rows = table[(table["method"] == method) & (table["stratum"] == stratum) & (table["by"] == by)]
    return rows[column].item()


def test_a_ranking_that_only_knows_the_strata_is_chance_within_them(effects, level_g):
    wanted = int(np.clip(effects["hit"].sum() // 5, 2, 5))
    coarse_g = quantile_strata(level_g, wanted).astype(float)
    table = strata(
        predictions_of(expression=coarse_g), effects, expression=dict(zip(GENES, level_g, strict=True))
    )
    assert list(table.columns) == STRATA.names
    assert value(table, "expression", "all") > 0.65
    assert value(table, "expression", "within strata") == 0.5
    assert value(table, "expression", f"{wanted} of {wanted}") == 0.5


def test_each_stratum_is_scikit_learns_auroc_of_its_genes(effects, level_g, hit_g, rng):
    score_g = rng.normal(size=200) + hit_g
    table = strata(predictions_of(frozen=score_g), effects, expression=dict(zip(GENES, level_g, strict=True)))
    edges = np.quantile(level_g, np.linspace(0, 1, 6))
    won, pairs = 0.0, 0
    for place in range(5):
        here = (level_g <= edges[place + 1]) & ((level_g > edges[place]) | (place == 0))
        n_hits, n_other = hit_g[here].sum(), (~hit_g[here]).sum()
        assert value(table, "frozen", f"{place + 1} of 5", column="n_genes") == here.sum()
        assert value(table, "frozen", f"{place + 1} of 5", column="n_hits") == n_hits
        if n_hits:
            auroc = roc_auc_score(hit_g[here], score_g[here])
            assert value(table, "frozen", f"{place + 1} of 5") == pytest.approx(auroc)
            won, pairs = won + auroc * n_hits * n_other, pairs + n_hits * n_other
    assert value(table, "frozen", "within strata") == pytest.approx(won / pairs)
    assert value(table, "frozen", "all") == pytest.approx(roc_auc_score(hit_g, score_g))


def test_few_hits_give_few_strata(effects, level_g, rng):
    few = effects.assign(hit=np.arange(200) % 50 == 3)
    table = strata(
        predictions_of(frozen=rng.normal(size=200)), few, expression=dict(zip(GENES, level_g, strict=True))
    )
    assert table["stratum"].tolist() == ["all", "1 of 2", "2 of 2", "within strata"]


def test_genes_without_known_expression_stand_apart_and_unscored_ones_are_left_out(effects, level_g, rng):
    score_g = rng.normal(size=200)
    score_g[:10] = np.nan
    known = dict(zip(GENES[30:], level_g[30:], strict=True))
    table = strata(predictions_of(frozen=score_g), effects, expression=known)
    assert value(table, "frozen", "all", column="n_genes") == 190
    assert value(table, "frozen", "unknown", column="n_genes") == 20


def test_essential_genes_are_told_apart_where_they_are_known(effects, level_g, hit_g, rng):
    score_g = rng.normal(size=200)
    expression = dict(zip(GENES, level_g, strict=True))
    table = strata(predictions_of(frozen=score_g), effects, expression=expression, essential=GENES[:80])
    found = value(table, "frozen", "core essential", by="essentiality")
    assert found == pytest.approx(roc_auc_score(hit_g[:80], score_g[:80]))
    assert value(table, "frozen", "other", by="essentiality", column="n_genes") == 120
    assert set(strata(predictions_of(frozen=score_g), effects, expression=expression)["by"]) == {"expression"}


def test_without_hits_no_auroc_is_defined_and_leaks_are_refused(effects, level_g):
    expression = dict(zip(GENES, level_g, strict=True))
    table = strata(predictions_of(frozen=level_g), effects.assign(hit=False), expression=expression)
    assert table["value"].isna().all()
    assert len(table) == 4
    assert strata(predictions_of(frozen=level_g), effects.assign(fold=-1), expression=expression).empty
    with pytest.raises(LeakageError, match="`evidence` uses measured effects"):
        strata(predictions_of(evidence=level_g), effects, expression=expression)


def test_a_stratum_of_hits_only_has_no_auroc():
    rows = {
        row["stratum"]: row
        for row in by_stratum(
            np.array([True, True, False]), np.arange(3.0), np.array(list("aab"), dtype=object)
        )
    }
    assert np.isnan([rows["a"]["value"], rows["b"]["value"], rows["within strata"]["value"]]).all()
    assert rows["all"]["value"] == 0
