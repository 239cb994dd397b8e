"""ZFC: z-scores of log fold changes; its p-values are those of the nearer tail, 0 to 0.5."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from perturbloop.data.screen_formats.base import Columns, Format, comparisons, numbers, shares, standard_error

_ROLES = {"score": "zlfc", "p-value": "p", "FDR": "p_adj", "reagents": "count"}


def _find(names: Collection[str]) -> dict[str, dict[str, str]]:
    return comparisons(names, _ROLES, ("score", "p-value", "FDR"))


def _numbers(frame: pd.DataFrame, columns: Columns, path: str) -> dict[str, np.ndarray]:
    score_g = numbers(frame, columns["score"], path)
    pvalue_g, padj_g = (np.minimum(1, 2 * shares(frame, columns[role], path)) for role in ("p-value", "FDR"))
    return {
        "score": score_g,
        "se": standard_error(score_g, pvalue_g),
        "pvalue": pvalue_g,
        "padj": padj_g,
        "n_reagents": numbers(frame, columns.get("reagents"), path),
    }


FORMAT = Format(
    "ZFC table",
    "10.1038/s41587-021-00944-1",
    "the guides of the gene are more in the treated sample than in the control",
    _find,
    _numbers,
    ("its p-values are one-sided (0 to 0.5), so they and the FDR made of them are doubled",),
)
"""Benjamini and Hochberg's step is linear in p and stays below 1 here, so that twice its FDR is that of the doubled p-values."""
