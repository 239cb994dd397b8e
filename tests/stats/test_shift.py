import numpy as np
import pytest
from scipy.spatial.distance import cosine

from perturbloop.errors import InputError
from perturbloop.stats.shift import shift_to_goal, shift_to_states


def test_shift_equals_scipys_cosine_distance_cell_by_cell(rng):
    before, after, goal = rng.normal(size=(7, 5)), rng.normal(size=(7, 5)), rng.normal(size=5)
    expected = [cosine(a, goal) - cosine(b, goal) for a, b in zip(before, after, strict=True)]
    np.testing.assert_allclose(shift_to_goal(before, after, goal), np.asarray(expected), rtol=1e-12)


def test_shift_ignores_the_length_of_embeddings_and_of_the_goal(rng):
    before, after, goal = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.normal(size=3)
    np.testing.assert_allclose(
        shift_to_goal(3 * before, 9 * after, 7 * goal), shift_to_goal(before, after, goal)
    )


def test_several_states_give_the_columns_of_one_state_each(rng):
    before, after, states = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), rng.normal(size=(3, 4))
    columns = [shift_to_goal(before, after, state) for state in states]
    np.testing.assert_allclose(shift_to_states(before, after, states), np.column_stack(columns))


def test_a_zero_embedding_has_cosine_zero():
    shift = shift_to_goal(np.zeros((1, 2)), np.array([[1.0, 1.0]]), np.array([1.0, 1.0]))
    np.testing.assert_allclose(shift, [1.0])


def test_a_goal_without_direction_is_refused():
    with pytest.raises(
        InputError, match=r"zero vector, so it has no direction\. Check the goal state's cells"
    ):
        shift_to_goal(np.ones((1, 2)), np.ones((1, 2)), np.zeros(2))
    with pytest.raises(InputError, match=r"rows of `state_sd` are the zero vector: '1'"):
        shift_to_states(np.ones((1, 2)), np.ones((1, 2)), np.array([[1.0, 0.0], [0.0, 0.0]]))
