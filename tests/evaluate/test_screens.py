"""The ceiling of replicates: how well the scores of one screen find the hits of another."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from perturbloop.data.screens import read_screen
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError
from perturbloop.evaluate.screens import ceiling
from perturbloop.schema import ScreenConfig

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
def noisy(screen, rng):
    """Another donor: right but noisy, and without the last fifty genes."""
    return screen.assign(effect_to_goal=screen["effect_to_goal"] + rng.normal(0, 3, N_GENES)).iloc[:150]


@pytest.fixture
def detection(screen):
    """Every fourth gene is silent, and the last ten are not among the genes of the cells."""
    share = np.where(np.arange(N_GENES) % 4 == 0, 0.001, 0.5)
    return pd.Series(share, index=screen["gene_id"].to_numpy(object))[:-10]


def expected(first, second, kept):
    """AUROC of positive and negative regulators among the kept genes, by scikit-learn; unknown genes last."""
    score = first["effect_to_goal"].reindex(range(N_GENES)).to_numpy()[kept]
    effect, hit = (second[name].to_numpy()[kept] for name in ("effect", "hit"))
    out = []
    for wanted, order in ((hit & (effect > 0), -score), (hit & (effect < 0), score)):  # knocked down: turned
        out.append(roc_auc_score(wanted, np.where(np.isnan(order), np.nanmin(order) - 1, order)))
    return out


def test_it_is_the_auroc_of_scikit_learn_for_each_kind_of_regulator(screen, noisy):
    found = ceiling(noisy, screen)
    assert [one.regulators for one in found] == ["positive", "negative"]
    assert [one.auroc for one in found] == pytest.approx(expected(noisy, screen, np.arange(N_GENES)))
    assert [(one.n_hits, one.n_genes) for one in found] == [(20, N_GENES), (10, N_GENES)]


def test_genes_that_the_cells_do_not_express_are_left_out(screen, noisy, detection):
    kept = np.flatnonzero((np.arange(N_GENES) % 4 > 0) & (np.arange(N_GENES) < 190))
    found = ceiling(noisy, screen, detection=detection)
    assert [one.auroc for one in found] == pytest.approx(expected(noisy, screen, kept))
    assert found[0].n_genes == kept.size
    assert (found[0].n_hits, found[1].n_hits) == (15, 7)
    assert ceiling(noisy, screen, detection=detection, min_detection=0.0)[0].n_genes == 190


def test_an_activation_screen_reads_the_score_the_other_way(screen, noisy):
    raised = [table.assign(modality="crispra", effect=-table["effect"]) for table in (noisy, screen)]
    down, up = ceiling(noisy, screen), ceiling(*raised)
    assert (up[0].auroc, up[1].auroc) == pytest.approx((down[1].auroc, down[0].auroc))


def test_a_screen_finds_its_own_hits_and_a_permuted_one_does_not(screen, rng):
    assert ceiling(screen, screen)[0].auroc > 0.99
    order = rng.permutation(N_GENES)
    dealt = screen.assign(effect_to_goal=screen["effect_to_goal"].to_numpy()[order])
    assert ceiling(dealt, screen)[0].auroc < 0.75


def test_without_hits_there_is_no_ceiling(screen):
    assert np.isnan([one.auroc for one in ceiling(screen, screen.assign(hit=False))]).all()


def test_two_arms_are_no_replicates(screen):
    with pytest.raises(InputError, match=r"of one modality; these are 'crispri', 'crispra'"):
        ceiling(screen, screen.assign(modality="crispra"))


@pytest.mark.shared_data
def test_donors_agree_on_hits_by_fdr(shared):
    """The feasibility study measured 0.99 to 1.00 for FDR hits among expressed genes."""
    words = Vocabulary.published(shared / "geneformer")
    first, second = (
        read_screen(
            ScreenConfig(
                path=str(shared / "screens" / f"schmidt_ifng_d{donor}.gene_summary.txt"),
                name=f"donor {donor}",
                modality="crispri",
                higher_is="goal",
            ),
            names=words.names,
        )[0]
        for donor in (1, 2)
    )
    positive, negative = ceiling(first, second[second["gene_id"].isin(first["gene_id"])])
    assert positive.auroc > 0.98
    assert negative.auroc > 0.98
