"""What every model of cells offers, and those that read a value for each gene; no torch here."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.spec import Shape

if TYPE_CHECKING:
    from torch import device as Device
else:
    Device = Any

ROWS = 256
"""Cells that are embedded together."""


class CellModel(ABC):
    """A model that turns a cell into an embedding; how it reads a cell is its family's own affair."""

    vocabulary: Vocabulary
    """Tokens, medians and length: names the genes that can be edited."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of an embedding."""

    @property
    @abstractmethod
    def device(self) -> Device:
        """Where it computes."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hash of all that decides an embedding."""

    @abstractmethod
    def embed_cells(self, cells: Cells) -> Float[np.ndarray, "n d"]:
        """Embeddings of cells, in their order, float32."""

    @abstractmethod
    def save(self, folder: Path, card: Mapping[str, Any]) -> None:
        """Write the model and its card; `models.load` reads them."""


class FoundationModel(CellModel):
    """A model that a campaign can rest on: it learnt something of genes before it saw these cells."""

    @abstractmethod
    def gene_embeddings(self) -> Float[np.ndarray, "g d"]:
        """Input vector of each gene of the vocabulary, in its order: what the model knows of a gene before any cell."""

    def embed_encoded(self, cells: Cells, tokens: Tokens) -> Float[np.ndarray, "n d"]:
        """Embeddings of cells whose tokens are known already."""
        return self.embed_cells(cells)


class ValueModel(FoundationModel):
    """A foundation model that reads a value for each gene of a cell: a count, or a bin of it. An edit changes one value."""

    highest: float = math.inf
    """Highest value that it can read; one that a gene is raised to ends there."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """Sizes, which decide what a pass costs."""

    @abstractmethod
    def values(self, cells: Cells) -> sparse.csr_matrix:
        """What it reads of cells: cells × genes of the vocabulary in its order, zero where a gene is not read."""

    def counts(self, cells: Cells) -> sparse.csr_matrix:
        """Counts of cells, cells × genes of the vocabulary in its order; zero where the cells' file does not measure a gene."""
        place_g = np.array([self.vocabulary.position.get(gene, -1) for gene in cells.gene_ids])
        known = np.flatnonzero(place_g >= 0)
        held = cells.counts_ng[:, known].tocoo()
        shape = cells.n_cells, len(self.vocabulary.gene_ids)
        return sparse.csr_matrix((held.data, (held.row, place_g[known][held.col])), shape=shape)

    @abstractmethod
    def embed_values(self, values_ng: sparse.csr_matrix) -> Float[np.ndarray, "n d"]:
        """Embeddings of cells by their values, float32; a cell's does not depend on the cells beside it."""

    def embed_cells(self, cells: Cells) -> Float[np.ndarray, "n d"]:
        """Embeddings of cells, in their order, float32."""
        values_ng = self.values(cells)
        parts = [
            self.embed_values(values_ng[start : start + ROWS]) for start in range(0, cells.n_cells, ROWS)
        ]
        return np.concatenate(parts)
