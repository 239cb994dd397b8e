"""How far an edit moves a cell's embedding toward a state."""

import numpy as np
from jaxtyping import Float

from perturbloop.errors import InputError, some
from perturbloop.stats.scale import unit


def shift_to_goal(
    original_nd: Float[np.ndarray, "n d"],
    perturbed_nd: Float[np.ndarray, "n d"],
    goal_d: Float[np.ndarray, " d"],
) -> Float[np.ndarray, " n"]:
    r"""Change in cosine similarity to the goal state, one value per cell.

    Positive moves the cell toward the goal, zero leaves it, negative moves it away.

    Parameters
    ----------
    original_nd
        Cell embeddings before the perturbation, cells × embedding.
    perturbed_nd
        The same cells, same order, after it.
    goal_d
        Mean embedding of the goal state.

    Returns
    -------
    Shift per cell, unitless, in [-2, 2].

    Notes
    -----
    :math:`s_n = \cos(e'_n, g) - \cos(e_n, g)`, as in :cite:`theodoris2023`. The cosine looks at directions
    only: an edit that lengthens or shortens the embedding without turning it counts as nothing. A cell whose
    embedding is the zero vector has cosine 0.

    Examples
    --------
    >>> shift_to_goal(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([0.0, 2.0]))
    array([1.])
    """
    if not goal_d.any():
        msg = "`goal_d` is the zero vector, so it has no direction. Check the goal state's cells."
        raise InputError(msg)
    return shift_to_states(original_nd, perturbed_nd, goal_d[None, :])[:, 0]


def shift_to_states(
    original_nd: Float[np.ndarray, "n d"],
    perturbed_nd: Float[np.ndarray, "n d"],
    state_sd: Float[np.ndarray, "s d"],
) -> Float[np.ndarray, "n s"]:
    """Change in cosine similarity to several states at once, cells × states; positive = toward the state.

    Each column equals `shift_to_goal` with that state as the goal.

    Parameters
    ----------
    original_nd, perturbed_nd
        Cell embeddings before and after the perturbation, same cells, same order.
    state_sd
        Mean embedding of each state.

    Returns
    -------
    Shift of each cell toward each state, unitless, in [-2, 2].

    Examples
    --------
    >>> resting, activated = [1.0, 0.0], [0.0, 1.0]
    >>> shift_to_states(np.array([resting]), np.array([activated]), np.array([resting, activated]))
    array([[-1.,  1.]])
    """
    directionless = np.flatnonzero(~state_sd.any(axis=1))
    if directionless.size:
        msg = (
            "Every state needs a mean embedding with a direction; these rows of `state_sd` are the zero vector: "
            f"{some(directionless)}. Check the cells of those states."
        )
        raise InputError(msg)
    return _cosine(perturbed_nd, state_sd) - _cosine(original_nd, state_sd)


def _cosine(a_nd: np.ndarray, b_sd: np.ndarray) -> np.ndarray:
    return unit(a_nd) @ unit(b_sd).T
