import numpy as np
import pytest
from scipy import sparse

from perturbloop.evidence.escape import escape_share, looks_like_control


def cells(rng, *, escaped, size=1.5, n_cells=400, n_controls=400):
    """Expression of 100 genes; ten of them move in perturbed cells that did not escape; two replicates that differ."""
    is_control = np.arange(n_cells + n_controls) >= n_cells
    gone = is_control | (np.arange(n_cells + n_controls) < escaped * n_cells)
    replicate = np.array(["r0", "r1"])[rng.integers(2, size=len(is_control))]
    expression = rng.normal(2, 1, size=(len(is_control), 100)) + 0.7 * (replicate == "r1")[:, None]
    expression[np.ix_(~gone, np.arange(10))] += size
    order = rng.permutation(len(is_control))
    return sparse.csr_matrix(expression[order]), replicate[order], is_control[order], gone[order]


@pytest.mark.parametrize("escaped", [0.0, 0.3, 0.6])
def test_the_share_of_escaped_cells_is_found(rng, escaped):
    expression, replicate, is_control, gone = cells(rng, escaped=escaped)
    like = looks_like_control(expression, replicate, is_control, rng=rng)
    assert escape_share(like, is_control) == pytest.approx(escaped, abs=0.06)
    assert ((like > 0.5) == gone).mean() > 0.95


def test_an_inert_target_and_few_cells_give_no_verdict(rng):
    expression, replicate, is_control, _ = cells(rng, escaped=1.0)
    assert looks_like_control(expression, replicate, is_control, rng=rng) is None
    expression, replicate, is_control, _ = cells(rng, escaped=0.0, n_cells=30)
    assert looks_like_control(expression, replicate, is_control, rng=rng) is None


def test_groups_two_standard_deviations_apart_are_told_apart(rng):
    expression, replicate, is_control, gone = cells(rng, escaped=0.3, size=0.7, n_cells=1500, n_controls=1500)
    like = looks_like_control(expression, replicate, is_control, rng=rng)
    assert like is not None
    assert like[gone & ~is_control].mean() > like[~gone].mean() + 0.3


def test_groups_that_overlap_give_no_verdict(rng):
    expression, replicate, is_control, _ = cells(rng, escaped=0.0, size=0.3, n_cells=1000, n_controls=1000)
    like = looks_like_control(expression, replicate, is_control, rng=rng)
    assert like is None
