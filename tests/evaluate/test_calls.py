import numpy as np
import pandas as pd
import pytest
from scipy.stats import ranksums
from statsmodels.stats.multitest import multipletests

from perturbloop.errors import InputError
from perturbloop.evaluate import calls

TOKEN_OF = {f"ENSG{place:02}": place for place in range(4)}


def ranking(**columns):
    return pd.DataFrame({"gene_id": [f"ENSG{place:02}" for place in range(4)], "kind": "delete"} | columns)


def test_matched_null_calls_what_is_beyond_the_null_and_toward_the_goal():
    table = ranking(
        padj=[0.01, 0.01, 0.2, np.nan], null_z=[4.0, -4.0, 1.0, np.nan], benefit=[1.0, -1.0, 3.0, np.nan]
    )
    assert calls.call(table, by="matched-null", budget=1).tolist() == [True, False, False, False]
    below_its_like = table.assign(null_z=-4.0, benefit=0.1)
    assert not calls.call(below_its_like, by="matched-null", budget=1).any()
    away_but_less_than_its_like = table.assign(null_z=4.0, benefit=-0.1)
    assert not calls.call(away_but_less_than_its_like, by="matched-null", budget=1).any()


def test_budget_k_calls_exactly_k_and_never_a_gene_without_a_score():
    table = ranking(benefit=[1.0, 1.0, np.nan, 0.5])
    assert calls.call(table, by="budget-k", budget=1).sum() == 1
    assert calls.call(table, by="budget-k", budget=9).tolist() == [True, True, False, True]


def test_geneformer_calls_by_the_pooled_fdr_and_the_sign():
    table = ranking(pool_padj=[0.01, 0.01, 0.2, np.nan], shift_to_goal=[0.1, -0.1, 0.3, 0.4])
    assert calls.call(table, by="geneformer", budget=1).tolist() == [True, False, False, False]


def test_the_pooled_fdr_is_scipys_rank_sum_against_all_shifts(rng):
    shifts = pd.DataFrame(
        {"gene_id": [f"ENSG{place % 4:02}" for place in range(90)], "kind": "delete", "shift_to_goal": 0.0}
    )
    shifts["shift_to_goal"] = rng.normal(size=90).round(1) + shifts["gene_id"].eq("ENSG02")
    pvalues = [
        ranksums(shifts["shift_to_goal"], rows["shift_to_goal"]).pvalue
        for _, rows in shifts.groupby("gene_id")
    ]
    found = calls.with_pool_padj(ranking(), shifts, token_of=TOKEN_OF)["pool_padj"]
    np.testing.assert_allclose(found, multipletests(pvalues, method="fdr_bh")[1])


@pytest.mark.shared_data
@pytest.mark.parametrize("kind", ["delete", "overexpress"])
def test_the_pooled_fdr_is_the_published_tools(shared, kind):
    run = f"m64_cell_layer0_{kind}_all"
    raw = pd.read_parquet(shared / "golden/v1/shifts.parquet", filters=[("run_id", "==", run)])
    published = pd.read_csv(shared / f"golden/v1/stats/stats_{run}.csv").set_index("Ensembl_ID")
    raw = raw[raw["state"] == "stimulated"]
    shifts = pd.DataFrame(
        {"gene_id": raw["ensembl_ids"].str[0], "kind": kind, "shift_to_goal": raw["shift"].astype(float)}
    )
    table = pd.DataFrame({"gene_id": published.index, "kind": kind})
    token_of = dict(zip(published.index, published["Gene"], strict=True))
    found = calls.with_pool_padj(table, shifts, token_of=token_of)["pool_padj"]
    np.testing.assert_allclose(found, published["Goal_end_FDR"], rtol=1e-9)


def test_without_shifts_no_gene_has_a_pooled_fdr():
    shifts = pd.DataFrame({"gene_id": [], "kind": [], "shift_to_goal": []})
    assert calls.with_pool_padj(ranking(), shifts, token_of=TOKEN_OF)["pool_padj"].isna().all()


def test_an_unknown_rule_and_missing_columns_are_refused_by_name():
    with pytest.raises(InputError, match="Did you mean 'matched-null'"):
        calls.call(ranking(), by="matched_null", budget=1)
    with pytest.raises(InputError, match=r"`geneformer` needs .* missing: 'pool_padj', 'shift_to_goal'"):
        calls.call(ranking(), by="geneformer", budget=1)
