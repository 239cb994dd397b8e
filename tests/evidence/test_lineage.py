"""Lineage: the cells' own type is recognized among others, and its genes stand above the rest."""

import numpy as np
import pytest

from perturbloop.errors import InputError
from perturbloop.evidence.lineage import likeness, lineage_of, lineage_prior, lineage_score, own_types
from perturbloop.evidence.scales import lineage_scale


@pytest.fixture
def reference(rng):
    """Three hundred genes that all types express, and forty of each of four types; the first two types are sisters."""
    shared_g1 = rng.uniform(2, 10, size=(300, 1)) + rng.normal(scale=0.2, size=(300, 4))
    own = np.zeros((120, 4))
    own[:40, :2], own[40:80, 2], own[80:, 3] = 6.0, 6.0, 6.0
    return np.vstack([shared_g1, own + rng.uniform(0, 0.5, size=own.shape)])


def test_cells_are_recognized_with_their_sisters_whatever_their_depth(reference, rng):
    cells_g = 0.5 * reference[:, 0] + 1.0 + rng.normal(scale=0.3, size=420)
    like_c = likeness(reference, cells_g)
    assert own_types(like_c).tolist() == [True, True, False, False]
    other = own_types(likeness(reference, reference[:, 3] + rng.normal(scale=0.3, size=420)))
    assert other.tolist() == [False, False, False, True]
    dealt = likeness(reference, rng.permutation(cells_g))
    assert np.abs(dealt).max() < 0.2 < like_c[0]


def test_genes_of_the_lineage_come_first_and_those_of_others_are_as_any(reference):
    score_g = lineage_score(reference, np.array([True, True, False, False]))
    assert score_g[300:340].min() > 5
    assert np.abs(score_g[:300]).max() < 1
    scale = lineage_scale(np.arange(420).astype(str), np.append(score_g[:-1], np.nan))
    assert scale.value_g[340:].max() == 0
    prior_g = lineage_prior(score_g, np.full(420, 3.0), np.zeros(420))
    assert set(np.argsort(-prior_g)[:40]) == set(range(300, 340))


def test_a_lineage_names_its_types_and_one_that_is_named_wins(reference, rng):
    types, cells_g = ("CD4", "CD8", "B", "mono"), reference[:, 2] + rng.normal(scale=0.3, size=420)
    found, named = (lineage_of(reference, types, cells_g, cell_type=own) for own in ((), ("CD4", "CD8")))
    assert (found.own, found.others) == (("B",), ("CD4", "CD8", "mono"))
    assert found.line == "lineage: expression in 'B' against 'CD4', 'CD8', 'mono'"
    assert named.own == ("CD4", "CD8")
    assert np.argmax(named.score_g) < 340
    assert lineage_of(reference, types, rng.permutation(cells_g), cell_type=types) is None
    with pytest.raises(InputError, match=r"'T' came\. The closest is"):
        lineage_of(reference, types, cells_g, cell_type=("T",))


def test_a_gene_without_reference_is_ranked_by_expression_and_annotation():
    prior_g = lineage_prior(
        np.full(4, np.nan), np.array([0.0, 4.0, 0.0, 4.0]), np.array([0.0, 0.0, 9.0, 9.0])
    )
    assert prior_g.tolist() == pytest.approx([-1.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: likeness(np.ones((10, 3)), np.ones(10)),
            "at least 50 genes and 2 reference cell types; 10 shared genes",
        ),
        (
            lambda: likeness(np.ones((99, 1)), np.ones(99)),
            "99 shared genes that one of 1 types expresses came",
        ),
        (
            lambda: lineage_score(np.ones((9, 2)), np.array([True, True])),
            "2 of 2 are one's own. Name the cell type",
        ),
    ],
)
def test_what_tells_no_lineage_is_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()
