"""What models offer that read a row of tokens."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float

from perturbloop.data.cells import Cells
from perturbloop.data.encoding import tokenize
from perturbloop.data.tokens import Tokens
from perturbloop.models.cell_model import FoundationModel
from perturbloop.models.encoder import Encoder
from perturbloop.schema import Precision


class TokenModel(FoundationModel):
    """A foundation model: it reads a row of tokens."""

    @abstractmethod
    def encode(
        self, tokens_bt: torch.Tensor, attention_bt: torch.Tensor | None = None
    ) -> Float[torch.Tensor, "b d"]:
        """Embed a batch of rows on the model's device; `attention_bt` is 1 at tokens and 0 at padding."""

    @abstractmethod
    def encoder(self, precision: Precision) -> Encoder:
        """Forward pass that in-silico perturbation takes apart; float32 equals `encode`."""

    @property
    @abstractmethod
    def first_only(self) -> bool:
        """Whether the embedding reads the first position alone."""

    @abstractmethod
    def pool(
        self, hidden_btd: Float[torch.Tensor, "b t d"], gate_bt: Float[torch.Tensor, "b t"] | None = None
    ) -> Float[torch.Tensor, "b d"]:
        """Cell embeddings from hidden states without padding; a gate is the weight of each token in a mean."""

    def embed(
        self,
        rows: Sequence[np.ndarray],
        *,
        batch_tokens: int = 16384,
        on_batch: Callable[[int], None] | None = None,
    ) -> Float[np.ndarray, "n d"]:
        """Embed rows of any length, without gradients and without padding.

        Rows of equal length share a batch, so no work is spent on padding and none can leak into a mean.

        Parameters
        ----------
        rows
            Token ids of each cell; none may be empty.
        batch_tokens
            Tokens in a batch.
        on_batch
            Called with the number of rows done, for a progress bar.

        Returns
        -------
        Embeddings in the order of the rows, float32.
        """
        emb_nd = np.empty((len(rows), self.dim), dtype=np.float32)
        length_n = np.array([len(row) for row in rows])
        with torch.inference_mode():
            for length in np.unique(length_n):
                places = np.flatnonzero(length_n == length)
                size = max(1, batch_tokens // int(length))
                for part in (places[start : start + size] for start in range(0, len(places), size)):
                    batch = torch.from_numpy(np.stack([rows[place] for place in part]).astype(np.int64))
                    emb_nd[part] = self.encode(batch.to(self.device)).float().cpu().numpy()
                    if on_batch is not None:
                        on_batch(len(part))
        return emb_nd

    def embed_cells(self, cells: Cells) -> Float[np.ndarray, "n d"]:
        """Embeddings of cells, in their order, float32; each must express a gene that has a token."""
        return self.embed_encoded(cells, tokenize(cells, self.vocabulary))

    def embed_encoded(self, cells: Cells, tokens: Tokens) -> Float[np.ndarray, "n d"]:
        """Embeddings of cells whose tokens are known already."""
        return self.embed(tokens.rows())
