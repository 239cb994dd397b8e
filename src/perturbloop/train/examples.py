"""Which cells train, with which label and weight; spent genes are those whose cells are here."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float, Shaped

from perturbloop.data.tokens import Tokens
from perturbloop.errors import InputError, LeakageError, some


@dataclass(frozen=True)
class Examples:
    """Training cells: tokens, soft labels, weights."""

    tokens: Tokens
    """Encoded cells; none is empty."""
    label_n: Float[np.ndarray, " n"]
    """Probability of the goal state, 0 to 1."""
    weight_n: Float[np.ndarray, " n"]
    """Weight in the loss; 1 on average."""
    added_n: Bool[np.ndarray, " n"]
    """Whether a cell was added from a study of perturbed cells."""
    target_n: Shaped[np.ndarray, " n"]
    """Target of each perturbed cell, dtype object; '' where a cell is not perturbed."""
    spent: tuple[str, ...] = ()
    """Targets whose perturbed cells are among them."""


def open_loop(
    tokens: Tokens, is_goal_n: Bool[np.ndarray, " n"], *, max_cells: int, rng: np.random.Generator
) -> Examples:
    """Take unperturbed cells of the two states, both states with the same total weight.

    Parameters
    ----------
    tokens
        Encoded cells of both states; cells without a gene are left out.
    is_goal_n
        Whether each is of the goal state.
    max_cells
        Most cells to take, of both states together.
    rng
        Draws them.
    """
    usable = np.flatnonzero(tokens.length_n > 2 * tokens.has_cls)
    chosen = np.sort(rng.permutation(usable)[:max_cells])
    label_n = is_goal_n[chosen].astype(float)
    share = np.clip(label_n.mean(), 1e-6, 1 - 1e-6)
    weight_n = np.where(label_n > 0.5, 0.5 / share, 0.5 / (1 - share))
    nothing = np.full(len(chosen), "", dtype=object)
    return Examples(tokens.select(chosen), label_n, weight_n, np.zeros(len(chosen), dtype=bool), nothing)


def closed_loop(
    unperturbed: Examples,
    tokens: Tokens,
    label_n: Float[np.ndarray, " m"],
    target_n: Shaped[np.ndarray, " m"],
    *,
    training: Collection[str],
    held_out: Collection[str],
    share: float,
    rng: np.random.Generator,
    shuffled: bool = False,
    target_weights: Mapping[str, float] | None = None,
    hits: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Examples:
    """Add really perturbed cells, labelled with their state only.

    Every training target has the same total weight, however many cells it has, so that none dominates, unless
    `target_weights` say otherwise.

    Parameters
    ----------
    unperturbed
        Examples of the open loop.
    tokens, label_n, target_n
        All perturbed cells of a file: encoded, with the probability of the goal state and the target's label. Cells
        without a probability (missing) do not train.
    training
        Targets whose cells may be used.
    held_out
        Targets that will be scored.
    share
        Largest share of perturbed cells among all examples.
    rng
        Draws the cells.
    shuffled
        The negative control: labels are exchanged among the perturbed cells, so that they say nothing of a target.
    target_weights
        How much a target counts beside the others, 0 or more, for instance how well its guides work; 1 where it is not
        named. Cells of a target that counts 0 do not train, but it is spent all the same.
    hits
        Further genes that the cells of a target hit: those of a compound with several. They are spent with it.

    Raises
    ------
    LeakageError
        If a target, or a gene that a training compound hits, is both trained on and held out.
    """
    spent = set(training).union(*(hits.get(target, ()) for target in training))
    leaked = sorted(spent & set(held_out))
    if leaked:
        msg = (
            f"Targets that will be scored cannot train: {some(leaked)}. Hold them out, or train on the others; "
            "scoring them would measure memory, not prediction."
        )
        raise LeakageError(msg)
    usable_n = np.isin(target_n.astype(str), sorted(training)) & (tokens.length_n > 2 * tokens.has_cls)
    usable_n &= np.isfinite(label_n)
    if not usable_n.any():
        msg = (
            "The closed loop needs labelled cells of its training targets; there are none of "
            f"{some(sorted(training))}. Record more."
        )
        raise InputError(msg)
    room = max(1, room_beside(len(unperturbed.label_n), share))
    targets = sorted(
        set(target_n[usable_n].tolist())
    )  # of several genes of a compound, one stands for its cells
    per_target = max(1, room // len(targets))
    chosen = np.concatenate(
        [rng.permutation(np.flatnonzero(usable_n & (target_n == target)))[:per_target] for target in targets]
    )
    if len(chosen) > room:  # more targets than cells may be added
        chosen = np.sort(rng.permutation(chosen)[:room])
    labels = label_n[chosen]
    if shuffled:
        labels = rng.permutation(labels)
    weight_n = _weights(target_n[chosen].astype(str), target_weights or {})
    return _added(
        unperturbed,
        tokens.select(chosen[weight_n > 0]),
        labels[weight_n > 0],
        weight_n[weight_n > 0],
        target_n[chosen[weight_n > 0]],
        spent=tuple(sorted(spent)),
    )


def same_study(
    unperturbed: Examples,
    tokens: Tokens,
    label_n: Float[np.ndarray, " m"],
    is_control_n: Bool[np.ndarray, " m"],
    *,
    most: int,
    share: float,
    rng: np.random.Generator,
) -> Examples:
    """Add control cells of the perturbed study where the closed loop adds perturbed ones: the negative control.

    What they give is what any cells of that study give, whatever was perturbed in it.

    Parameters
    ----------
    unperturbed
        Examples of the open loop.
    tokens, label_n, is_control_n
        All cells of the study: encoded, with the probability of the goal state, and which are controls.
    most
        Most cells to add: as many as the study has perturbed ones.
    share
        Largest share of added cells among all examples.
    rng
        Draws the cells.
    """
    usable = np.flatnonzero(is_control_n & np.isfinite(label_n) & (tokens.length_n > 2 * tokens.has_cls))
    if not len(usable):
        msg = "The control of the closed loop needs labelled control cells of the perturbed study; there are none. Record some."
        raise InputError(msg)
    room = min(most, room_beside(len(unperturbed.label_n), share))
    chosen = np.sort(rng.permutation(usable)[: max(1, room)])
    nothing = np.full(len(chosen), "", dtype=object)
    return _added(unperturbed, tokens.select(chosen), label_n[chosen], np.ones(len(chosen)), nothing)


def room_beside(n_unperturbed: int, share: float) -> int:
    """Most cells that can be added to others without being more than this share of all.

    >>> room_beside(60, 0.4)
    40
    """
    return int(n_unperturbed * share / (1 - share) + 1e-9)


def _weights(target_n: np.ndarray, target_weights: Mapping[str, float]) -> np.ndarray:
    """Weight of each perturbed cell: 1 on average, and of each target in all what it counts."""
    targets, place_n, counts = np.unique(target_n, return_inverse=True, return_counts=True)
    worth = np.array([target_weights.get(target, 1.0) for target in targets.tolist()])
    if (worth < 0).any() or not worth.any():
        wrong = [f"{target} {value:g}" for target, value in zip(targets, worth, strict=True) if value <= 0]
        msg = f"Weights of targets must be 0 or more, and not all 0; these are not: {some(wrong)}. Correct them."
        raise InputError(msg)
    n_used = counts[worth > 0].sum()
    return (worth / worth.sum() * n_used / counts)[place_n]


def _added(
    unperturbed: Examples,
    tokens: Tokens,
    label_n: np.ndarray,
    weight_n: np.ndarray,
    target_n: np.ndarray,
    *,
    spent: tuple[str, ...] = (),
) -> Examples:
    return Examples(
        Tokens.joined([unperturbed.tokens, tokens]),
        np.concatenate([unperturbed.label_n, label_n]),
        np.concatenate([unperturbed.weight_n, weight_n]),
        np.concatenate([unperturbed.added_n, np.ones(len(label_n), dtype=bool)]),
        np.concatenate([unperturbed.target_n, target_n]).astype(object),
        spent,
    )
