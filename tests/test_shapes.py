"""The checks of types and shapes that run beside every test do refuse."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from perturbloop.data.genes import GeneNames, ensembl_id
from perturbloop.evaluate.metrics import auroc


def test_a_wrong_shape_a_wrong_type_and_a_wrong_field_are_refused():
    with pytest.raises(TypeCheckError, match="auroc"):
        auroc(np.array([True, False]), np.array([1.0, 2.0, 3.0]))
    with pytest.raises(TypeError, match="label=3"):
        ensembl_id(3)
    with pytest.raises(TypeError, match="gene_ids=1"):
        GeneNames(1, 2, 3)
