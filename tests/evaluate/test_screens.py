"""A ranking against a screen: three states of a gene, definitions of a hit, and the ceiling of replicates."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from perturbloop.data.screens import read_screen
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError, LeakageError
from perturbloop.evaluate.screens import DEFINITIONS, as_read, ceiling, counts, score_of, sweep, truth
from perturbloop.schema import RANKING, SCREEN_SWEEP, SCREEN_TRUTH, ScreenConfig

N_GENES = 200


@pytest.fixture
def screen(rng):
    """A CRISPRi screen in which raising the first twenty genes drives the goal, and the next ten hinder it."""
    effect = rng.normal(size=N_GENES)
    effect[:20] += 4
    effect[20:30] -= 4
    hit = np.arange(N_GENES) < 30
    return pd.DataFrame(
        {
            "gene_id": [f"ENSG{place:011d}" for place in range(N_GENES)],
            "gene_name": [f"GENE{place}" for place in range(N_GENES)],
            "label": [f"GENE{place}" for place in range(N_GENES)],
            "modality": "crispri",
            "effect_to_goal": -effect,
            "effect": effect,
            "se": np.nan,
            "pvalue": np.nan,
            "padj": np.where(hit, 0.03, 0.5),
            "hit": hit,
            "n_reagents": 3,
        }
    )


@pytest.fixture
def score(screen, rng):
    """Benefit of inhibiting: right but noisy, and unknown for the last fifty genes."""
    value = screen["effect_to_goal"].to_numpy() + rng.normal(0, 3, N_GENES)
    value[150:] = np.nan
    return pd.Series(value, index=screen["gene_id"].to_numpy(object))


@pytest.fixture
def detection(screen):
    """Every fourth gene is silent, and the last ten are not among the genes of the cells."""
    share = np.where(np.arange(N_GENES) % 4 == 0, 0.001, 0.5)
    return pd.Series(share, index=screen["gene_id"].to_numpy(object))[:-10]


def one(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table.squeeze()


def test_every_gene_of_the_screen_has_one_of_three_states(screen, score, detection):
    spent = list(screen["gene_id"][:6])
    table = truth(score, screen, spent=spent, detection=detection)
    assert list(table.columns) == SCREEN_TRUTH.names
    assert list(table["gene_id"]) == list(screen["gene_id"])
    assert set(table.loc[table["reason"] == "spent", "gene_id"]) == set(spent)
    by_gene = table.set_index("gene_id")
    assert by_gene.loc["ENSG00000000008", "reason"] == "not expressed"
    assert by_gene.loc["ENSG00000000199", "reason"] == "not expressed"  # not among the genes of the cells
    assert by_gene.loc["ENSG00000000151", "status"] == "not_scored"
    assert by_gene.loc["ENSG00000000009", "status"] == "scored"
    found = counts(table)
    assert sum(found[name] for name in ("scored", "not_scored", "spent", "not expressed")) == N_GENES
    assert sum(value for name, value in found.items() if name.endswith("hits")) == 30
    assert found["spent hits"] == 6


def test_a_gene_that_the_ranking_does_not_know_is_not_scored(screen, score):
    table = truth(score.iloc[:10], screen)
    assert counts(table)["not_scored"] == N_GENES - 10


def test_metrics_are_those_of_scikit_learn_for_each_kind_of_regulator(screen, score, rng):
    found = sweep(score, screen, rng=rng, n_samples=10)
    assert list(found.columns) == SCREEN_SWEEP.names
    value, effect, hit = score.to_numpy(), screen["effect"].to_numpy(), screen["hit"].to_numpy()
    scored = ~np.isnan(value)
    views = {  # positive regulators are those whose knock-down takes cells away from the goal
        "positive": (hit & (effect > 0), -value),
        "negative": (hit & (effect < 0), value),
        "both": (hit, np.abs(value)),
    }
    for regulators, (wanted, order) in views.items():
        for denominator, kept in (("scored", scored), ("all", np.ones_like(scored))):
            last = np.where(scored, order, np.nanmin(order) - 1)
            row = one(found, definition="as read", regulators=regulators, denominator=denominator)
            assert row["auroc"] == pytest.approx(roc_auc_score(wanted[kept], last[kept]))
            assert row["average_precision"] == pytest.approx(
                average_precision_score(wanted[kept], last[kept])
            )
            best = np.argsort(-last[kept])[:20]
            assert row["precision_at_k"] == pytest.approx(wanted[kept][best].mean())
            assert (row["n_genes"], row["n_hits"]) == (kept.sum(), wanted[kept].sum())
            assert row["prevalence"] == pytest.approx(wanted[kept].mean())
            assert row["ci_low"] <= row["auroc"] <= row["ci_high"]


def test_an_activation_screen_reads_the_score_the_other_way(screen, score, rng):
    raised = screen.assign(modality="crispra", effect=screen["effect_to_goal"])
    down, up = (sweep(score, table, rng=rng, n_samples=2) for table in (screen, raised))
    same = {"definition": "as read", "denominator": "scored"}
    assert one(up, regulators="positive", **same)["auroc"] == pytest.approx(
        one(down, regulators="negative", **same)["auroc"]
    )


def test_the_sweep_goes_through_definitions_with_and_without_silent_genes(screen, score, detection, rng):
    found = sweep(score, screen, rng=rng, detection=detection, n_samples=2)
    assert set(found["definition"]) == set(DEFINITIONS)
    assert set(found["expressed"]) == {True, False}
    both = found.query("regulators == 'both' and denominator == 'all'").set_index(["definition", "expressed"])
    assert both.loc[("top 5 %", False), "n_hits"] == 10
    assert both.loc[("FDR < 0.01", False), "n_hits"] == 0
    assert np.isnan(both.loc[("FDR < 0.01", False), "auroc"])
    assert both.loc[("FDR < 0.05", True), "n_genes"] == (detection > 0.01).sum()
    assert both.loc[("FDR < 0.05", True), "n_hits"] == 30 - 8


def test_without_false_discovery_rates_only_the_other_definitions_are_left(screen, score, rng):
    found = sweep(score, screen.assign(padj=np.nan), rng=rng, n_samples=2)
    assert set(found["definition"]) == {"as read", "top 1 %", "top 5 %"}


def test_the_order_of_genes_does_not_matter(screen, score):
    shuffled = screen.sample(frac=1, random_state=1)
    one_way, other = (
        sweep(score, table, rng=np.random.default_rng(0), n_samples=2).drop(columns=["ci_low", "ci_high"])
        for table in (screen, shuffled)
    )
    pd.testing.assert_frame_equal(one_way, other)


def test_a_screen_finds_its_own_hits_and_a_permuted_one_does_not(screen, rng):
    same = ceiling(screen, screen, rng=rng, n_samples=2)
    assert one(same, definition="as read", regulators="positive", denominator="scored")["auroc"] > 0.99
    order = rng.permutation(N_GENES)
    dealt = screen.assign(effect_to_goal=screen["effect_to_goal"].to_numpy()[order])
    other = ceiling(dealt, screen, rng=rng, n_samples=2)
    assert one(other, definition="as read", regulators="positive", denominator="scored")["auroc"] < 0.75


def test_the_score_of_a_ranking_is_missing_where_it_is_not_scored(screen):
    rows = {name: ["x", "y", "z"] for name in RANKING.names}
    ranking = pd.DataFrame(rows).assign(
        gene_id=["a", "b", "a"],
        kind=["delete", "delete", "overexpress"],
        benefit=[1.0, 2.0, 3.0],
        status=["scored", "spent", "scored"],
    )
    found = score_of(ranking, screen, "delete")
    assert found["a"] == 1.0
    assert np.isnan(found["b"])
    with pytest.raises(InputError, match="one lowers the gene, the other raises it"):
        score_of(ranking, screen, "overexpress")
    with pytest.raises(InputError, match="Perturb that kind first"):
        score_of(ranking, screen, "inhibit")


def test_what_cannot_be_judged_is_refused(screen, score, rng):
    with pytest.raises(InputError, match="these have several: 'ENSG00000000000'"):
        truth(pd.concat([score, score.iloc[:1]]), screen)
    with pytest.raises(LeakageError, match="all 200 are spent"):
        sweep(score, screen, rng=rng, spent=list(screen["gene_id"]))
    with pytest.raises(InputError, match="of one modality"):
        ceiling(screen, screen.assign(modality="crispra"), rng=rng)
    mixed = screen.assign(modality=["crispri"] * 100 + ["crispra"] * 100)
    with pytest.raises(InputError, match="Judge each arm by itself"):
        sweep(score, mixed, rng=rng)


def test_hits_as_read_are_the_column(screen):
    assert as_read(screen).sum() == 30


@pytest.mark.shared_data
def test_donors_agree_on_hits_by_fdr_and_hardly_on_the_top_5_percent(shared):
    """The feasibility study measured 0.99 to 1.00 for FDR hits among expressed genes, 0.63 and 19 % for the top 5 %."""
    words = Vocabulary.published(shared / "geneformer")
    first, second = (
        read_screen(
            ScreenConfig(
                path=str(shared / "screens" / f"schmidt_ifng_d{donor}.gene_summary.txt"),
                name=f"donor {donor}",
                modality="crispri",
                higher_is="goal",
            ),
            vocabulary=words,
        )[0]
        for donor in (1, 2)
    )
    found = ceiling(first, second, rng=np.random.default_rng(0), k=640, n_samples=20)
    scored = found[found["denominator"] == "scored"].set_index(["definition", "regulators"])
    assert scored.loc[("FDR < 0.05", "positive"), "auroc"] > 0.98
    assert scored.loc[("FDR < 0.05", "negative"), "auroc"] > 0.98
    top = scored.loc[("top 5 %", "both")]
    assert top["auroc"] == pytest.approx(0.63, abs=0.02)
    assert 640 * top["precision_at_k"] / top["n_hits"] == pytest.approx(0.19, abs=0.02)
