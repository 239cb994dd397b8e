"""How a moved embedding becomes a number: cosine to the goal state, and the state head's logit."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Readout:
    """Goal state and state head in one embedding space."""

    goal_d: Float[np.ndarray, " d"]
    """Mean embedding of the goal state's training cells."""
    weight_d: Float[np.ndarray, " d"]
    """Weights of the linear state head; positive = toward the goal."""
    bias: float
    """Its intercept: the logit of the goal state is weight · embedding + bias."""

    @property
    def direction_d(self) -> Float[np.ndarray, " d"]:
        """Unit vector to the goal state, float64: a cosine is a product with it."""
        goal_d = self.goal_d.astype(np.float64)
        direction_d: np.ndarray = goal_d / np.linalg.norm(goal_d)
        return direction_d

    @property
    def digest(self) -> str:
        """Hash of goal and head."""
        parts = (self.goal_d, self.weight_d, np.array([self.bias]))
        return hashlib.sha256(
            b"".join(np.asarray(part, dtype=np.float64).tobytes() for part in parts)
        ).hexdigest()[:16]

    def logit(self, emb_nd: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Logit of the goal state, one value per cell; positive = goal."""
        return emb_nd.astype(np.float64) @ self.weight_d.astype(np.float64) + self.bias
