"""A screen as effects: unit, error, and which genes are left out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from perturbloop.errors import InputError
from perturbloop.evidence.screen_effects import effects_of_screen
from perturbloop.schema import EFFECTS

N_GENES = 300


@pytest.fixture
def screen(rng):
    score = rng.normal(0, 0.25, N_GENES)
    names = [f"GENE{place}" for place in range(N_GENES)]
    return pd.DataFrame({"gene_id": names, "gene_name": names, "label": names, "modality": "crispri"}).assign(
        effect_to_goal=score,
        effect=-score,
        se=np.where(np.arange(N_GENES) < 100, 0.1, np.nan),
        pvalue=0.5,
        padj=0.5,
        hit=np.arange(N_GENES) % 10 == 0,
        n_reagents=3,
    )


@pytest.fixture
def detection(screen):
    """The first ten genes are silent, the last twenty are not measured."""
    share = np.where(np.arange(N_GENES) < 10, 0.0, 0.4)
    return pd.Series(share, index=screen["gene_id"])[:-20]


def test_the_unit_is_the_robust_spread_of_all_scores(screen, detection):
    made = effects_of_screen(screen, detection, min_detection=0.01)
    spread = stats.median_abs_deviation(screen["effect_to_goal"], scale="normal")
    assert made.spread == pytest.approx(spread)
    by_gene = made.effects.set_index("gene_id")
    np.testing.assert_allclose(by_gene["effect_to_goal"], screen["effect_to_goal"][10:] / spread)
    np.testing.assert_allclose(by_gene["effect"], -by_gene["effect_to_goal"])
    assert list(made.effects.columns) == EFFECTS.names


def test_the_scale_of_the_file_does_not_matter(screen, detection):
    scaled = screen.assign(**{name: 7 * screen[name] for name in ("effect_to_goal", "effect", "se")})
    one, other = (effects_of_screen(table, detection, min_detection=0.01) for table in (screen, scaled))
    pd.testing.assert_frame_equal(one.effects, other.effects)


def test_an_unknown_error_is_the_spread_and_none_is_larger(screen, detection):
    by_gene = effects_of_screen(screen, detection, min_detection=0.01).effects.set_index("gene_id")
    assert by_gene.loc["GENE50", "se"] == pytest.approx(
        0.1 / effects_of_screen(screen, detection, min_detection=0.01).spread
    )
    assert by_gene.loc["GENE150", "se"] == 1.0
    for told in (9.0, 0.0):  # an error of 0 would make a gene outweigh all others
        wide = effects_of_screen(screen.assign(se=told), detection, min_detection=0.01)
        assert set(wide.effects["se"]) == {1.0}


def test_genes_that_the_cells_do_not_express_are_counted_and_their_hits_named(screen, detection):
    made = effects_of_screen(screen, detection, min_detection=0.01)
    assert made.n_not_expressed == 10
    assert made.hits_excluded == ("GENE0",)
    assert len(made.judged) == N_GENES - 30
    assert len(effects_of_screen(screen, detection, min_detection=0.0).judged) == N_GENES - 20


def test_genes_that_the_cells_do_not_measure_teach_and_judge_nothing(screen, detection):
    made = effects_of_screen(screen, detection, min_detection=0.01)
    assert made.outside == {f"GENE{place}" for place in range(280, 300)}
    assert set(made.effects["gene_id"]) == set(made.judged["gene_id"]) | made.outside


def test_where_most_scores_are_the_same_the_plain_spread_is_taken(screen, detection):
    sparse = screen.assign(effect_to_goal=np.where(np.arange(N_GENES) < 290, 0.0, 3.0))
    made = effects_of_screen(sparse, detection, min_detection=0.0)
    assert made.spread == pytest.approx(np.std(sparse["effect_to_goal"]))


def test_a_screen_that_says_nothing_is_refused(screen, detection):
    with pytest.raises(InputError, match="all 300 are 2"):
        effects_of_screen(screen.assign(effect_to_goal=2.0), detection, min_detection=0.01)
    with pytest.raises(InputError, match="none is seen in 50 % of the cells"):
        effects_of_screen(screen, detection, min_detection=0.5)
