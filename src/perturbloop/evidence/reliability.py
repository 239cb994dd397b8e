"""The tables behind an effect: its guides and its replicates, one row each."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturbloop.data.cells import Cells
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.errors import some
from perturbloop.evidence.escape import escape_share, looks_like_control
from perturbloop.evidence.guides import KnockDown, Quality
from perturbloop.evidence.replicates import ReplicateEffects
from perturbloop.schema import Modality, raises
from perturbloop.stats.streams import stream

LEAST_DETECTION = 0.1
"""Least share of cells that express a gene by which escaping cells are sought."""
MOST_NAMED = 5
"""Guides that are named one by one in the warnings."""
LEAST_GUIDE_CELLS = 10
"""Fewest cells of a guide whose escaped share is given."""


def control_like(
    perturbed: PerturbedCells, target: str, left_out: frozenset[str], *, seed: int = 0
) -> Float[np.ndarray, " n"] | None:
    """Probability that a cell looks like a control, one per cell of the file; missing for other targets' cells.

    Parameters
    ----------
    perturbed
        Perturbed and control cells.
    target
        Label of the target.
    left_out
        Genes that are not read: the target's own.
    seed
        Deals the cells to halves, each target by its own stream.
    """
    rows_n = np.flatnonzero((perturbed.target_n == target) | perturbed.is_control_n)
    cells = perturbed.cells.select(rows_n)
    read_g = (cells.detection() >= LEAST_DETECTION) & ~np.isin(cells.gene_ids.astype(str), list(left_out))
    expression_ng = _cut(cells, read_g).log_normalized()
    rng = stream(seed, "halves of a target's cells", target)
    like = looks_like_control(
        expression_ng, perturbed.replicate_n[rows_n], perturbed.is_control_n[rows_n], rng=rng
    )
    if like is None:
        return None
    like_n = np.full(perturbed.cells.n_cells, np.nan)
    like_n[rows_n] = like
    return like_n


def guide_rows(
    perturbed: PerturbedCells,
    target: str,
    gene_id: str,
    guides: list[str],
    effect_r: Float[np.ndarray, " r"],
    *,
    quality: Quality,
    found: KnockDown | None,
    like_n: Float[np.ndarray, " n"] | None,
) -> list[Mapping[str, object]]:
    """Rows of the table `GUIDES` of one target, without its symbol.

    Parameters
    ----------
    perturbed
        Perturbed and control cells.
    target, gene_id
        Label of the target and its own gene, '' where it has none.
    guides, effect_r
        Its guides and the effect of each.
    quality, found
        How much each counts, and what it did to the target's RNA, in the same order.
    like_n
        What `control_like` found.
    """
    rows: list[Mapping[str, object]] = []
    for place, guide in enumerate(guides):
        own_n = perturbed.target_n == target
        if perturbed.guide_n is not None:
            own_n = own_n & (perturbed.guide_n == guide)
        escape = np.nan
        if like_n is not None and own_n.sum() >= LEAST_GUIDE_CELLS:
            escape = escape_share(
                np.append(like_n[own_n], like_n[perturbed.is_control_n]),
                np.repeat([False, True], [own_n.sum(), perturbed.is_control_n.sum()]),
            )
        rows.append(
            {
                "target": target,
                "gene_id": gene_id,
                "guide_id": guide,
                "n_cells": int(own_n.sum()),
                "log2fc": np.nan if found is None else found.log2fc_r[place],
                "ratio": np.nan if found is None else found.ratio_r[place],
                "ratio_se": np.nan if found is None else found.se_r[place],
                "escape": escape,
                "effect_to_goal": effect_r[place],
                "weight": quality.weight_r[place],
                "reason": quality.reason_r[place],
            }
        )
    return rows


def replicate_rows(target: str, gene_id: str, found: ReplicateEffects) -> list[Mapping[str, object]]:
    """Rows of the table `REPLICATES` of one target, without its symbol.

    Parameters
    ----------
    target, gene_id
        Label of the target and its own gene, '' where it has none.
    found
        Its effect in each replicate.
    """
    return [
        {
            "target": target,
            "gene_id": gene_id,
            "replicate": name,
            "effect_to_goal": found.mean_r[place],
            "se": np.sqrt(found.variance_r[place]),
            "n_cells": int(found.cells_r[place]),
        }
        for place, name in enumerate(found.names)
    ]


def guide_warnings(guides: pd.DataFrame, modality: Modality) -> list[str]:
    """What a reader must know of the guides: those that do little, and targets whose RNA did not change at all.

    Parameters
    ----------
    guides
        Table `GUIDES`.
    modality
        What was done; a knock-out need not lower its RNA, so nothing is said of it there.
    """
    little = guides[guides["weight"] < 1]
    said = [
        f"Guide {row.guide_id} of {row.target} does little and counts {row.weight:.0%} in its effect: {row.reason}."
        for row in little.itertuples()
    ]
    if len(said) > MOST_NAMED:
        said = [
            f"{len(little):,} guides do little and count less (table `guides`): {some(little['guide_id'])}."
        ]
    unchanged = _unchanged(guides, modality) if modality in ("crispri", "crispra") else []
    if unchanged:
        said.append(
            "The RNA of these targets, as a share of the controls', did not surely change, so that their perturbation cannot be "
            f"seen to have worked: {some(unchanged, limit=10)}."
        )
    return said


def _unchanged(guides: pd.DataFrame, modality: Modality) -> list[str]:
    """Targets whose RNA, over all their guides, is within two errors of the controls', or on the wrong side."""
    found = []
    for target, rows in guides.dropna(subset=["ratio"]).groupby("target", sort=False):
        share = rows["n_cells"] / rows["n_cells"].sum()
        ratio = float(share @ rows["ratio"])
        error = float(np.sqrt(share**2 @ rows["ratio_se"] ** 2))
        worked = ratio - 2 * error > 1 if raises(modality) else ratio + 2 * error < 1
        if not worked:
            found.append(f"{target} ({ratio:.0%} ± {error:.0%})")
    return found


def _cut(cells: Cells, read_g: np.ndarray) -> Cells:
    return cells.restrict(cells.gene_ids[read_g])
