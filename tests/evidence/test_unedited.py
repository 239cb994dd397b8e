"""Unedited cells of a knockout and composition, on numbers with a known answer."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from perturbloop.data.knockout import knocked_out
from perturbloop.data.states import StateCells
from perturbloop.errors import InputError
from perturbloop.evidence.composition import composition_of
from perturbloop.evidence.unedited import like_controls, without_unedited
from perturbloop.schema import CellsConfig


def knockout(rng, share, *, gap=4.0, n=600):
    """Scores of control and knockout cells of three donors with an offset each; a share of the knockout cells is unedited."""
    is_control = np.arange(2 * n) < n
    donor = np.array([f"d{place % 3}" for place in range(2 * n)], dtype=object)
    unedited = ~is_control & (rng.random(2 * n) < share)
    score = rng.normal(size=2 * n) + np.where(is_control | unedited, gap, 0.0) + np.arange(2 * n) % 3
    return score, is_control, donor, unedited[~is_control]


def test_the_share_of_unedited_cells_is_found_and_the_cells_too(rng):
    score, is_control, donor, truth = knockout(rng, 0.2)
    found = like_controls(score, is_control, donor)
    assert found.share == pytest.approx(truth.mean(), abs=0.03)
    assert found.low < truth.mean() < found.high
    assert (found.called_n == truth).mean() > 0.95


def test_none_is_found_where_all_were_edited(rng):
    score, is_control, donor, _ = knockout(rng, 0.0)
    assert like_controls(score, is_control, donor).share < 0.02


def test_nothing_is_told_where_both_overlap_or_cells_are_few(rng):
    score, is_control, donor, _ = knockout(rng, 0.2, gap=1.0)
    found = like_controls(score, is_control, donor)
    assert np.isnan(found.share)
    assert not found.called_n.any()
    assert np.isnan(like_controls(score[590:610], is_control[590:610], donor[590:610]).share)


def test_only_a_knockout_has_unedited_cells(lab):
    states = StateCells(*lab.states(40), None, "single", ())
    config = CellsConfig(path="a", state_column="s", start="sick", goal="well", unedited="exclude")
    with pytest.raises(
        InputError, match="looks for unedited cells in a knockout, by its name; the start state is 'sick'"
    ):
        without_unedited(states, config)


def test_the_gene_stands_in_the_name_of_the_state(lab):
    cells = replace(
        lab.cells(np.zeros(2)), gene_names=np.array(["RUNX1", "HLA-A"]), gene_ids=np.array(["E1", "E2"])
    )
    names = ("RUNX1-KO", "runx1 knockout", "KO_RUNX1", "HLA-A KO", "AAVS1", "GATA2-/-")
    assert [knocked_out(name, cells) for name in names] == ["E1", "E1", "E1", "E2", "", ""]


def test_composition_that_is_learnt_shows_within_types(rng):
    """A score that knows the type only: far above chance in all cells, chance within types."""
    n = 2000
    is_goal = np.arange(n) % 2 == 1
    types = np.where(rng.random(n) < np.where(is_goal, 0.8, 0.2), "a", "b").astype(object)
    score = (types == "a") + 0.1 * rng.normal(size=n)
    train = np.arange(n) % 4 < 2
    found = composition_of(score, is_goal, types, train)
    assert found.whole == pytest.approx(roc_auc_score(is_goal[~train], score[~train]))
    assert found.whole > 0.7
    assert found.within == pytest.approx(0.5, abs=0.05)
    assert found.types_alone == pytest.approx(found.whole, abs=0.05)
