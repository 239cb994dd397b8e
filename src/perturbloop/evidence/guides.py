"""Which guides worked: the target's own RNA, and whether a guide's cells differ from those of its siblings."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import stats

from perturbloop.data.perturbed import PerturbedCells
from perturbloop.schema import Modality, raises
from perturbloop.stats.pool import pool

LEAST_CELLS = 5
"""Fewest cells of a guide that is judged."""
LEAST_STRENGTH = 0.25
"""Least change of the target's RNA in the sibling guides, as a share of the controls', from which a guide can fall short."""
LITTLE = 0.5
"""A guide does little if it reaches less than this share of its siblings …"""
DOUBT = 0.01
"""… and surely so: one-sided p below this."""
HINT = 0.05
"""The same where the target's RNA is only one of two hints."""
LEAST_WEIGHT = 0.1
"""Weight of a guide that does nothing, beside 1 of one that works: a verdict may be wrong."""
QUIET = 0.1
"""A guide is told apart from non-targeting ones below this p."""


@dataclass(frozen=True)
class KnockDown:
    """What each guide of one target did to the target's own RNA; axes: guides, in the order of `guides`."""

    guides: list[str]
    """Names of the guides."""
    ratio_r: Float[np.ndarray, " r"]
    """RNA of the target, as a multiple of that in control cells of the same replicates; 1 = unchanged, 0.2 = a fifth left."""
    se_r: Float[np.ndarray, " r"]
    """Standard error of `ratio_r`; cells are the replicates."""
    log2fc_r: Float[np.ndarray, " r"]
    """log2 of `ratio_r`, half a count added on both sides."""
    cells_r: Float[np.ndarray, " r"]
    """Cells of each guide."""


@dataclass(frozen=True)
class Quality:
    """How much each guide of one target counts in its effect."""

    weight_r: Float[np.ndarray, " r"]
    """1 = as good as its siblings; down to `LEAST_WEIGHT`."""
    reason_r: list[str]
    """Why a guide counts less, in words; empty where it does not."""


def knock_down(perturbed: PerturbedCells, target: str, gene_id: str) -> KnockDown | None:
    r"""Compare the target's RNA in each guide's cells with control cells of the same replicate.

    Parameters
    ----------
    perturbed
        Perturbed and control cells.
    target
        Label of the target.
    gene_id
        Ensembl id of its own gene.

    Returns
    -------
    `KnockDown`, guides sorted by name (one, '', where no guides are named); `None` where the gene is not measured, or no
    control cell expresses it.

    Notes
    -----
    With counts :math:`k_n` of the gene, :math:`N_n` of all other genes and the controls' rate :math:`\lambda_r` in the cell's
    replicate, the ratio is :math:`\sum k_n / \sum \lambda_r N_n`. Its error comes from the residuals of the cells; that of
    the controls, common to all guides, is left out, so that guides are compared with each other. A knock-out need not lower
    its RNA at all: cells decay only some of the transcripts that carry an early stop.
    """
    column = np.flatnonzero(perturbed.cells.gene_ids == gene_id)
    if not gene_id or not len(column):
        return None
    own_n = np.asarray(perturbed.cells.counts_ng[:, column[0]].todense(), dtype=float).ravel()
    total_n = np.asarray(perturbed.cells.counts_ng.sum(axis=1, dtype=np.float64)).ravel() - own_n
    control = pd.DataFrame({"own": own_n, "total": total_n})[perturbed.is_control_n]
    sums = control.groupby(perturbed.replicate_n[perturbed.is_control_n]).sum()
    rate_n = pd.Series(perturbed.replicate_n).map(sums["own"] / sums["total"]).to_numpy(dtype=float)
    rows_n = np.flatnonzero(perturbed.target_n == target)
    guide_n = np.full(len(own_n), "", dtype=object) if perturbed.guide_n is None else perturbed.guide_n
    cells = pd.DataFrame({"own": own_n, "expected": rate_n * total_n}).iloc[rows_n]
    by_guide = cells.groupby(guide_n[rows_n])
    both, size = by_guide.sum(), by_guide.size()
    if not (both["expected"] > 0).all():
        return None
    ratio = both["own"] / both["expected"]
    residual = cells["own"] - pd.Series(guide_n[rows_n], index=cells.index).map(ratio) * cells["expected"]
    spread = (residual**2).groupby(guide_n[rows_n]).sum() * size / (size - 1).clip(lower=1)
    return KnockDown(
        guides=[str(name) for name in both.index],
        ratio_r=ratio.to_numpy(dtype=float),
        se_r=np.sqrt(spread.to_numpy(dtype=float)) / both["expected"].to_numpy(dtype=float),
        log2fc_r=np.log2((both["own"] + 0.5) / (both["expected"] + 0.5)).to_numpy(dtype=float),
        cells_r=size.to_numpy(dtype=float),
    )


