"""Batches by what they are for: most hits, most to be learnt, or both; never ten times one pathway."""

import math
from typing import Literal

import numpy as np
from jaxtyping import Int

from perturbloop.design.base import by_score
from perturbloop.design.belief import Belief
from perturbloop.design.coverage import Coverage
from perturbloop.evidence.kernels import Kernel

Aim = Literal["find", "learn", "both"]
"""What a batch is for: most hits; most said of the genes that are not in it; half and half."""
MOST_PER_SET, SMALL_BATCH = 4, 32
"""Genes of one neighborhood in a batch of up to so many genes; a larger batch may hold more in proportion."""
NEAR = 0.5
"""Likeness from which two genes are of one neighborhood: half of what is known of them is the same."""
_DEPTH = 8
"""Genes that are looked at for each place of the batch before the cap is given up."""


def choose(
    belief: Belief,
    size: int,
    rng: np.random.Generator,
    *,
    aim: Aim,
    most: int = MOST_PER_SET,
    given_b: Int[np.ndarray, " b"] | None = None,
) -> Int[np.ndarray, " p"]:
    """Choose genes to perturb next, best first.

    Parameters
    ----------
    belief
        What is believed of each gene, and which may be chosen.
    size
        Genes of the batch.
    rng
        Draws the candidates of coverage.
    aim
        `find`: highest probability of a hit. `learn`: coverage of the gene-set space, each gene weighted by its standard deviation.
        `both`: half of each, hits first.
    most
        Genes of one neighborhood among those chosen by probability, in a batch of up to 32 genes; of 128 four times as many. 0 = no
        cap. Where nothing else is left it is exceeded.
    given_b
        Rows of genes that are in the batch already, beside the `size` that are chosen: the cap counts them.

    Returns
    -------
    Rows of the chosen genes, `size` of them, each once.

    Raises
    ------
    DesignError
        If fewer genes are open, or coverage is asked for without a kernel.
    """
    belief.require(size)
    n_found = {"find": size, "learn": 0, "both": size - size // 2}[aim]
    ranked_p, most = by_score(belief, belief.probability_g), _most(most, size + _n(given_b))
    found_p = diverse(ranked_p, n_found, belief.kernel, most, given_b)
    return _covered(belief, found_p, size, rng)


def first_batch(
    belief: Belief,
    size: int,
    rng: np.random.Generator,
    *,
    n_prior: int | None = None,
    most: int = MOST_PER_SET,
    given_b: Int[np.ndarray, " b"] | None = None,
) -> Int[np.ndarray, " p"]:
    """Choose a batch before anything is measured: part of it by the prior, the others to stand for as many genes as possible.

    Parameters
    ----------
    belief
        Its `prior_g` is the score before any measurement; genes without one are not chosen by it.
    size
        Genes of the batch.
    rng
        Draws the candidates of coverage.
    n_prior
        Genes that the prior chooses; half of them by default, and never more, since what looks best beforehand teaches nothing of the
        others. Fewer where fewer genes have a prior.
    most, given_b
        As of `choose`, among those.

    Returns
    -------
    Rows of the chosen genes, those by the prior first.
    """
    belief.require(size)
    wanted = min(size // 2 if n_prior is None else n_prior, size // 2)
    if belief.prior_g is None:
        return _covered(belief, np.zeros(0, dtype=int), size, rng)
    ranked = by_score(belief, belief.prior_g)
    ranked = ranked[np.isfinite(belief.prior_g[ranked])]
    most = _most(most, size + _n(given_b))
    by_prior = diverse(ranked, min(wanted, len(ranked)), belief.kernel, most, given_b)
    return _covered(belief, by_prior, size, rng)


def diverse(
    ranked_p: Int[np.ndarray, " p"],
    size: int,
    kernel: Kernel | None,
    most: int = MOST_PER_SET,
    given_b: Int[np.ndarray, " b"] | None = None,
) -> Int[np.ndarray, " q"]:
    """First genes of a ranking, with at most so many of one neighborhood; those passed over fill what stays empty.

    Parameters
    ----------
    ranked_p
        Rows, best first.
    size
        How many are wanted, at most as many as there are.
    kernel
        Which genes are alike; without one, or without a cap, the first are taken.
    most
        Genes of the batch that a gene of it may be near to, itself among them.
    given_b
        Rows of genes that are in the batch already; none of them is ranked.

    Examples
    --------
    >>> from perturbloop.evidence.kernels import vector_kernel
    >>> pairs = vector_kernel("pairs", np.arange(6).astype(str), np.repeat(np.eye(3), 2, axis=0))
    >>> diverse(np.arange(6), 3, pairs, most=1).tolist(), diverse(np.arange(6), 4, pairs, most=1).tolist()
    ([0, 2, 4], [0, 2, 4, 1])
    """
    if kernel is None or most < 1 or size < 1:
        return ranked_p[:size]
    n_given = _n(given_b)
    looked_p = ranked_p[: max(_DEPTH * size, size)]
    looked_p = looked_p if given_b is None else np.append(given_b, looked_p).astype(int)
    near_pp = kernel.among(looked_p) >= NEAR
    chosen = list(range(n_given))
    passed: list[int] = []
    for place in range(n_given, len(looked_p)):
        if len(chosen) == size + n_given:
            break
        (chosen if near_pp[place, chosen].sum() < most else passed).append(place)
    return looked_p[np.array((chosen + passed)[n_given:][:size], dtype=int)]


def _n(given_b: Int[np.ndarray, " b"] | None) -> int:
    """How many genes are in the batch already."""
    return 0 if given_b is None else len(given_b)


def _most(most: int, size: int) -> int:
    """Cap of a batch of this size.

    >>> _most(4, 32), _most(4, 128), _most(4, 8), _most(0, 32)
    (4, 16, 4, 0)
    """
    return math.ceil(most * max(size, SMALL_BATCH) / SMALL_BATCH)


def _covered(
    belief: Belief, chosen_p: Int[np.ndarray, " p"], size: int, rng: np.random.Generator
) -> Int[np.ndarray, " q"]:
    """These genes, and as many more as are wanted that cover what they do not."""
    more = size - len(chosen_p)
    if not more:
        return chosen_p
    return np.append(chosen_p, Coverage().choose(belief.without(chosen_p), more, rng)).astype(int)
