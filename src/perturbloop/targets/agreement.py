"""DE ∩ ISP: how far differential expression and the in-silico edit pick the same genes by the direction rule, and what that is worth."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from perturbloop.schema import TARGET_AGREEMENT
from perturbloop.targets.candidates import measured_by

SHARE = 0.1
"""Share of the scored genes that each of the two picks at most."""


def agreement(predictions: pd.DataFrame, effects: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    r"""Table TARGET_AGREEMENT.

    Parameters
    ----------
    predictions
        Table PREDICTIONS; its methods `de` (signed DE: up in the start state and to be inhibited, or down and to be activated, is
        positive) and `frozen` (the in-silico edit) are read. Neither has seen a perturbed cell, so every measured gene judges both.
    effects
        Table EFFECTS.
    kinds
        Kind of edit of each action.

    Notes
    -----
    Both pick the best tenth of the genes that both score, as far as their score is positive. With n genes, of which DE picks a and
    ISP b, the number of both is hypergeometric where they know nothing of each other. Strongly expressed genes are easier to find
    for both, which makes p too small.
    """
    rows = []
    full = predictions[predictions["fold"].eq(-1)]
    for action, kind in kinds.items():
        scores = {
            method: full[full["method"].eq(method) & full["kind"].eq(kind)]
            .dropna(subset=["score"])
            .drop_duplicates("gene_id")
            .set_index("gene_id")["score"]
            .astype(float)
            for method in ("de", "frozen")
        }
        shared = scores["de"].index.intersection(scores["frozen"].index)
        if len(shared):
            picked = {method: _picked(score[shared]) for method, score in scores.items()}
            counts = _counts(picked["de"], picked["frozen"])
            rows.append({"action": action, **counts, **_worth(picked, effects, kind)})
    return TARGET_AGREEMENT.checked(pd.DataFrame(rows, columns=TARGET_AGREEMENT.names))


def _picked(score: pd.Series) -> pd.Series:
    most = max(1, round(SHARE * len(score)))
    return score.rank(ascending=False, method="first").le(most) & score.gt(0)


def _counts(de: pd.Series, isp: pd.Series) -> dict[str, Any]:
    n, a, b, both = len(de), int(de.sum()), int(isp.sum()), int((de & isp).sum())
    return {
        "n_scored": n,
        "n_de": a,
        "n_isp": b,
        "n_both": both,
        "expected": a * b / n,
        "pvalue": float(hypergeom.sf(both - 1, n, a, b)),
    }


def _worth(picked: Mapping[str, pd.Series], effects: pd.DataFrame, kind: str) -> dict[str, float]:
    """Share of hits toward the goal among the measured genes that each picks."""
    own = measured_by(effects, kind)
    own = own[own.index.isin(picked["de"].index)]
    hit = own["hit"].astype(bool) & own["effect_to_goal"].astype(float).gt(0)
    de, isp = (picked[method].reindex(own.index) for method in ("de", "frozen"))
    return {
        "n_measured": len(own),
        "n_hits": int(hit.sum()),
        **{
            name: _share(hit, chosen)
            for name, chosen in (("ppv_de", de), ("ppv_isp", isp), ("ppv_both", de & isp))
        },
    }


def _share(hit: pd.Series, chosen: pd.Series) -> float:
    return float(hit[chosen.astype(bool)].mean()) if chosen.astype(bool).any() else np.nan
