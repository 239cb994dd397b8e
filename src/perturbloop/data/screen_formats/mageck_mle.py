"""MAGeCK MLE: gene summary of `mageck mle`, a beta score for each condition of the design (`A|beta`, `A|z`, …)."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from perturbloop.data.screen_formats.base import Columns, Format, comparisons, numbers, shares, standard_error

_ROLES = {"score": "beta", "z": "z", "p-value": "p[-._ ]?value", "FDR": "fdr"}


def _find(names: Collection[str]) -> dict[str, dict[str, str]]:
    found = comparisons(names, _ROLES, ("score", "FDR"))
    number = next((name for name in names if name.lower() == "sgrna"), None)  # how many guides
    more = {"reagents": number} if number else {}
    return {name: columns | more for name, columns in found.items() if name}


def _numbers(frame: pd.DataFrame, columns: Columns, path: str) -> dict[str, np.ndarray]:
    score_g, z_g = (numbers(frame, columns.get(role), path) for role in ("score", "z"))
    pvalue_g = shares(frame, columns.get("p-value"), path)
    wald_g = np.divide(score_g, z_g, out=np.full_like(score_g, np.nan), where=z_g != 0)
    return {
        "score": score_g,
        "se": np.abs(wald_g) if "z" in columns else standard_error(score_g, pvalue_g),
        "pvalue": pvalue_g,
        "padj": shares(frame, columns["FDR"], path),
        "n_reagents": numbers(frame, columns.get("reagents"), path),
    }


FORMAT = Format(
    "MAGeCK MLE gene summary",
    "10.1186/s13059-015-0843-6",
    "the guides of the gene become more in that condition, against the baseline of the design",
    _find,
    _numbers,
)
"""Beta and z of the fit, so their ratio is the standard error; the p-value is that of permutations, two-sided."""
