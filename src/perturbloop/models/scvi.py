"""scVI: a variational autoencoder of counts, trained on the user's own cells through scvi-tools (the extra `scvi`).

`train_scvi` writes a folder of `scvi.json` (sizes), `model.safetensors` and `vocabulary.parquet`, so that no pickle has to be opened; a
cell's embedding is the mean of its latent distribution.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from safetensors.numpy import load_file, save_file
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import ModelError, VocabularyMismatch
from perturbloop.models.cell_model import ValueModel
from perturbloop.models.folder import CARD_FILE, VOCABULARY_FILE, depth_of, read_card
from perturbloop.models.spec import ModelCard, ModelSpec, Shape

if TYPE_CHECKING:
    import torch

SIZES, WEIGHTS = "scvi.json", "model.safetensors"
_FIRST_LAYER = "z_encoder.encoder.fc_layers.Layer 0.0.weight"
_NAMES = ("n_latent", "n_hidden", "n_layers")


class ScVI(ValueModel):
    """A trained scVI model; it reads raw counts, and its cell is the mean of the latent distribution."""

    def __init__(
        self, weights: Mapping[str, np.ndarray], sizes: Mapping[str, int], vocabulary: Vocabulary
    ) -> None:
        """Make the module of scvi-tools.

        Parameters
        ----------
        weights
            Its tensors, by their names.
        sizes
            `n_latent`, `n_hidden`, `n_layers`.
        vocabulary
            Genes of its input, in their order.
        """
        import torch

        _scvi()
        from scvi.module import VAE

        self.weights, self.sizes, self.vocabulary = weights, sizes, vocabulary
        self._module = VAE(n_input=len(vocabulary.gene_ids), n_batch=1, **sizes).eval()
        self._module.load_state_dict({name: torch.from_numpy(one) for name, one in weights.items()})

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(self.sizes["n_latent"])

    @property
    def device(self) -> "torch.device":
        """The CPU."""
        import torch

        return torch.device("cpu")

    @property
    def shape(self) -> Shape:
        """Sizes of its encoder."""
        return _shape(self.sizes, self.vocabulary)

    @property
    def digest(self) -> str:
        """Hash of weights, sizes and vocabulary."""
        return _digest(self.weights, self.sizes, self.vocabulary)

    def values(self, cells: Cells) -> sparse.csr_matrix:
        """Raw counts; zero where the cells' file does not measure a gene."""
        return self.counts(cells)

    def embed_values(self, values_ng: sparse.csr_matrix) -> Float[np.ndarray, "n d"]:
        """Mean of the latent distribution of each cell."""
        import torch

        count_ng = torch.from_numpy(values_ng.toarray()).float()
        with torch.inference_mode():
            found = self._module.inference(count_ng, batch_index=torch.zeros(len(count_ng), 1))
        return found["qz"].loc.numpy().astype(np.float32)

    def gene_embeddings(self) -> Float[np.ndarray, "g d"]:
        """What the first layer makes of each gene, in the order of the vocabulary."""
        return self.weights[_FIRST_LAYER].T.copy()

    def save(self, folder: Path, card: Mapping[str, Any]) -> None:
        """Write sizes, weights, vocabulary and card."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SIZES).write_text(json.dumps(dict(self.sizes)))
        save_file(dict(self.weights), folder / WEIGHTS)
        self.vocabulary.save(folder / VOCABULARY_FILE)
        (folder / CARD_FILE).write_text(json.dumps(dict(card), indent=2))


def train_scvi(
    cells: Cells, folder: Path | str, *, n_latent: int = 10, epochs: int | None = None, seed: int = 0
) -> ScVI:
    """Train scVI on cells and write its folder, which `--model` takes.

    Parameters
    ----------
    cells
        Raw counts; the genes that can be edited are theirs.
    folder
        Folder to make.
    n_latent
        Length of an embedding.
    epochs
        Passes over the cells; by default what scvi-tools takes for so many.
    seed
        Seed of weights and batches.

    Returns
    -------
    The model.

    Raises
    ------
    ModelError
        If scvi-tools is not installed.
    """
    scvi = _scvi()
    from anndata import AnnData

    scvi.settings.seed = seed
    adata = AnnData(sparse.csr_matrix(cells.counts_ng, dtype=np.float32))
    scvi.model.SCVI.setup_anndata(adata)
    trained = scvi.model.SCVI(adata, n_latent=n_latent)
    trained.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, logger=False)
    genes = len(cells.gene_ids)
    words = Vocabulary.of_genes(cells.gene_ids, cells.gene_names, np.ones(genes), max_length=genes)
    sizes = {"n_latent": n_latent, "n_hidden": 128, "n_layers": 1}  # the last two are those of scvi-tools
    weights = {name: one.detach().cpu().numpy() for name, one in trained.module.state_dict().items()}
    model = ScVI(weights, sizes, words)
    what = f"scVI, trained on {cells.n_cells:,} cells of {cells.source}"
    model.save(Path(folder), {"what": what, "files": {cells.source: cells.digest}})
    return model


def _scvi() -> Any:
    """scvi-tools, or how to get it."""
    try:
        import scvi
    except ImportError:
        msg = "scVI models need scvi-tools; it is not installed. Type `pip install 'perturbloop[scvi]'`."
        raise ModelError(msg) from None
    return scvi


def _parts(
    folder: Path, vocabulary: Path | str | None, emb_layer: int
) -> tuple[dict[str, np.ndarray], dict[str, int], Vocabulary]:
    """Weights, sizes and vocabulary of a folder, read without torch."""
    depth_of(1, emb_layer)
    if vocabulary is not None:
        msg = (
            f"The vocabulary of an scVI model is the genes it was trained on, and lies in its folder; `{vocabulary}` was named too. Leave "
            "`--vocabulary` out."
        )
        raise VocabularyMismatch(msg)
    try:
        sizes = json.loads((folder / SIZES).read_bytes())
        weights = load_file(folder / WEIGHTS)
        words = Vocabulary.load(folder / VOCABULARY_FILE)
        fits = weights[_FIRST_LAYER].shape == (sizes["n_hidden"], len(words.gene_ids))
        found = {name: int(sizes[name]) for name in _NAMES}
    except PermissionError:
        raise
    except Exception as error:  # json, safetensors and pyarrow raise many kinds for a damaged file
        msg = f"An scVI folder must hold `{SIZES}`, `{WEIGHTS}` and a vocabulary; those of `{folder}` cannot be read: {error}. Train it again."
        raise ModelError(msg) from None
    if not fits:
        msg = (
            f"The vocabulary of `{folder}` must be that of its weights; it has {len(words.gene_ids):,} genes, they have "
            f"{weights[_FIRST_LAYER].shape[1]:,}. Train it again."
        )
        raise VocabularyMismatch(msg)
    return weights, found, words


def _shape(sizes: Mapping[str, int], vocabulary: Vocabulary) -> Shape:
    return Shape(sizes["n_layers"], sizes["n_latent"], 1, sizes["n_hidden"], len(vocabulary.gene_ids))


def _digest(weights: Mapping[str, np.ndarray], sizes: Mapping[str, int], vocabulary: Vocabulary) -> str:
    hasher = hashlib.sha256(f"scvi {vocabulary.digest} {sorted(sizes.items())}".encode())
    for name in sorted(weights):
        hasher.update(name.encode())
        hasher.update(np.ascontiguousarray(weights[name]).tobytes())
    return hasher.hexdigest()[:16]


def _load(folder: Path, *, vocabulary: Path | str | None, emb_layer: int) -> ScVI:
    return ScVI(*_parts(folder, vocabulary, emb_layer))


def _describe(folder: Path, *, vocabulary: Path | str | None, emb_layer: int) -> ModelCard:
    weights, sizes, words = _parts(folder, vocabulary, emb_layer)
    digest, shape = _digest(weights, sizes, words), _shape(sizes, words)
    return ModelCard(SCVI.name, folder.name, digest, words, shape, read_card(folder), (), "values")


SCVI = ModelSpec(
    "scvi",
    f"a variational autoencoder of counts, trained on your cells: `{SIZES}`, `{WEIGHTS}` and a vocabulary",
    lambda folder: (folder / SIZES).is_file(),
    _load,
    _describe,
)
