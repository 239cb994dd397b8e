import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge as Oracle
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from perturbloop.stats.ridge import PENALTIES, ridges


@pytest.mark.parametrize("pack", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_penalty_error_and_predictions_are_those_of_leaving_out_each_row(rng, pack):
    feature = rng.standard_normal((25, 40)) * (rng.random((25, 40)) < 0.5)
    target = np.column_stack([feature[:, 0] + 0.3 * rng.standard_normal(25), rng.standard_normal(25)])
    for rule, y in zip(ridges(pack(feature), target), target.T, strict=True):
        errors = []
        for penalty in PENALTIES:
            left_out = cross_val_predict(Oracle(alpha=penalty), feature, y, cv=LeaveOneOut())
            errors.append(np.sqrt(((y - left_out) ** 2).mean()))
        assert rule.penalty == PENALTIES[int(np.argmin(errors[2:])) + 2]  # tiny penalties: leverage is capped
        assert rule.error == pytest.approx(min(errors[2:]), rel=0.01)
        others = rng.standard_normal((5, 40))
        expected = Oracle(alpha=rule.penalty).fit(feature, y).predict(others)
        np.testing.assert_allclose(rule.predict(pack(others)), expected, atol=1e-6)
