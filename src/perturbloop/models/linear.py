"""The linear control: log-normalized expression stands where a foundation model's embedding stands."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from perturbloop.data.cells import Cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.cell_model import CellModel
from perturbloop.models.folder import CARD_FILE, GENES_FILE, VOCABULARY_FILE, linear_digest


class Linear(CellModel):
    """Embeds a cell as log(1 + counts per 10,000) of its genes: nothing is learnt but the head."""

    def __init__(self, gene_ids: np.ndarray, vocabulary: Vocabulary) -> None:
        """Take the genes of an embedding, in its order, and the vocabulary that names what can be edited."""
        self.gene_ids = gene_ids
        self.vocabulary = vocabulary

    @property
    def dim(self) -> int:
        """Genes of an embedding."""
        return len(self.gene_ids)

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def digest(self) -> str:
        """Hash of genes and vocabulary."""
        return linear_digest(self.gene_ids, self.vocabulary)

    def embed_cells(self, cells: Cells) -> Float[np.ndarray, "n d"]:
        """Log-normalized expression of each cell, dense, float32; for few cells, since zeros are written out."""
        return cells.restrict(self.gene_ids).log_normalized().toarray().astype(np.float32)

    def save(self, folder: Path, card: Mapping[str, Any]) -> None:
        """Write genes, vocabulary and card."""
        folder.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"gene_id": self.gene_ids}).to_parquet(folder / GENES_FILE, index=False)
        self.vocabulary.save(folder / VOCABULARY_FILE)
        (folder / CARD_FILE).write_text(json.dumps({**card, "family": "linear"}, indent=2))
