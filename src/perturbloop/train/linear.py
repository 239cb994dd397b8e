"""The linear control's head: logistic regression of the state on log-normalized expression."""

import numpy as np
from jaxtyping import Bool
from sklearn.metrics import roc_auc_score

from perturbloop.data.cells import Cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.linear import Linear
from perturbloop.models.readout import Readout
from perturbloop.stats.state_regression import choose_strength, fit_state
from perturbloop.train.classifier import StateModel


def train_linear(
    cells: Cells,
    is_goal_n: Bool[np.ndarray, " n"],
    train_n: Bool[np.ndarray, " n"],
    vocabulary: Vocabulary,
) -> StateModel:
    """Fit a state model that reads counts alone, on the cells that train the frozen encoder's head.

    Parameters
    ----------
    cells
        Start and goal cells, raw counts; all their genes are read.
    is_goal_n, train_n
        State of each cell, and whether it trains the head; the others give `heldout_auroc`.
    vocabulary
        Names the genes that can be edited: those of the foundation model it is a control of.

    Notes
    -----
    The head is that of the state score: L2 penalty on expression divided by its standard deviation, its strength chosen by
    cross-validation in the training cells.
    """
    expression_ng = cells.log_normalized()
    train_ng = expression_ng[np.flatnonzero(train_n)]
    strength = choose_strength(train_ng, is_goal_n[train_n])
    weight_d, bias = fit_state(train_ng, is_goal_n[train_n], strength)
    goal = expression_ng[np.flatnonzero(is_goal_n & train_n)].mean(axis=0)
    readout = Readout(
        np.asarray(goal).ravel().astype(np.float32), np.asarray(weight_d).astype(np.float32), bias
    )
    logit_n = expression_ng @ readout.weight_d + bias
    auroc = float(roc_auc_score(is_goal_n[~train_n], logit_n[~train_n]))
    return StateModel(Linear(cells.gene_ids, vocabulary), readout, auroc, int(train_n.sum()))
