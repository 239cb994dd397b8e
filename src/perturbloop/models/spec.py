"""What is known of a model before it is loaded, and how a family of models is told apart and read; no torch here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import some

if TYPE_CHECKING:
    from perturbloop.models.cell_model import CellModel
else:  # its module loads torch
    CellModel = Any


Reads = Literal["tokens", "values"]


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder, down to the layer that is read; what a pass costs follows from them."""

    layers: int
    """Transformer layers up to the embedding; 0 for a model without any."""
    dim: int
    """Length of an embedding."""
    heads: int
    """Attention heads of a layer; 0 for a model without any."""
    intermediate: int
    """Width of a layer's feed-forward part; 0 for a model without any."""
    positions: int
    """Most tokens a cell may have, by the weights; 0 for a model that does not read tokens."""


@dataclass(frozen=True)
class ModelCard:
    """A model folder's identity: all that a plan, a cost or a report needs of it."""

    family: str
    """Name of its `ModelSpec`: geneformer."""
    name: str
    """Name of its folder: Geneformer-V1-10M."""
    digest: str
    """Hash of all that decides an embedding; that of the loaded model."""
    vocabulary: Vocabulary
    """Tokens, medians and length, as the loaded model has them."""
    shape: Shape
    """Sizes of its encoder."""
    card: Mapping[str, Any]
    """What `perturbloop.json` of the folder says of how the model came to be; empty where there is none."""
    notes: tuple[str, ...] = ()
    """What of its files is not used: a head it was trained with."""
    reads: Reads = "tokens"
    """What the model reads of a cell, which decides what an edit is: a row of tokens, or a value for each gene."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The same in words."""
        said = (self.card.get("what", ""), *self.card.get("lines", ()))
        return tuple(str(line) for line in said if line)

    def cautions(self, *digests: str) -> tuple[str, ...]:
        """Say what of the model is not used, and that it has not learnt from these cells, where its card lists those it did.

        Parameters
        ----------
        digests
            Hash of the content of each file of cells.
        """
        notes = self.notes
        if self.reads == "values":
            notes += (
                f"`{self.name}` reads a value for each gene and is not trained further: no closed-loop model of its own is made of "
                "perturbed cells; they teach the evidence channel and judge.",
            )
        files = self.card.get("files")
        if not isinstance(files, dict) or not files or set(digests) & set(files.values()):
            return notes
        return (
            *notes,
            f"The model '{self.name}' learnt from {some(files)}, not from these cells: of another tissue or state than theirs it "
            "knows nothing. Published weights have seen many.",
        )


@dataclass(frozen=True)
class ModelSpec:
    """One family of models; outsiders give theirs as an entry point of the group `perturbloop.models`."""

    name: str
    """What the family is called: geneformer."""
    meaning: str
    """What a folder of it holds, in words."""
    recognizes: Callable[[Path], bool]
    """Whether a folder is of this family; looks at names and small files only."""
    load: Callable[..., CellModel]
    """`(folder, *, vocabulary, emb_layer)` → the model, read at a layer, with the published dictionaries of that folder where
    the model has none; may import torch, when it is called."""
    describe: Callable[..., ModelCard]
    """`(folder, *, vocabulary, emb_layer)` → the card of what `load` would return, its digest included; imports no torch, unless
    nothing else can read the weights."""
