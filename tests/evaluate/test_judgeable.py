import pandas as pd
import pytest

from perturbloop.evaluate.judgeable import judgeable
from perturbloop.schema import EFFECTS


def effects_of(n_hits, n_genes, *, n_away=0, fold=0):
    table = pd.DataFrame(dict.fromkeys(EFFECTS.names, ""), index=range(n_genes))
    effect = [1.0] * n_hits + [-1.0] * n_away + [0.0] * (n_genes - n_hits - n_away)
    genes = [f"ENSG{place:02}" for place in range(n_genes)]
    hit = [value != 0 for value in effect]
    return table.assign(
        gene_id=genes, modality="crispri", level="gene", effect_to_goal=effect, hit=hit, fold=fold
    )


@pytest.mark.parametrize(
    ("n_hits", "n_genes", "judged", "comparable", "says"),
    [
        (
            0,
            25,
            False,
            False,
            "`delete`: none of 25 held-out targets is a hit toward the goal, so no method can",
        ),
        (
            1,
            25,
            True,
            False,
            "`delete`: 1 hit toward the goal among 25 held-out targets cannot tell methods apart",
        ),
        (2, 25, True, True, ""),
        (23, 25, True, True, ""),
        (24, 25, True, False, "1 target that is no hit among 25 held-out targets cannot tell methods apart"),
        (
            25,
            25,
            False,
            False,
            "all of 25 held-out targets are hits toward the goal, so no method can be judged",
        ),
        (0, 1, False, False, "none of 1 held-out target is a hit"),
    ],
)
def test_too_few_hits_or_others_are_said_before_anything_is_computed(
    n_hits, n_genes, judged, comparable, says
):
    found = judgeable(effects_of(n_hits, n_genes), "delete")
    assert (found.n_genes, found.n_hits) == (n_genes, n_hits)
    assert (found.judged, found.comparable) == (judged, comparable)
    assert says in found.sentence
    assert bool(found.sentence) == (not comparable)


def test_hits_away_from_the_goal_and_targets_that_trained_are_no_hits():
    assert judgeable(effects_of(0, 10, n_away=4), "delete").n_hits == 0
    spent = judgeable(effects_of(5, 10, fold=-1), "delete")
    assert spent.n_genes == 0
    assert spent.sentence.startswith("No target is held out for `delete`")
    assert judgeable(effects_of(5, 10), "overexpress").n_genes == 0