def by_knock_down(found: KnockDown, *, gain: bool, doubt: float = DOUBT) -> Quality | None:
    """Judge guides by the target's own RNA, which the effect never reads: the outcome has no part in it.

    Parameters
    ----------
    found
        Each guide's RNA.
    gain
        Whether the perturbation raises the RNA (CRISPRa) rather than lowers it.
    doubt
        One-sided p below which a guide surely falls short.

    Returns
    -------
    `Quality`; `None` where the RNA says nothing: fewer than two guides with enough cells, or siblings that change it by less
    than `LEAST_STRENGTH`.

    Notes
    -----
    A guide's strength is the share of RNA it removes (or adds). It is compared with the median of its siblings; where it is
    surely less (Student's t, one-sided) than half of it, the guide counts by its share of the siblings' strength.

    Examples
    --------
    >>> found = KnockDown(["g1", "g2", "g3"], np.array([0.2, 0.2, 1.0]), np.full(3, 0.05), np.zeros(3), np.full(3, 100.0))
    >>> by_knock_down(found, gain=False).weight_r
    array([1. , 1. , 0.1])
    """
    strength_r = (found.ratio_r - 1) * (1 if gain else -1)
    judged_r = found.cells_r >= LEAST_CELLS
    weight_r, reason_r, said = np.ones(len(strength_r)), [""] * len(strength_r), False
    for place in np.flatnonzero(judged_r):
        siblings_r = judged_r & (np.arange(len(judged_r)) != place)
        if not siblings_r.any() or np.median(strength_r[siblings_r]) < LEAST_STRENGTH:
            continue
        said = True
        usual = float(np.median(strength_r[siblings_r]))
        median_variance = np.pi / 2 * float((found.se_r[siblings_r] ** 2).mean()) / siblings_r.sum()
        error = np.sqrt(found.se_r[place] ** 2 + LITTLE**2 * median_variance)
        short = LITTLE * usual - strength_r[place]
        if short > 0 and stats.t.sf(short / error, df=found.cells_r[place] - 1) < doubt:
            weight_r[place] = np.clip(strength_r[place] / usual, LEAST_WEIGHT, 1.0)
            reason_r[place] = (
                f"its target's RNA is at {found.ratio_r[place]:.0%} of the controls', {1 + (usual if gain else -usual):.0%} under "
                "its siblings"
            )
    return Quality(weight_r, reason_r) if said else None


