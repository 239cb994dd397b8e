"""Which family a saved model belongs to, and how it is read back."""

import json
from pathlib import Path

from perturbloop.models.base import CellModel
from perturbloop.models.geneformer import CARD_FILE, load_geneformer
from perturbloop.models.linear import load_linear


def load_saved(folder: Path) -> CellModel:
    """Read a model that `CellModel.save` wrote; its card says which family it is."""
    card = json.loads((folder / CARD_FILE).read_text())
    if card.get("family") == "linear":
        return load_linear(folder)
    return load_geneformer(folder, pooling=card["pooling"])
