"""The state head on a frozen encoder, and what encoder and head say together."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from perturbloop.models.base import CellModel
from perturbloop.perturb.readout import Readout

HEAD_STRENGTH = 0.1
"""Inverse L2 penalty of the head, on standardized embeddings."""


@dataclass(frozen=True)
class StateModel:
    """An encoder, how its embeddings are read, and how well that tells held-out cells apart."""

    model: CellModel
    """Encoder."""
    readout: Readout
    """Goal state and state head."""
    heldout_auroc: float
    """AUROC of the goal state among held-out unperturbed cells; 1 = perfect, 0.5 = chance."""
    n_train: int
    """Training cells."""

    @property
    def digest(self) -> str:
        """Hash of encoder and readout: names the shards."""
        return f"{self.model.digest}-{self.readout.digest}"


def train_frozen(
    model: CellModel,
    emb_nd: Float[np.ndarray, "n d"],
    is_goal_n: Bool[np.ndarray, " n"],
    train_n: Bool[np.ndarray, " n"],
) -> StateModel:
    """Fit a linear head on the embeddings of an encoder that stays as it is.

    Parameters
    ----------
    model
        The encoder the embeddings came from.
    emb_nd
        Embeddings of start and goal cells.
    is_goal_n, train_n
        State of each cell, and whether it trains the head; the others give `heldout_auroc`.

    Notes
    -----
    L2-penalized logistic regression on standardized dimensions, both states with the same weight; the scaling is folded
    into the weights, so that the logit is linear in the embedding.
    """
    head = make_pipeline(
        StandardScaler(), LogisticRegression(C=HEAD_STRENGTH, class_weight="balanced", max_iter=5000)
    )
    head.fit(emb_nd[train_n].astype(np.float64), is_goal_n[train_n])
    scale_d, coef_d = head[0].scale_, head[1].coef_[0]
    weight_d = coef_d / scale_d
    bias = float(head[1].intercept_[0] - weight_d @ head[0].mean_)
    readout = Readout(goal_state(emb_nd, is_goal_n & train_n), weight_d.astype(np.float32), bias)
    return StateModel(model, readout, heldout_auroc(readout, emb_nd, is_goal_n, train_n), int(train_n.sum()))


def goal_state(emb_nd: Float[np.ndarray, "n d"], rows_n: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " d"]:
    """Mean embedding of the goal state's training cells."""
    return emb_nd[rows_n].mean(axis=0, dtype=np.float64).astype(np.float32)


def heldout_auroc(
    readout: Readout,
    emb_nd: Float[np.ndarray, "n d"],
    is_goal_n: Bool[np.ndarray, " n"],
    train_n: Bool[np.ndarray, " n"],
) -> float:
    """AUROC of the head's logit for the goal state among the cells that did not train it."""
    return float(roc_auc_score(is_goal_n[~train_n], readout.logit(emb_nd[~train_n])))
