import numpy as np
import pytest
from scipy.stats import false_discovery_control

from perturbloop.errors import InputError
from perturbloop.stats.correct import benjamini_hochberg


def test_adjusted_values_equal_scipys(rng):
    pvalue = rng.uniform(size=50) ** 3
    np.testing.assert_allclose(benjamini_hochberg(pvalue), false_discovery_control(pvalue))


def test_genes_that_were_not_tested_stay_missing_and_count_as_no_test(rng):
    pvalue = rng.uniform(size=20)
    with_gaps = np.insert(pvalue, [0, 7, 20], np.nan)
    adjusted = benjamini_hochberg(with_gaps)
    np.testing.assert_allclose(adjusted[~np.isnan(with_gaps)], benjamini_hochberg(pvalue))
    assert np.isnan(adjusted[np.isnan(with_gaps)]).all()


def test_no_tests_at_all_give_no_numbers():
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()
    assert benjamini_hochberg(np.empty(0)).shape == (0,)


def test_scores_in_place_of_p_values_are_refused():
    with pytest.raises(
        InputError, match=r"between 0 and 1; these do not: '3.2', '-1.0'\. Give p-values, not scores"
    ):
        benjamini_hochberg(np.array([3.2, 0.5, -1.0, np.nan]))
