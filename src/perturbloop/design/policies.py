"""Policies that play a finished screen: those that learn, and the controls that they are read against."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Float, Int

from perturbloop.design.base import Acquisition, by_score
from perturbloop.design.belief import Belief
from perturbloop.design.chance import Chance
from perturbloop.design.choice import MOST_PER_SET, Aim, choose, first_batch
from perturbloop.design.forest import Forest
from perturbloop.design.gaussian import GaussianPosterior
from perturbloop.design.ground import Ground
from perturbloop.design.registry import ACQUISITIONS
from perturbloop.design.ridge import RidgeOfSize
from perturbloop.design.surrogate import Measured, Surrogate
from perturbloop.errors import DesignError, closest, some
from perturbloop.schema import First

SURROGATES: tuple[Surrogate, ...] = (RidgeOfSize(), GaussianPosterior(), Forest())
"""All surrogates."""
AIMS: tuple[Aim, ...] = ("find", "learn", "both")
PERMUTED = ", permuted feedback"
"""What is said behind the name of a policy that is told the effects of other genes."""


class Policy(ABC):
    """Chooses one batch after another."""

    name: str
    """Name in tables and figures."""
    is_control: bool = True
    """Whether it stands beside those that were asked for."""

    @abstractmethod
    def next(
        self, ground: Ground, measured: Measured, size: int, rng: np.random.Generator
    ) -> Int[np.ndarray, " p"]:
        """Rows of the genes of the next batch, none of them measured.

        Parameters
        ----------
        ground
            What is known without a measurement.
        measured
            Effects so far; none in the first round.
        size
            Genes of the batch.
        rng
            Source of any randomness.
        """


@final
@dataclass(frozen=True)
class Learner(Policy):
    """Believes what a surrogate says of the measured effects, and chooses by a goal or an acquisition."""

    surrogate: Surrogate
    """What is believed."""
    by: Aim | Acquisition
    """How a batch is chosen from it."""
    first: First = "proposed"
    """How the first batch is chosen."""
    most: int = MOST_PER_SET
    """Cap on each neighborhood, see `choose`."""
    permuted: bool = False
    """Whether the effects that it is told are dealt out among the measured genes: what remains is not learnt."""

    @property
    def name(self) -> str:  # type: ignore[override]
        """Surrogate, and goal or acquisition where it is not `find`."""
        by = self.by if isinstance(self.by, str) else self.by.name
        asked = self.surrogate.name if by == "find" else f"{self.surrogate.name}:{by}"
        return asked + PERMUTED * self.permuted

    @property
    def is_control(self) -> bool:  # type: ignore[override]
        """Only where feedback is permuted."""
        return self.permuted

    def next(
        self, ground: Ground, measured: Measured, size: int, rng: np.random.Generator
    ) -> Int[np.ndarray, " p"]:
        """Choose the next batch; see `Policy.next`."""
        if not len(measured.place_p):
            return first(ground, size, rng, how=self.first, most=self.most)
        if self.permuted:
            dealt = rng.permutation(len(measured.place_p))
            measured = Measured(measured.place_p, measured.effect_p[dealt], measured.se_p[dealt])
        belief = self.surrogate.believe(ground, measured, rng)
        if isinstance(self.by, Acquisition):
            return self.by.choose(belief, size, rng)
        return choose(belief, size, rng, aim=self.by, most=self.most)


@final
@dataclass(frozen=True)
class AtRandom(Policy):
    """Draws genes at random."""

    name: str = "chance"

    def next(
        self, ground: Ground, measured: Measured, size: int, rng: np.random.Generator
    ) -> Int[np.ndarray, " p"]:
        """Draw the next batch; see `Policy.next`."""
        return Chance().choose(blank(ground, measured), size, rng)


@final
@dataclass(frozen=True)
class CoverageAlone(Policy):
    """Covers the collections and looks at no effect."""

    name: str = "coverage"

    def next(
        self, ground: Ground, measured: Measured, size: int, rng: np.random.Generator
    ) -> Int[np.ndarray, " p"]:
        """Cover what is not covered yet; see `Policy.next`."""
        return choose(blank(ground, measured), size, rng, aim="learn")


@final
@dataclass(frozen=True)
class Static(Policy):
    """Measures genes in the order of a score that was there before: a prior, or another screen."""

    name: str
    score_g: Float[np.ndarray, " g"]
    """Higher = sooner; NaN last."""

    def next(
        self, ground: Ground, measured: Measured, size: int, rng: np.random.Generator
    ) -> Int[np.ndarray, " p"]:
        """Take the best that are left; see `Policy.next`."""
        return by_score(blank(ground, measured), self.score_g)[:size]


def first(
    ground: Ground, size: int, rng: np.random.Generator, *, how: First, most: int = MOST_PER_SET
) -> Int[np.ndarray, " p"]:
    """Choose the batch before anything is measured.

    Parameters
    ----------
    ground
        What is known of the genes.
    size
        Genes of the batch.
    rng
        Draws genes, or candidates of coverage.
    how
        `proposed`: among expressed genes, half by the prior where there is one, the others to cover the collections; without collections
        they are drawn at random. `chance`: at random among all genes, as published replays do.
    most
        Cap on each neighborhood.
    """
    belief = blank(ground, Measured(np.zeros(0, dtype=int), np.zeros(0), np.zeros(0)))
    if how == "chance":
        return Chance().choose(belief, size, rng)
    if ground.expressed_g.sum() >= size:
        belief = replace(belief, open_g=ground.expressed_g)
    if ground.likeness is None:
        by_prior = by_score(belief, ground.prior_g)[: size // 2 if np.isfinite(ground.prior_g).any() else 0]
        drawn = Chance().choose(belief.without(by_prior), size - len(by_prior), rng)
        return np.append(by_prior, drawn).astype(int)
    return first_batch(belief, size, rng, most=most)


def blank(ground: Ground, measured: Measured) -> Belief:
    """Belief that holds nothing but which genes are open."""
    known_g = np.zeros(len(ground.gene_ids), dtype=bool)
    known_g[measured.place_p] = True
    none_g = np.zeros(len(ground.gene_ids))
    return Belief(
        ground.gene_ids,
        none_g,
        none_g,
        none_g,
        ~known_g,
        ground.likeness,
        ground.prior_g,
        known_g=known_g,
    )


def learners(
    names: Sequence[str], *, first: First = "proposed", most: int = MOST_PER_SET
) -> tuple[Learner, ...]:
    """Policies by their names: a surrogate, and after a colon a goal or an acquisition.

    Parameters
    ----------
    names
        For instance `ridge`, `posterior:both`, `forest:thompson`; `find` where no goal is named.
    first
        How the first batch is chosen.
    most
        Cap on each neighborhood.

    Raises
    ------
    DesignError
        If there is no such surrogate, goal or acquisition.

    Examples
    --------
    >>> [one.name for one in learners(["ridge", "posterior:both", "ridge:thompson"])]
    ['ridge', 'posterior:both', 'ridge:thompson']
    """
    surrogates = {one.name: one for one in SURROGATES}
    ways: dict[str, Aim | Acquisition] = {one.name: one for one in ACQUISITIONS}
    ways |= {aim: aim for aim in AIMS}
    made = []
    for name in dict.fromkeys(names):
        surrogate, _, by = name.partition(":")
        if surrogate not in surrogates or (by or "find") not in ways:
            like = (
                closest(surrogate, surrogates, limit=1) if surrogate not in surrogates else closest(by, ways)
            )
            msg = (
                f"A policy is a surrogate ({some(surrogates)}), and after a colon a goal or an acquisition ({some(ways, limit=12)}), such "
                f"as ridge:both; '{name}' came. Did you mean {like}?"
            )
            raise DesignError(msg)
        made.append(Learner(surrogates[surrogate], ways[by or "find"], first, most))
    return tuple(made)
