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
    spent: tuple[str, ...] = ()
    """Targets whose perturbed cells are among them."""


def open_loop(
    tokens: Tokens, is_goal_n: Bool[np.ndarray, " n"], *, max_cells: int, rng: np.random.Generator
) -> Examples:
    """Take unperturbed cells of the two states, at most `max_cells`, both states with the same total weight."""
    usable = np.flatnonzero(tokens.length_n > 2 * tokens.has_cls)
    chosen = np.sort(rng.permutation(usable)[:max_cells])
    label_n = is_goal_n[chosen].astype(float)
    share = np.clip(label_n.mean(), 1e-6, 1 - 1e-6)
    weight_n = np.where(label_n > 0.5, 0.5 / share, 0.5 / (1 - share))
    return Examples(tokens.select(chosen), label_n, weight_n)


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
    hits: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Examples:
    """Add really perturbed cells, labelled with their state only.

    Every training target has the same total weight, however many cells it has, so that none dominates.

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
    room = int(len(unperturbed.label_n) * share / (1 - share))
    per_target = max(1, room // len(set(training)))
    chosen = np.concatenate(
        [
            rng.permutation(np.flatnonzero(usable_n & (target_n == target)))[:per_target]
            for target in sorted(training)
        ]
    )
    labels = label_n[chosen]
    if shuffled:
        labels = rng.permutation(labels)
    counts = {target: int((target_n[chosen] == target).sum()) for target in set(target_n[chosen])}
    weight_n = np.array([len(chosen) / len(counts) / counts[target] for target in target_n[chosen]])
    return Examples(
        join(unperturbed.tokens, tokens.select(chosen)),
        np.concatenate([unperturbed.label_n, labels]),
        np.concatenate([unperturbed.weight_n, weight_n]),
        tuple(sorted(spent)),
    )


def join(first: Tokens, second: Tokens) -> Tokens:
    """Put two sets of cells of one encoding below each other."""
    rows = [tokens.row(cell) for tokens in (first, second) for cell in range(tokens.n_cells)]
    return Tokens.of_rows(rows, has_cls=first.has_cls)
