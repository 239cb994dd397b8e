"""What one model sees of the state cells; it is loaded, and embeds them, when that is first asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.spec import Shape

if TYPE_CHECKING:
    from perturbloop.models.base import CellModel, TokenModel


@dataclass(eq=False)
class ModelView:
    """A foundation model as it came, and the start and goal cells as it reads them. Loads no torch until it must."""

    name: str
    """Name of its folder."""
    digest: str
    """Hash of its weights and of what it reads from."""
    vocabulary: Vocabulary
    """Which gene is which token."""
    shape: Shape
    """Sizes of its encoder."""
    tokens: Tokens
    """Encoded start and goal cells."""
    load: "Callable[[], CellModel]"
    """Reads the weights."""
    lines: tuple[str, ...] = ()
    """What the model says of itself."""

    @cached_property
    def model(self) -> "TokenModel":
        """The model itself."""
        return cast("TokenModel", self.load())

    @cached_property
    def emb_nd(self) -> np.ndarray:
        """Embeddings of all start and goal cells, cells × embedding."""
        return self.model.embed(self.tokens.rows())
