import numpy as np
import pytest

from perturbloop.errors import InputError
from perturbloop.evaluate.controls import Recognized, control
from perturbloop.evaluate.pathways import StaticPathway, static_pathway

NAMES = np.array(["CD3E", "ACTB", "ZAP70", "VAV1", "B2M"], dtype=object)
EXPRESSION = np.array([1.0, 9.0, 2.0, 0.0, 5.0])


def order(pathway, kind):
    score_g = pathway.score(NAMES, EXPRESSION, kind)
    return NAMES[np.argsort(-score_g)].tolist()


def test_expressed_genes_of_the_pathway_come_first_then_all_others_by_expression():
    pathway = StaticPathway("tcr", frozenset({"CD3E", "ZAP70", "VAV1"}))
    assert order(pathway, "delete") == ["ZAP70", "CD3E", "ACTB", "B2M", "VAV1"]
    assert order(pathway, "overexpress") == order(pathway, "delete")


@pytest.mark.parametrize(
    ("raised_in", "kind", "first"),
    [("start", "delete", True), ("start", "overexpress", False), ("goal", "delete", False)]
    + [("goal", "activate", True), ("start", "inhibit", True)],
)
def test_where_it_is_known_which_state_the_pathway_raises_the_other_action_has_it_last(
    raised_in, kind, first
):
    found = order(StaticPathway("tcr", frozenset({"CD3E", "ZAP70"}), raised_in), kind)
    assert found[:2] == ["ZAP70", "CD3E"] if first else found[-2:] == ["CD3E", "ZAP70"]


def test_the_first_recognized_stimulus_serves_unless_another_is_named():
    found = (
        Recognized(control("type-i-interferon"), ("ISG15",), 14, 1e-9, "start"),
        Recognized(control("t-cell-activation"), ("IL2RA",), 14, 1e-4, "goal"),
    )
    assert static_pathway(None, found).name == "type-i-interferon"
    assert static_pathway("t-cell-activation", found).raised_in == "goal"
    assert static_pathway("type-ii-interferon", found).raised_in == ""
    assert static_pathway(None, ()) is None
    with pytest.raises(InputError, match=r"'t-cel-activation'\. The closest is 't-cell-activation'"):
        static_pathway("t-cel-activation", found)
