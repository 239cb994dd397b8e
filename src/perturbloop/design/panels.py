"""Panels: genes to measure before any ranking is trusted, and the panels that learning curves grow by.

A panel nests in a larger one of the same random numbers: the first 20 genes of a panel of 75 are the panel of 20.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Literal

import numpy as np
from jaxtyping import Shaped

from perturbloop.design.coverage import covering
from perturbloop.errors import DesignError, closest, some
from perturbloop.evidence.kernels import Kernel

PanelRule = Literal["random", "hit-enriched", "coverage"]
"""How a panel is drawn."""
PANELS: tuple[PanelRule, ...] = ("random", "hit-enriched", "coverage")
MOST_DRAWS = 10_000
"""Most draws of a panel."""


def panel(
    how: PanelRule,
    k: int,
    *,
    gene_ids: Shaped[np.ndarray, " g"],
    rng: np.random.Generator,
    hits: Collection[str] = (),
    hit_share: float = 0.4,
    kernel: Kernel | None = None,
) -> Shaped[np.ndarray, " p"]:
    r"""Draw the genes of a panel; those of a smaller `k` come first.

    Parameters
    ----------
    how
        `random`: each gene as likely as any other. `hit-enriched`: a share of known hits, the rest other genes, as in published
        closed loops; it needs a screen. `coverage`: genes that stand for as many others as possible; it sees no effect.
    k
        Genes in the panel; with 0 it is empty.
    gene_ids
        Genes to choose from, each once.
    rng
        Start it alike for panels that are to nest.
    hits, hit_share
        For `hit-enriched`: known hits, and their share of the panel. Where they run out, other genes take their place.
    kernel
        For `coverage`: which genes are alike. Genes of which it knows nothing are chosen last.

    Returns
    -------
    Ids of `k` genes in the order they are chosen in.

    Raises
    ------
    DesignError
        If there are fewer genes than `k`, or the rule lacks the hits or the kernel it needs.

    Notes
    -----
    Coverage is facility location (`coverage.covering`), and looks at random genes a step, so that each seed gives another panel.

    Examples
    --------
    >>> ids = np.array(["JAK1", "JAK2", "STAT1", "MYC", "ACTB"], dtype=object)
    >>> small, large = (panel("random", k, gene_ids=ids, rng=np.random.default_rng(0)) for k in (2, 4))
    >>> large[:2].tolist() == small.tolist()
    True
    """
    if k < 0 or k > len(gene_ids):
        msg = f"A panel is drawn from at least as many genes as it holds; it was to hold {k:,} of {len(gene_ids):,}. Lower `k`."
        raise DesignError(msg)
    if how == "random":
        order = iter(rng.permutation(len(gene_ids)))
    elif how == "hit-enriched":
        order = _enriched(np.isin(gene_ids.astype(str), list(map(str, hits))), hit_share, rng)
    else:
        order = covering(_kernel_of(kernel, gene_ids), rng)
    return gene_ids[np.array(list(islice(order, k)), dtype=int)]


def _enriched(is_hit_g: np.ndarray, share: float, rng: np.random.Generator) -> Iterator[int]:
    """Places, so that the first k hold ⌊share × k⌋ hits while there are any."""
    if not is_hit_g.any():
        msg = "A `hit-enriched` panel needs hits among its genes; none of `hits` is. Give hits of a screen, or draw a `random` panel."
        raise DesignError(msg)
    hits = list(rng.permutation(np.flatnonzero(is_hit_g)))
    others = list(rng.permutation(np.flatnonzero(~is_hit_g)))
    for place in range(len(is_hit_g)):
        due = int(share * (place + 1) + 1e-9) > int(share * place + 1e-9)
        yield (hits if (due and hits) or not others else others).pop()


def _kernel_of(kernel: Kernel | None, gene_ids: Shaped[np.ndarray, " g"]) -> Kernel:
    if kernel is None:
        msg = "A `coverage` panel needs a kernel that says which genes are alike; it has none. Give one, or draw a `random` panel."
        raise DesignError(msg)
    return kernel.aligned(gene_ids)


def require_panels(ks: Sequence[int], panels: Sequence[str], seeds: int) -> None:
    """Refuse sizes, rules and numbers of draws that no panel can have.

    Parameters
    ----------
    ks
        Sizes of the panels.
    panels
        How they are drawn.
    seeds
        Draws of each.

    Raises
    ------
    DesignError
        If a size is 1 or negative, a rule is unknown, or nothing would be drawn.
    """
    wrong = [k for k in ks if k < 0 or k == 1]
    if wrong or not ks:
        msg = f"Sizes of panels are 0, or 2 and more: one gene tells no spread; {some(wrong)} came. Correct `ks`."
        raise DesignError(msg)
    unknown = [name for name in panels if name not in PANELS]
    if unknown or not panels:
        like = f" Did you mean {closest(unknown[0], PANELS)}?" if unknown else ""
        msg = f"Panels are drawn by {some(PANELS)}; {some(unknown)} came.{like} Correct `panels`."
        raise DesignError(msg)
    if not 1 <= seeds <= MOST_DRAWS:
        msg = f"Each panel is drawn at least once, and at most {MOST_DRAWS:,} times; `seeds` is {seeds:,}. Correct it."
        raise DesignError(msg)
