"""DE ∩ ISP: what differential expression and the in-silico edit agree on, with the direction rule.

The published use of in-silico perturbation reads it together with DE. The rule: a gene is one to inhibit when it is higher in
the start cells *and* its in-silico deletion moves cells toward the goal; one to activate when it is higher in the goal
cells *and* its in-silico overexpression moves cells there.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturbloop.schema import PREDICTIONS, Kind, concat


def agreement(de_g: Float[np.ndarray, " g"], isp_g: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    r"""Join two benefits by the direction rule; positive = both say toward the goal, negative = both say away.

    Parameters
    ----------
    de_g
        Benefit by signed DE (`de.benefit`).
    isp_g
        Benefit by the in-silico edit of the same kind.

    Returns
    -------
    Score per gene, in root mean squares of the weaker of the two; 0 where they disagree or either says nothing.

    Notes
    -----
    With :math:`a, b` the two benefits, each divided by its root mean square over the genes (which keeps its zero and
    sign): :math:`\operatorname{sign}(a)\min(|a|, |b|)` where :math:`ab > 0`, else 0. About half of the genes tie at 0, as the
    rule says nothing of them.

    Examples
    --------
    >>> agreement(np.array([3.0, -1.0, 2.0, -1.0]), np.array([1.0, -1.0, -1.0, 1.0])).round(2)
    array([ 1.  , -0.52, 0.  , 0.  ])
    """
    de_g, isp_g = (_scaled(value_g) for value_g in (de_g, isp_g))
    smaller_g = np.minimum(np.abs(de_g), np.abs(isp_g))
    return np.where(de_g * isp_g > 0, np.sign(de_g) * smaller_g, 0.0)


def de_isp(predictions: pd.DataFrame) -> pd.DataFrame:
    """Read DE and the open loop's edits together.

    Parameters
    ----------
    predictions
        PREDICTIONS rows with the methods `de` and `frozen`.

    Returns
    -------
    PREDICTIONS rows of `de-isp`, fold -1, for the genes and kinds that both score.
    """
    parts = []
    full = predictions[predictions["fold"] == -1]
    for kind in full.loc[full["method"] == "frozen", "kind"].unique():
        isp, de = (_scores(full, name, kind) for name in ("frozen", "de"))
        shared = isp.index[isp.index.isin(de.index)]
        score = agreement(de[shared].to_numpy(float), isp[shared].to_numpy(float))
        parts.append(
            pd.DataFrame({"method": "de-isp", "kind": kind, "gene_id": shared, "score": score, "fold": -1})
        )
    return concat(PREDICTIONS, parts)


def _scores(predictions: pd.DataFrame, method: str, kind: Kind) -> pd.Series:
    rows = predictions[predictions["method"].eq(method) & predictions["kind"].eq(kind)]
    return rows.dropna(subset=["score"]).set_index("gene_id")["score"]


def _scaled(value_g: np.ndarray) -> np.ndarray:
    size = float(np.sqrt(np.mean(value_g**2))) if value_g.size else 0.0
    return value_g / (size if size > 0 else 1)