def by_agreement(
    mean_r: Float[np.ndarray, " r"],
    variance_r: Float[np.ndarray, " r"],
    *,
    null_variance: float,
    shared_variance: float = 0.0,
    suspect_r: Bool[np.ndarray, " r"] | None = None,
) -> Quality:
    r"""Judge guides by their siblings' effect, where the target's RNA cannot.

    A guide does little if all guides together are surely not inert, its siblings, at least two and without it, agree on an
    effect, it is not told apart from non-targeting guides, and it is surely below half of the siblings' mean. Only a
    minority can do little.

    Parameters
    ----------
    mean_r, variance_r
        Effect of each guide and its sampling variance.
    null_variance
        Variance between inert guides.
    shared_variance
        Variance of the controls' mean.
    suspect_r
        Guides that something else speaks against, such as the target's RNA; they need not be surely below.

    Notes
    -----
    This looks at the outcome, and so would make effects of inert targets larger if it were used on them. Three things hold
    that in check: all guides together must be significant, whatever the verdict; so must the siblings, among all guides of
    the target (Bonferroni); and the p-value of an effect never reads these weights (`stats.pool.pool`). What is left is
    that effects of true targets with one unlucky guide come out a little too large.

    Examples
    --------
    >>> by_agreement(np.array([2.0, 2.1, 0.0]), np.full(3, 0.01), null_variance=0.01).weight_r
    array([1. , 1. , 0.1])
    """
    n_guides = len(mean_r)
    everything = Quality(np.ones(n_guides), [""] * n_guides)
    pooled = partial(pool, null_variance=null_variance, shared_variance=shared_variance)
    if n_guides < 3 or pooled(mean_r, variance_r).pvalue >= DOUBT:
        return everything
    weight_r, reason_r = np.ones(n_guides), [""] * n_guides
    for place in range(n_guides):
        others_r = np.arange(n_guides) != place
        siblings = pooled(mean_r[others_r], variance_r[others_r])
        alone = pooled(mean_r[[place]], variance_r[[place]])
        short = (LITTLE * siblings.mean - alone.mean) * np.sign(siblings.mean)
        error = np.hypot(alone.null_se, LITTLE * siblings.null_se)
        agreed = siblings.pvalue < DOUBT / n_guides
        surely = stats.norm.sf(short / error) < DOUBT or (suspect_r is not None and suspect_r[place])
        if agreed and alone.pvalue > QUIET and short > 0 and surely:
            weight_r[place] = LEAST_WEIGHT
            reason_r[place] = f"its effect is {alone.mean:+.2f}, that of its siblings {siblings.mean:+.2f}"
    return Quality(weight_r, reason_r) if (weight_r < 1).sum() * 2 < n_guides else everything


def quality(
    modality: Modality,
    found: KnockDown | None,
    mean_r: Float[np.ndarray, " r"],
    variance_r: Float[np.ndarray, " r"],
    *,
    null_variance: float,
    shared_variance: float,
) -> Quality:
    """Judge the guides of one target: by its own RNA where that can tell, else by their agreement.

    The RNA can tell for CRISPRi and CRISPRa. A knock-out may leave its RNA as it is and still take the protein: RNA that is not
    lowered makes a guide suspect there, and the guide counts less only if it does nothing while its siblings do; RNA that is
    lowered as in the siblings proves that the guide works.

    Parameters
    ----------
    modality
        What was done.
    found
        What each guide did to the target's RNA; `None` where it is not measured.
    mean_r, variance_r, null_variance, shared_variance
        As in `by_agreement`.
    """
    sure = modality in ("crispri", "crispra")
    judged = None
    if found is not None:
        judged = by_knock_down(found, gain=raises(modality), doubt=DOUBT if sure else HINT)
    if judged is not None and sure:
        return judged
    suspect_r = None if judged is None else judged.weight_r < 1
    agreed = by_agreement(
        mean_r,
        variance_r,
        null_variance=null_variance,
        shared_variance=shared_variance,
        suspect_r=suspect_r,
    )
    if found is None or judged is None:
        return agreed
    strength_r = 1 - found.ratio_r
    works_r = strength_r - 2 * found.se_r > LITTLE * float(np.median(strength_r))
    return Quality(
        np.where(works_r, 1.0, agreed.weight_r),
        ["" if works else reason for works, reason in zip(works_r, agreed.reason_r, strict=True)],
    )
