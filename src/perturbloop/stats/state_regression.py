"""Logistic regression of a cell's state on its log-normalized expression."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Values of scikit-learn's C (small = strong shrinkage) that cross-validation chooses from."""


def choose_strength(
    expression_ng: sparse.csr_matrix, is_goal_n: Bool[np.ndarray, " n"], *, seed: int = 0
) -> float:
    """Scikit-learn's C with the best AUROC in up to three stratified folds; the strongest shrinkage among equals.

    Parameters
    ----------
    expression_ng
        Log-normalized expression, cells × genes.
    is_goal_n
        Whether a cell is in the goal state; at least two cells of either state.
    seed
        Deals the cells to folds. No campaign sets it: effects are measured in the same unit whatever its seed.

    Returns
    -------
    One of `STRENGTHS`.
    """
    n_folds = min(3, int(is_goal_n.sum()), int((~is_goal_n).sum()))
    search = GridSearchCV(
        _pipeline(1.0),
        {"logisticregression__C": list(STRENGTHS)},
        scoring="roc_auc",
        cv=StratifiedKFold(n_folds, shuffle=True, random_state=seed),
        refit=False,
    )
    return float(search.fit(expression_ng, is_goal_n).best_params_["logisticregression__C"])


def fit_state(
    expression_ng: sparse.csr_matrix, is_goal_n: Bool[np.ndarray, " n"], strength: float
) -> tuple[Float[np.ndarray, " g"], float]:
    """Weights, in logits of the goal state per unit of log-normalized expression, and intercept.

    Parameters
    ----------
    expression_ng
        Log-normalized expression, cells × genes.
    is_goal_n
        Whether a cell is in the goal state.
    strength
        Scikit-learn's C: small = strong shrinkage.

    Returns
    -------
    Weight of each gene, positive = higher in the goal, and the intercept; their sum is the logit of the goal state.

    Notes
    -----
    L2 penalty on expression divided by its standard deviation.
    """
    pipeline = _pipeline(strength).fit(expression_ng, is_goal_n)
    scaler, model = pipeline[0], pipeline[1]
    return model.coef_[0] / scaler.scale_, float(model.intercept_[0])


def _pipeline(strength: float) -> Pipeline:
    # Not centered, so that sparse stays sparse: the free intercept makes up for it exactly.
    return make_pipeline(StandardScaler(with_mean=False), LogisticRegression(C=strength, max_iter=10_000))
