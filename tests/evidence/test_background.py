"""What is known before anything is measured: references that recognize the cells are read together, others are silent."""

import numpy as np
import pytest

from perturbloop.data.reference import Reference
from perturbloop.errors import InputError
from perturbloop.evidence.background import recognized

GENES = np.array([f"ENSG{number:011d}" for number in range(200)], dtype=object)


@pytest.fixture
def references(rng):
    """Blood: T and B cells; tissues: thymus and liver. The first 20 genes are of T cells and thymus; 20 more of all blood."""
    base_g1 = rng.uniform(2, 8, size=(200, 1))
    blood, tissue = (base_g1 + rng.normal(scale=0.1, size=(200, 2)) for _ in range(2))
    blood[:20, 0] += 6
    tissue[:40, 0] += 6
    return [
        Reference("blood", GENES, ("T", "B"), blood),
        Reference("tissue", GENES, ("thymus", "liver"), tissue),
    ]


def test_a_gene_of_the_lineage_stands_out_in_every_reference(references, rng):
    cells_g = references[0].column("T") + rng.normal(scale=0.1, size=200)
    found = recognized(references, GENES, cells_g)
    assert found.own == ("T", "thymus")
    assert found.others == ("B", "liver")
    np.testing.assert_allclose(found.score_g[:20], 6, atol=1)
    np.testing.assert_allclose(found.score_g[20:40], 3, atol=1)
    np.testing.assert_allclose(found.score_g[40:], 0, atol=1)


def test_a_cell_type_that_is_named_is_read_where_it_is_known(references):
    found = recognized(references, GENES, np.ones(200) + np.arange(200), cell_type=("B",))
    assert (found.own, found.others) == (("B",), ("T",))
    with pytest.raises(InputError, match=r"must be one of a reference: T, B; thymus, liver\. NK came"):
        recognized(references, GENES, np.ones(200), cell_type=("NK",))


def test_cells_of_other_genes_have_no_lineage(references):
    other = np.array([f"X{number}" for number in range(200)], dtype=object)
    assert recognized(references, other, np.arange(200.0)) is None
    assert recognized([], GENES, np.arange(200.0)) is None
