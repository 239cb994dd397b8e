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
MOST_COVERED = 2_000
"""Most genes that gains are summed over; of more, so many are drawn at random to stand for all."""


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
    left = np.arange(n_genes) if order is None else order
    worth_g = np.ones(n_genes) if weight_g is None else weight_g
    wanted_d = rng.permutation(left)[:MOST_COVERED] if len(left) > MOST_COVERED else left
    known = np.zeros(0, dtype=int) if known_g is None else np.flatnonzero(known_g)
    near_d = np.zeros(len(wanted_d))
    for part in np.array_split(known, len(known) // CANDIDATES + 1):
        near_d = np.maximum(near_d, kernel.between(wanted_d, part).max(axis=1, initial=0.0))
    while len(left):
        drawn = rng.choice(len(left), size=min(CANDIDATES, len(left)), replace=False)
        similar_dc = kernel.between(wanted_d, left[drawn])
        best = int(np.argmax(worth_g[wanted_d] @ np.maximum(similar_dc - near_d[:, None], 0)))
        near_d = np.maximum(near_d, similar_dc[:, best])
        yield int(left[drawn[best]])
        left = np.delete(left, drawn[best])
