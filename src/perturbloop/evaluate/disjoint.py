"""The held-out targets that nothing measured is related to: what a method knows beyond the neighbors it was shown.

A held-out gene of a complex whose other members were perturbed is an easy question. Here only those targets are kept that share
no gene set (pathway or complex) with a training target, of whatever modality, of the ranking that judges them.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from jaxtyping import Bool

from perturbloop.data.gene_sets import GeneSets
from perturbloop.data.splits import trains
from perturbloop.evaluate.held_out import Truth
from perturbloop.schema import EFFECTS

SMALLEST, LARGEST = 5, 500
"""Genes of a set that relates its members: smaller ones are mostly pairs of names, larger ones say nothing."""
HELD_OUT, DISJOINT = "held-out", "pathway-disjoint"


def related(
    gene_ids: np.ndarray,
    training: Collection[str],
    sets: GeneSets,
    *,
    smallest: int = SMALLEST,
    largest: int = LARGEST,
) -> Bool[np.ndarray, " n"]:
    """Whether each gene shares a set with a training gene, or is one.

    Parameters
    ----------
    gene_ids
        Genes to ask about, dtype object.
    training
        Genes whose effects went into a ranking.
    sets
        Pathways and complexes; only those of `smallest` to `largest` genes count.
    smallest, largest
        Sizes, both included.

    Returns
    -------
    One value per gene. A gene in no set is related to nothing that is known: false.
    """
    sized = sets.between(smallest, largest)
    trained_g = np.isin(sized.gene_ids.astype(str), list(map(str, training)))
    touched_s = np.asarray(sized.member_gs[trained_g].sum(axis=0)).ravel() > 0
    shares_g = np.asarray(sized.member_gs[:, np.flatnonzero(touched_s)].sum(axis=1)).ravel() > 0
    found = {*sized.gene_ids[shares_g], *training}
    return np.array([gene in found for gene in gene_ids], dtype=bool)


def pathway_disjoint(truth: Truth, effects: pd.DataFrame, sets: GeneSets) -> Bool[np.ndarray, " n"]:
    """Which held-out targets share no gene set with any target that trained the ranking that judges them.

    Parameters
    ----------
    truth
        Held-out targets.
    effects
        EFFECTS rows of all targets and modalities, the spent ones too.
    sets
        Pathways and complexes.

    Returns
    -------
    One value per target, in the order of `truth`.

    Notes
    -----
    Gene sets know only what has been studied: a target in no set is kept, though it may be related to a training target in ways
    nobody has written down. The sets must not come from the screen that is judged.
    """
    rows = EFFECTS.checked(effects).query("level == 'gene'")
    fold_of = rows.groupby("gene_id")["fold"].min().astype(int).to_dict()
    kept_n = np.ones(truth.gene_ids.size, dtype=bool)
    for fold in np.unique(truth.fold_n).tolist():
        here = truth.fold_n == fold
        kept_n[here] = ~related(truth.gene_ids[here], trains(fold_of, without=fold), sets)
    return kept_n
