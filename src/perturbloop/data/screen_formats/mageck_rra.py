"""MAGeCK RRA: `NAME.gene_summary.txt` of `mageck test`, also several side by side (`neg|lfc.A`, `neg|lfc.B`)."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from perturbloop.data.screen_formats.base import Columns, Format, comparisons, numbers, of_two_arms, shares

_ROLES = {
    f"{role} ({arm})": rf"{arm}[|._ ]{pattern}"
    for arm in ("neg", "pos")
    for role, pattern in (("score", "lfc"), ("p-value", "p[-._ ]?value"), ("FDR", "fdr"))
}


def _find(names: Collection[str]) -> dict[str, dict[str, str]]:
    found = comparisons(names, _ROLES, _ROLES)
    number = next((name for name in names if name.lower() == "num"), None)
    return {name: columns | ({"reagents": number} if number else {}) for name, columns in found.items()}


def _numbers(frame: pd.DataFrame, columns: Columns, path: str) -> dict[str, np.ndarray]:
    low, high = (numbers(frame, columns[f"score ({arm})"], path) for arm in ("neg", "pos"))
    arms = (
        (
            shares(frame, columns[f"p-value ({arm})"], path),
            shares(frame, columns[f"FDR ({arm})"], path),
        )
        for arm in ("neg", "pos")
    )
    score_g = np.where(np.abs(low) > np.abs(high), low, high)
    return of_two_arms(score_g, *arms) | {"n_reagents": numbers(frame, columns.get("reagents"), path)}


FORMAT = Format(
    "MAGeCK gene summary",
    "10.1186/s13059-014-0554-4",
    "the guides of the gene are more in the treated, or high, sample than in the control",
    _find,
    _numbers,
)
"""Two arms, each with its own one-sided p and FDR; the fold change of both is mostly the same."""
