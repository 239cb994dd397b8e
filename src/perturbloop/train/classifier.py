"""The state head on a frozen encoder, and what encoder and head say together."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from perturbloop.errors import ModelError
from perturbloop.models.cell_model import CellModel
from perturbloop.models.readout import Readout
from perturbloop.train.lora import Adapter

ROUNDING = 1e-12
"""A difference of means below this share of the embeddings is rounding."""


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
    adapter: Adapter | None = None
    """What was merged into the encoder at level `lora`, where it was kept."""

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

    Raises
    ------
    ModelError
        If the two states have the same mean embedding.

    Notes
    -----
    The head is `state_head`; both states have the same weight.
    """
    is_goal = is_goal_n[train_n]
    share = np.clip(is_goal.mean(), 1e-6, 1 - 1e-6)
    weight_n = np.where(is_goal, 0.5 / share, 0.5 / (1 - share))
    weight_d, bias = state_head(emb_nd[train_n], is_goal.astype(float), weight_n)
    readout = Readout(goal_state(emb_nd, is_goal_n & train_n), weight_d, bias)
    return StateModel(model, readout, heldout_auroc(readout, emb_nd, is_goal_n, train_n), int(train_n.sum()))


def state_head(
    emb_nd: Float[np.ndarray, "n d"], label_n: Float[np.ndarray, " n"], weight_n: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " d"], float]:
    """Fit weights and intercept of a linear head to soft labels; a positive logit means the goal state.

    Parameters
    ----------
    emb_nd
        Embeddings of the training cells.
    label_n
        Probability of the goal state of each.
    weight_n
        Weight of each; 1 on average.

    Raises
    ------
    ModelError
        If the two states have the same mean embedding.

    Notes
    -----
    Logistic regression along one axis, from the mean of the start cells to the mean of the goal cells, each cell counted in
    both by its label; a soft label is a cell of each state with a share of its weight. An unconstrained head tells cells
    apart a little better and reads edits far worse: it leans on directions in which cells hardly differ and in which every
    edit looks large (`docs/explanation/in_silico_perturbation.md` has the figures).
    """
    emb = emb_nd.astype(np.float64)
    goal_n, start_n = weight_n * label_n, weight_n * (1 - label_n)
    center_d = emb.mean(axis=0)
    axis_d = goal_n @ emb / goal_n.sum() - start_n @ emb / start_n.sum()
    length = np.linalg.norm(axis_d)
    if length <= ROUNDING * np.abs(emb).max(initial=0):
        msg = "Start and goal cells have the same mean embedding, so the model cannot tell them apart. Use another model."
        raise ModelError(msg)
    axis_d /= length
    place_n = (emb - center_d) @ axis_d
    spread = place_n.std()
    state_m = np.repeat([1, 0], len(place_n))
    head = LogisticRegression().fit(
        np.tile(place_n / spread, 2)[:, None], state_m, sample_weight=np.concatenate([goal_n, start_n])
    )
    weight_d = head.coef_[0, 0] / spread * axis_d
    return weight_d.astype(np.float32), float(head.intercept_[0] - weight_d @ center_d)


def goal_state(emb_nd: Float[np.ndarray, "n d"], rows_n: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " d"]:
    """Mean embedding of the goal state's training cells."""
    return emb_nd[rows_n].mean(axis=0, dtype=np.float64).astype(np.float32)


def heldout_auroc(
    readout: Readout,
    emb_nd: Float[np.ndarray, "n d"],
    is_goal_n: Bool[np.ndarray, " n"],
    train_n: Bool[np.ndarray, " n"],
) -> float:
    """AUROC of the head's logit for the goal state among the cells that did not train it.

    Parameters
    ----------
    readout
        The state head; a positive logit means the goal state.
    emb_nd
        Embeddings of start and goal cells, cells × embedding.
    is_goal_n, train_n
        Whether each cell is of the goal state, and whether it trained the head.
    """
    return float(roc_auc_score(is_goal_n[~train_n], readout.logit(emb_nd[~train_n])))
