"""The genes that stand for as many others as possible."""

from collections.abc import Iterator
from itertools import islice
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

from perturbloop.design.base import Acquisition, by_score
from perturbloop.design.belief import Belief
from perturbloop.errors import DesignError
from perturbloop.evidence.kernels import Kernel

CANDIDATES = 100
"""Genes that each step chooses from, drawn at random."""


@final
class Coverage(Acquisition):
    """Facility location over likeness: sees no effect, so that nothing it rests on can be wrong."""

    name = "coverage"
    meaning = "stands for the genes of which least is known, by likeness"

    def choose(self, belief: Belief, budget: int, rng: np.random.Generator) -> Int[np.ndarray, " p"]:
        """Choose genes that cover the others, each weighted by its standard deviation; see `Acquisition.choose`."""
        belief.require(budget)
        if belief.kernel is None:
            msg = "A `coverage` batch needs a kernel that says which genes are alike; it has none. Give gene sets, or another goal."
            raise DesignError(msg)
        known_g = np.zeros(len(belief.gene_ids), dtype=bool) if belief.known_g is None else belief.known_g
        weight_g = np.where(belief.open_g, belief.sd_g if belief.sd_g.any() else 1.0, 0.0)
        order = by_score(belief, np.zeros(len(belief.gene_ids)))
        found = covering(belief.kernel, rng, order=order, known_g=known_g, weight_g=weight_g)
        return np.array(list(islice(found, budget)), dtype=int)


def covering(
    kernel: Kernel,
    rng: np.random.Generator,
    *,
    order: Int[np.ndarray, " p"] | None = None,
    known_g: Bool[np.ndarray, " g"] | None = None,
    weight_g: Float[np.ndarray, " g"] | None = None,
) -> Iterator[int]:
    r"""Rows by facility location, one after the other; ties go to the first candidate drawn.

    Parameters
    ----------
    kernel
        Which genes are alike.
    rng
        Draws the candidates of each step.
    order
        Rows that may be chosen, in an order that does not depend on that of the rows; all by default.
    known_g
        Genes that stand for others already; none by default.
    weight_g
        How much it is worth to cover each gene; all alike by default.

    Notes
    -----
    The next gene c has the largest gain :math:`\sum_g w_g \max(0, K_{gc} - \max_{p \in P} K_{gp})` over the genes P so far, by the
    stochastic greedy rule of :cite:`mirzasoleiman2015`, which looks at `CANDIDATES` random genes a step.
    """
    n_genes = len(kernel.gene_ids)
    left = list(range(n_genes) if order is None else map(int, order))
    near_g = np.zeros(n_genes) if known_g is None else _nearest(kernel, np.flatnonzero(known_g))
    worth_g = np.ones(n_genes) if weight_g is None else weight_g
    while left:
        drawn = rng.choice(len(left), size=min(CANDIDATES, len(left)), replace=False)
        similar_gc = kernel.columns(np.array(left)[drawn])
        best = int(np.argmax(worth_g @ np.maximum(similar_gc - near_g[:, None], 0)))
        near_g = np.maximum(near_g, similar_gc[:, best])
        yield left.pop(int(drawn[best]))


def _nearest(kernel: Kernel, place_p: Int[np.ndarray, " p"]) -> Float[np.ndarray, " g"]:
    """Largest similarity of each gene to one of these, at least 0."""
    near_g = np.zeros(len(kernel.gene_ids))
    for part in np.array_split(place_p, len(place_p) // CANDIDATES + 1):
        if len(part):
            near_g = np.maximum(near_g, kernel.columns(part).max(axis=1))
    return near_g
