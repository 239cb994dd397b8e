"""BAGEL2: the Bayes factor of each gene's essentiality; also with the recall and precision of `BAGEL.py pr`."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from perturbloop.data.screen_formats.base import Columns, Format, comparisons, numbers, plain, shares


def _find(names: Collection[str]) -> dict[str, dict[str, str]]:
    known = {plain(name): name for name in names}
    if "bf" not in known:
        return comparisons(names, {"score": "BF"}, ("score",))
    more = {"FDR": known["fdr"]} if {"recall", "precision", "fdr"} <= set(known) else {}
    return {"": {"score": known["bf"]} | more}


def _numbers(frame: pd.DataFrame, columns: Columns, path: str) -> dict[str, np.ndarray]:
    return {
        "score": numbers(frame, columns["score"], path),
        "padj": shares(frame, columns.get("FDR"), path),
    }


FORMAT = Format(
    "BAGEL table of Bayes factors",
    "10.1186/s13073-020-00809-3",
    "the guides of the gene are lost: what was done to it costs growth. It is evidence for a loss alone; a low one is none for a gain",
    _find,
    _numbers,
)
"""log2 odds that a gene's guides are lost as those of essential genes are. `STD` is over resampled reference genes and no error of
the measurement, `NumObs` counts those samples and no guides: neither is read."""
