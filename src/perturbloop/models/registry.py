"""Which family a model folder belongs to, and how its model or its identity is read."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perturbloop.errors import ModelError
from perturbloop.models.families import GENEFORMER, LINEAR
from perturbloop.models.scgpt import SCGPT
from perturbloop.models.scvi import SCVI
from perturbloop.models.spec import ModelCard, ModelSpec
from perturbloop.schema import PerturbConfig

if TYPE_CHECKING:
    from perturbloop.models.cell_model import CellModel
else:  # its module loads torch
    CellModel = Any

SPECS: tuple[ModelSpec, ...] = (GENEFORMER, LINEAR, SCGPT, SCVI)
"""Families that come with perturbloop, in the order in which a folder is shown to them."""
GROUP = "perturbloop.models"
"""Entry points of this group name a `ModelSpec` each; they are asked once no family of `SPECS` knows a folder."""


def load(folder: Path | str, *, vocabulary: Path | str | None = None, emb_layer: int = 0) -> CellModel:
    """Load the model of a folder, whatever its family.

    Parameters
    ----------
    folder
        Folder of the model.
    vocabulary
        Folder with the published dictionaries, where the model folder holds no vocabulary of its own.
    emb_layer
        Layer the embedding is read from: 0 = last, -1 = one before it.

    Returns
    -------
    The model, on the CPU.

    Raises
    ------
    ModelError
        If no family knows the folder, or its files cannot be used.
    VocabularyMismatch
        If vocabulary and model do not belong together.
    """
    folder = Path(folder)
    return spec_of(folder).load(folder, vocabulary=vocabulary, emb_layer=emb_layer)


def describe(folder: Path | str, *, vocabulary: Path | str | None = None, emb_layer: int = 0) -> ModelCard:
    """Read the identity of a folder's model without loading it, and without torch.

    Weights in safetensors are hashed as they lie. A checkpoint in torch's own format (`.bin`) is loaded by torch, since
    nothing else reads it.

    Parameters
    ----------
    folder
        Folder of the model.
    vocabulary
        Folder with the published dictionaries, where the model folder holds no vocabulary of its own.
    emb_layer
        Layer the embedding is read from: 0 = last, -1 = one before it.

    Returns
    -------
    Family, name, digest (that of the model which `load` gives), vocabulary, sizes, and what its own card says.

    Raises
    ------
    ModelError
        If no family knows the folder, or its files cannot be used.
    VocabularyMismatch
        If vocabulary and model do not belong together.
    """
    folder = Path(folder)
    return spec_of(folder).describe(folder, vocabulary=vocabulary, emb_layer=emb_layer)


def spec_of(folder: Path) -> ModelSpec:
    """Return the family of a folder.

    Raises
    ------
    ModelError
        If no family knows it.
    """
    for spec in SPECS:
        if spec.recognizes(folder):
            return spec
    others = tuple(entry.load() for entry in entry_points(group=GROUP))
    for spec in others:
        if spec.recognizes(folder):
            return spec
    if not folder.is_dir():
        msg = (
            f"A model is a folder, or a name that `perturbloop models` lists; `{folder}` is no folder. Correct the path, or make a "
            "small model with `perturbloop pretrain`."
        )
        raise ModelError(msg)
    known = "; ".join(f"{spec.name} ({spec.meaning})" for spec in (*SPECS, *others))
    msg = (
        f"A model folder must be of a family that is known here: {known}. `{folder}` is none of them. Correct the path, make a small "
        f"model with `perturbloop pretrain`, or install the package of its family, which names it as an entry point `{GROUP}`."
    )
    raise ModelError(msg)


def require_foundation(card: ModelCard, config: PerturbConfig) -> None:
    """Refuse the linear control, which is no foundation, and options of edits that a model has no meaning for.

    Parameters
    ----------
    card
        The model.
    config
        Options of the edits.
    """
    if not card.shape.positions:
        msg = (
            f"A campaign needs a foundation model, which reads tokens or values; `{card.name}` is of the family '{card.family}', a "
            "control. Name another with `--model`; the linear control is trained by itself."
        )
        raise ModelError(msg)
    asked = {"engine": (config.engine, "exact"), "after_delete": (config.after_delete, "shorten")}
    wrong = {name: came for name, (came, known) in asked.items() if came != known}
    if card.reads == "values" and wrong:
        name, came = next(iter(wrong.items()))
        msg = (
            f"A model that reads values, as `{card.name}` does, needs `{name}` = '{asked[name][1]}': an edit changes one value and no "
            f"other gene's, and is scored exactly; '{came}' came. Leave it out."
        )
        raise ModelError(msg)
