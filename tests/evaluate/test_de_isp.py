import numpy as np
import pandas as pd

from perturbloop.evaluate.de_isp import agreement, de_isp
from perturbloop.schema import PREDICTIONS


def rows(method, kind, scores):
    genes = [f"ENSG{place}" for place in range(len(scores))]
    return pd.DataFrame({"method": method, "kind": kind, "gene_id": genes, "score": scores, "fold": -1})


def test_a_gene_counts_where_both_point_the_same_way_and_by_the_weaker_of_the_two(rng):
    de_g, isp_g = rng.normal(size=(2, 50)) * [[3], [0.01]]
    score = agreement(de_g, isp_g)
    for one, other, found in zip(
        de_g / np.sqrt(np.mean(de_g**2)), isp_g / np.sqrt(np.mean(isp_g**2)), score, strict=True
    ):
        if one > 0 and other > 0:
            expected = min(one, other)
        elif one < 0 and other < 0:
            expected = max(one, other)
        else:
            expected = 0
        np.testing.assert_allclose(found, expected)


def test_units_do_not_matter_and_signs_do(rng):
    de_g, isp_g = rng.normal(size=(2, 50))
    np.testing.assert_allclose(agreement(100 * de_g, isp_g), agreement(de_g, 0.01 * isp_g))
    np.testing.assert_allclose(agreement(-de_g, -isp_g), -agreement(de_g, isp_g))
    assert not agreement(np.zeros(4), np.ones(4)).any()


def test_a_gene_higher_in_the_start_whose_deletion_helps_is_in_front_and_only_scored_genes_have_rows():
    # Benefits of deletion: genes 0 and 1 are higher in the start, gene 2 in the goal.
    table = de_isp(
        pd.concat(
            [
                rows("de", "delete", [2.0, 1.0, -1.0, 4.0]),
                rows("frozen", "delete", [1.0, -1.0, -2.0]),
                rows("de", "overexpress", [-2.0, -1.0, 1.0, -4.0]),
            ]
        )
    )
    assert set(PREDICTIONS.names) == set(table.columns)
    score = table.set_index("gene_id")["score"]
    assert list(score.index) == ["ENSG0", "ENSG1", "ENSG2"]
    assert score["ENSG0"] > score["ENSG1"] == 0 > score["ENSG2"]
    assert set(table["kind"]) == {"delete"}


def test_without_an_open_loop_there_is_nothing_to_agree_with():
    assert de_isp(rows("de", "delete", [1.0])).empty
