"""The parts of the real-data benchmarks that decide a number."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from perturbloop.data.vocabulary import Vocabulary

FOLDER = Path(__file__).parents[2] / "benchmarks" / "real"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


judge, pseudo, truth = load("judge"), load("pseudo_cells"), load("truth")


def test_a_pseudo_cell_has_the_molecules_asked_for_in_the_shares_of_its_sample():
    counts_rg = np.array([[8000.0, 2000.0, 0.0], [0.0, 5000.0, 5000.0]])
    sample_n = np.repeat([0, 1], 200)
    umi_n = np.full(400, 50)
    cells = pseudo.thin(counts_rg, umi_n, sample_n, 3).toarray()
    assert (cells.sum(axis=1) == 50).all()
    assert cells[:200].mean(axis=0) / 50 == pytest.approx([0.8, 0.2, 0.0], abs=0.02)
    assert (cells[200:, 0] == 0).all()


def test_matched_auroc_is_the_auroc_where_there_is_one_stratum_and_forgets_what_strata_explain():
    rng = np.random.default_rng(0)
    hit_n, score_n = rng.random(200) < 0.2, rng.random(200)
    assert judge.matched_auroc(hit_n, score_n, np.zeros(200)) == pytest.approx(roc_auc_score(hit_n, score_n))
    stratum_n = np.repeat([0, 1], 100)
    hit_n = rng.random(200) < np.where(stratum_n == 1, 0.5, 0.05)
    assert judge.matched_auroc(hit_n, stratum_n.astype(float), stratum_n) == 0.5
    assert roc_auc_score(hit_n, stratum_n) > 0.7


def test_the_auroc_of_the_bootstrap_is_the_usual_one_ties_and_all():
    rng = np.random.default_rng(1)
    for _ in range(5):
        hit_n, score_n = rng.random(60) < 0.3, rng.integers(0, 12, 60).astype(float)
        assert judge.auroc_of_ranks(hit_n, judge.ranks(score_n)) == pytest.approx(
            roc_auc_score(hit_n, score_n)
        )
    assert np.isnan(judge.auroc_of_ranks(np.zeros(3, dtype=bool), np.arange(3)))


def test_a_signed_ranking_is_turned_for_negative_regulators_and_unscored_genes_come_last():
    signed = judge.Method("ISP", pd.Series({"A": 2.0, "B": -3.0}), signed=True)
    genes = pd.Index(["A", "B", "C"])
    assert signed.toward(genes, "positive").tolist() == [2.0, -3.0, -4.0]
    assert signed.toward(genes, "negative").tolist() == [-2.0, 3.0, -3.0]
    assert signed.toward(genes, "unsigned").tolist() == [2.0, 3.0, 1.0]
    unsigned = judge.Method("expression", pd.Series({"A": 2.0, "B": 1.0}), signed=False)
    assert unsigned.toward(genes, "negative").tolist() == [2.0, 1.0, 0.0]


@pytest.mark.shared_data
def test_known_regulators_have_their_sign_in_both_screens(shared):
    words = Vocabulary.published(shared / "geneformer")
    gene = words.aliases
    ifng = truth.crispri_ifng(shared / "screens/schmidt_ifng_d2.gene_summary.txt", words).set_index("gene_id")
    for name in ("ZAP70", "VAV1", "CD3G", "LCP2"):
        assert ifng.loc[gene[name], "positive"]
        assert ifng.loc[gene[name], "effect"] > 0
    for name in ("CBLB", "CD5"):
        assert ifng.loc[gene[name], "effect"] < 0
    tnf = truth.crispra_tnf(shared / "screens/schmidt2022_CRISPRa_TNF.csv", words, published=False)
    tnf = tnf.set_index("gene_id")
    assert tnf.loc[[gene["VAV1"], gene["CD28"]], "positive"].all()
    assert tnf.loc[gene["MAP4K1"], "negative"]
