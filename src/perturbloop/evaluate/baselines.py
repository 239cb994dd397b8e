"""What every ranking must beat: signed DE, how much a gene is expressed, how often it is seen, and chance.

Each gives PREDICTIONS rows of fold -1: none of them sees a measured effect, so none can leak.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Bool

from perturbloop.data.cells import Cells
from perturbloop.evaluate.de import benefit, signed_de
from perturbloop.schema import DEFAULT_KINDS, PREDICTIONS, Kind, concat


def baselines(
    cells: Cells,
    is_goal_n: Bool[np.ndarray, " n"],
    *,
    kinds: Iterable[Kind] = DEFAULT_KINDS,
    rng: np.random.Generator,
    de: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Score every gene of the cells by signed DE, expression, detection rate and chance.

    Parameters
    ----------
    cells
        Start and goal cells, nothing else.
    is_goal_n
        True for the goal cells.
    kinds
        Kinds of edit to predict.
    rng
        Draws the scores of `chance`.
    de
        Result of `signed_de`, where it is at hand.

    Returns
    -------
    PREDICTIONS rows with fold -1, higher = more benefit. Expression and detection rate, read in the start cells,
    rank both kinds alike: "hits are expressed genes" is the confounder that they stand for.
    """
    de = signed_de(cells, is_goal_n) if de is None else de
    start = cells.select(~is_goal_n)
    expression_g = np.asarray(start.log_normalized().mean(axis=0)).ravel()
    parts = []
    for kind in kinds:
        scores = {
            "de": benefit(de, kind),
            "expression": expression_g,
            "detection": start.detection(),
            "chance": rng.random(cells.n_genes),
        }
        parts += [_rows(name, kind, cells.gene_ids, score_g) for name, score_g in scores.items()]
    return concat(PREDICTIONS, parts)


def _rows(method: str, kind: Kind, gene_ids: np.ndarray, score_g: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"method": method, "kind": kind, "gene_id": gene_ids, "score": score_g.astype(float), "fold": -1}
    )
