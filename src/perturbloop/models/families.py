"""The families of models that come with perturbloop: how a folder of each is told, described and loaded."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perturbloop.models.folder import (
    CONFIG_FILE,
    default_pooling,
    depth_of,
    fitted_vocabulary,
    linear_digest,
    read_card,
    read_config,
    read_genes,
    read_labels,
    read_vocabulary,
)
from perturbloop.models.spec import ModelCard, ModelSpec, Shape
from perturbloop.models.weights import encoder_tensors, read_weights, unused_lines, weights_digest

if TYPE_CHECKING:
    from perturbloop.models.cell_model import CellModel
else:  # its module loads torch
    CellModel = Any


def _is_geneformer(folder: Path) -> bool:
    """Whether its config is that of a BERT; one that cannot be read is Geneformer's to refuse."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        return False
    try:
        tree = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(tree, dict) or tree.get("model_type") == "bert"


def _load_geneformer(folder: Path, *, vocabulary: Path | str | None, emb_layer: int) -> CellModel:
    from perturbloop.models.geneformer import load_geneformer

    return load_geneformer(folder, vocabulary=vocabulary, emb_layer=emb_layer)


def _describe_geneformer(folder: Path, *, vocabulary: Path | str | None, emb_layer: int) -> ModelCard:
    """Hash weights as they lie; those in torch's own format are read by torch."""
    config = read_config(folder)
    words = fitted_vocabulary(folder, vocabulary, config)
    layers = depth_of(config["num_hidden_layers"], emb_layer)
    held, beside = encoder_tensors(read_weights(folder), config, folder)
    digest = weights_digest(
        held,
        config,
        layers=layers,
        pooling=default_pooling(folder, words),
        vocabulary_digest=words.digest,
        folder=folder,
    )
    shape = Shape(
        layers=layers,
        dim=config["hidden_size"],
        heads=config["num_attention_heads"],
        intermediate=config["intermediate_size"],
        positions=config["max_position_embeddings"],
    )
    notes = unused_lines(beside, read_labels(folder))
    return ModelCard(GENEFORMER.name, folder.name, digest, words, shape, read_card(folder), notes)


def _is_linear(folder: Path) -> bool:
    return read_card(folder).get("family") == LINEAR.name


def _load_linear(folder: Path, *, vocabulary: Path | str | None, emb_layer: int) -> CellModel:
    from perturbloop.models.linear import Linear

    depth_of(1, emb_layer)
    return Linear(read_genes(folder), read_vocabulary(folder, vocabulary, n_tokens=0))


def _describe_linear(folder: Path, *, vocabulary: Path | str | None, emb_layer: int) -> ModelCard:
    depth_of(1, emb_layer)
    gene_ids, words = read_genes(folder), read_vocabulary(folder, vocabulary, n_tokens=0)
    shape = Shape(layers=0, dim=len(gene_ids), heads=0, intermediate=0, positions=0)
    return ModelCard(
        LINEAR.name, folder.name, linear_digest(gene_ids, words), words, shape, read_card(folder)
    )


GENEFORMER = ModelSpec(
    "geneformer",
    "a BERT over rank-value encoded cells: `config.json` with `model_type` bert, weights, and a vocabulary",
    _is_geneformer,
    _load_geneformer,
    _describe_geneformer,
)
LINEAR = ModelSpec(
    "linear",
    "log-normalized expression, a control: `genes.parquet`, and `perturbloop.json` with `family` linear",
    _is_linear,
    _load_linear,
    _describe_linear,
)
