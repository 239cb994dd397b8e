"""How many processes score edits is said once and holds inside, and no longer."""

import pytest

from perturbloop.errors import InputError
from perturbloop.perturb.workers import shared_by, workers


def test_the_number_holds_inside_and_no_longer():
    with shared_by(3), shared_by(2):
        assert workers() == 2
    with pytest.raises(RuntimeError), shared_by(2):
        raise RuntimeError
    assert workers() == 0


def test_a_number_of_processes_is_not_negative():
    with pytest.raises(InputError, match="0 or more; it is -1"), shared_by(-1):
        pass
