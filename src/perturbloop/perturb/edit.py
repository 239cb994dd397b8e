"""Edits on one row of tokens; the row itself is never changed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from perturbloop.schema import AfterDelete, Kind, NotExpressed, PerturbConfig

Row = Int[np.ndarray, "_"]


@dataclass(frozen=True)
class Target:
    """One gene and what is done to it."""

    token: int
    """Token of the gene."""
    kind: Kind
    """Edit."""
    dose: float = 1.0
    """For `inhibit` and `activate`: 0 = no effect, 1 = to the end or to the front of the encoding."""


@dataclass(frozen=True)
class Perturbation:
    """One gene, a set of genes, or a drug as the set of its signed targets; all are edited together."""

    name: str
    """What it is called in the tables."""
    targets: tuple[Target, ...]
    """Genes and what is done to each."""


@dataclass(frozen=True)
class Policy:
    """What an edit means at the edges of an encoding; neither is ever implied."""

    after_delete: AfterDelete = "shorten"
    """Whether a gene beyond the length limit moves up when another is deleted."""
    not_expressed: NotExpressed = "skip"
    """What happens to a gene that the cell does not express."""

    @classmethod
    def of(cls, config: PerturbConfig) -> "Policy":
        """Policies of a campaign."""
        return cls(config.after_delete, config.not_expressed)


def delete(row: Row, tokens: tuple[int, ...]) -> Row:
    """Take genes out of a cell; every later gene moves up.

    >>> delete(np.array([5, 3, 8]), (3,))
    array([5, 8])
    """
    return row[~np.isin(row, tokens)]


def overexpress(row: Row, tokens: tuple[int, ...], *, first: int = 0) -> Row:
    """Move genes to the front of a cell, in the order given; genes it does not express are put in.

    Parameters
    ----------
    row
        Token ids of the cell.
    tokens
        Genes to move.
    first
        Position of the front: 0, or 1 where `<cls>` comes first.

    Returns
    -------
    The edited row, longer by the genes that were put in.

    Examples
    --------
    >>> overexpress(np.array([5, 3, 8]), (8,))
    array([8, 5, 3])
    """
    front = np.array(tokens, dtype=row.dtype)
    return np.concatenate([row[:first], front, delete(row[first:], tokens)])


def edited(
    row: Row, targets: tuple[Target, ...], *, policy: Policy, limit: int, spare: Row, has_cls: bool = False
) -> Row | None:
    """Return the cell after all edits of one perturbation, or `None` where they do not apply to it.

    Parameters
    ----------
    row
        Tokens of the cell, special ones included.
    targets
        Genes and what is done to each; all at once.
    policy
        Whether spare genes move up, and whether genes that are not expressed are put in.
    limit
        Most tokens of a cell.
    spare
        The cell's genes beyond the limit, next one first.
    has_cls
        Whether the row starts with `<cls>` and ends with `<eos>`.

    Returns
    -------
    The edited row, no longer than the limit; `None` where nothing would change or nothing be left.

    Notes
    -----
    A gene at rank j of n is inhibited at dose a by a move to rank :math:`j + [a (n - 1 - j)]` and activated by a move to
    :math:`[(1 - a) j]`, [] rounding to the nearest; overexpressed genes take the first ranks in the order given. A gene
    that is not expressed counts as rank n. Lowering a gene that is not there is no edit. Under `skip` the cell must
    express every target; under `insert` at least one edit must be possible. The effect of a set does not depend on
    the order of its lowered genes; raised genes that come to one rank keep the order given.

    Examples
    --------
    >>> cell, none = np.array([5, 3, 8, 9]), np.array([], dtype=int)
    >>> inhibit = (Target(3, "inhibit", dose=0.5),)
    >>> edited(cell, inhibit, policy=Policy(), limit=4, spare=none)
    array([5, 8, 3, 9])
    """
    edge = int(has_cls)
    genes = row[edge : len(row) - edge]
    rank = {int(token): place for place, token in reversed(list(enumerate(genes.tolist())))}
    here = [target for target in targets if target.token in rank]
    if policy.not_expressed == "insert":
        here = [t for t in targets if t.token in rank or t.kind in ("overexpress", "activate")]
    elif len(here) < len(targets):
        return None
    n = len(genes)
    moves, front = [], 0
    for target in here:
        place = rank.get(target.token, n)
        if target.kind == "overexpress":
            moves.append((front, 0, target.token))
            front += 1
        elif target.kind == "activate" and (to := round((1 - target.dose) * place)) < n:
            moves.append((to, 0, target.token))
        elif target.kind == "inhibit":
            moves.append((place + round(target.dose * (n - 1 - place)), 1 + place, target.token))
    rest = delete(genes, tuple(target.token for target in here)).tolist()
    if policy.after_delete == "refill":
        room = limit - 2 * edge - len(rest) - len(moves)
        rest += delete(spare, tuple(target.token for target in targets))[: max(0, room)].tolist()
    last = -1
    for to, _, token in sorted(moves, key=lambda move: move[:2]):
        last = max(to, last + 1)  # genes that come to one rank stand in a row
        rest.insert(last, token)
    rest = rest[: limit - 2 * edge]
    if not here or not rest or rest == genes.tolist():
        return None
    return np.concatenate([row[:edge], np.array(rest, dtype=row.dtype), row[len(row) - edge :]])
