"""DrugZ: gene-drug interactions, a normalized z for each gene."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from perturbloop.data.screen_formats.base import Columns, Format, comparisons, numbers, of_two_arms, shares

_ROLES = {
    "score": "normZ",
    "p-value (synthetic)": "pval_synth",
    "FDR (synthetic)": "fdr_synth",
    "p-value (suppressor)": "pval_supp",
    "FDR (suppressor)": "fdr_supp",
    "reagents": "numObs",
}
_NEEDED = tuple(role for role in _ROLES if role != "reagents")


def _find(names: Collection[str]) -> dict[str, dict[str, str]]:
    return comparisons(names, _ROLES, _NEEDED)


def _numbers(frame: pd.DataFrame, columns: Columns, path: str) -> dict[str, np.ndarray]:
    arms = (
        (
            shares(frame, columns[f"p-value ({arm})"], path),
            shares(frame, columns[f"FDR ({arm})"], path),
        )
        for arm in ("synthetic", "suppressor")
    )
    found = of_two_arms(numbers(frame, columns["score"], path), *arms)
    return found | {"n_reagents": numbers(frame, columns.get("reagents"), path)}


FORMAT = Format(
    "DrugZ table",
    "10.1186/s13073-019-0665-3",
    "what was done to the gene makes cells resist the drug (a suppressor); a low one, that it makes them sensitive",
    _find,
    _numbers,
)
"""normZ is a z of all genes; each arm has its own one-sided p and FDR. Observations are guides times replicates."""
