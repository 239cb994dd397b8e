"""What one model sees of the state cells; it is loaded, and embeds them, when that is first asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from perturbloop.data.cells import Cells
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import ModelError
from perturbloop.models.spec import ModelCard, Reads, Shape

if TYPE_CHECKING:
    from perturbloop.models.base import TokenModel
    from perturbloop.models.cell_model import CellModel, FoundationModel


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
    cells: Cells
    """Start and goal cells."""
    tokens: Tokens
    """The same, encoded."""
    load: "Callable[[], CellModel]"
    """Reads the weights."""
    lines: tuple[str, ...] = ()
    """What the model says of itself."""
    reads: Reads = "tokens"
    """What it reads of a cell."""

    @classmethod
    def of(
        cls, card: ModelCard, cells: Cells, tokens: Tokens, load: "Callable[[], CellModel]"
    ) -> "ModelView":
        """What the model of a card sees of these cells.

        Parameters
        ----------
        card
            Identity of the model.
        cells, tokens
            Start and goal cells, and the same encoded with its vocabulary.
        load
            Reads the weights.
        """
        words = card.vocabulary
        return cls(card.name, card.digest, words, card.shape, cells, tokens, load, card.lines, card.reads)

    @cached_property
    def model(self) -> "FoundationModel":
        """The model itself."""
        return cast("FoundationModel", self.load())

    @property
    def token_model(self) -> "TokenModel":
        """The model, where it reads tokens; one that reads values is refused."""
        if self.reads != "tokens":
            msg = (
                f"Sets, pairs and drugs, and training beyond the head, need a model that reads tokens; `{self.name}` reads a value for "
                "each gene. Edit genes one by one, or make a campaign with another model."
            )
            raise ModelError(msg)
        return cast("TokenModel", self.model)

    @cached_property
    def emb_nd(self) -> np.ndarray:
        """Embeddings of all start and goal cells, cells × embedding."""
        return self.model.embed_encoded(self.cells, self.tokens)
