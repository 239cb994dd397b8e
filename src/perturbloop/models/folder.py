"""What stands in a model folder beside its weights: config, vocabulary and card; read and checked without torch."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from perturbloop.data.dictionaries import GENERATIONS, fitting, places_near
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import ModelError, VocabularyMismatch, some
from perturbloop.store.files import is_lfs_pointer

Pooling = Literal["mean", "cls", "inner"]
"""mean: over all tokens of a row; cls: its first position; inner: mean without its first and last position."""
VOCABULARY_FILE = "vocabulary.parquet"
CARD_FILE = "perturbloop.json"
CONFIG_FILE = "config.json"
GENES_FILE = "genes.parquet"

_SIZES = {
    "vocab_size": (30_522, 10**6),
    "hidden_size": (768, 16_384),
    "num_hidden_layers": (12, 256),
    "num_attention_heads": (12, 256),
    "intermediate_size": (3072, 65_536),
    "max_position_embeddings": (512, 10**6),
    "type_vocab_size": (2, 1000),
}
"""Sizes that shape a BERT: what a config that leaves one out means, and the largest built, some times that of any model of cells."""
_RATES = {
    "layer_norm_eps": (1e-12, 1.0),
    "hidden_dropout_prob": (0.1, 1.0),
    "attention_probs_dropout_prob": (0.1, 1.0),
    "initializer_range": (0.02, 100.0),
}


def read_card(folder: Path) -> dict[str, Any]:
    """Return what `perturbloop.json` says; empty where there is none, for a published folder has none."""
    try:
        tree = json.loads((folder / CARD_FILE).read_bytes())
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        tree = error
    if not isinstance(tree, dict):
        msg = (
            f"`{CARD_FILE}` must be a JSON object, as perturbloop writes it; that of `{folder}` is a {type(tree).__name__}. "
            "Copy the folder again."
        )
        raise ModelError(msg)
    return tree


def read_config(folder: Path, *, activations: Collection[str] | None = None) -> dict[str, Any]:
    """Read what shapes a BERT, and check it before anything of that size is built.

    Parameters
    ----------
    folder
        Folder with `config.json`, and the weights that must fill the model it describes.
    activations
        Names that `hidden_act` may have; any where they are not known yet.

    Returns
    -------
    Sizes, rates and `hidden_act` under the names of the file; all else in it has no part in the model.

    Raises
    ------
    ModelError
        If the file is missing, damaged, describes another model, or one larger than the weights.
    """
    try:
        tree = json.loads((folder / CONFIG_FILE).read_bytes())
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        msg = (
            f"A model folder needs a `{CONFIG_FILE}`; `{folder}` has none that can be read ({type(error).__name__}). "
            "Give a Geneformer checkpoint folder, or make a small model with `perturbloop pretrain`."
        )
        raise ModelError(msg) from None
    kind = tree.get("model_type") if isinstance(tree, dict) else tree
    if kind != "bert":
        msg = f"A Geneformer checkpoint is a BERT model; `{folder}` says {kind!r}. Give another folder."
        raise ModelError(msg)
    given = {name: tree[name] for name in (*_SIZES, *_RATES) if name in tree}
    config = {name: default for name, (default, _) in (_SIZES | _RATES).items()} | given
    act = tree.get("hidden_act", "gelu")
    wrong = [f"{name} = {config[name]!r}" for name in _SIZES if not _is_size(config[name], _SIZES[name][1])]
    wrong += [f"{name} = {config[name]!r}" for name in _RATES if not _is_rate(config[name], _RATES[name][1])]
    known = isinstance(act, str) and (activations is None or act in activations)
    wrong += [] if known else [f"hidden_act = {act!r}"]
    if not wrong and config["hidden_size"] % config["num_attention_heads"]:
        wrong = [f"{name} = {given.get(name)}" for name in ("hidden_size", "num_attention_heads")]
    plain = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
    wrong += [f"{name} = {tree[name]!r}" for name, value in plain.items() if tree.get(name, value) != value]
    if wrong:
        msg = (
            f"`{CONFIG_FILE}` of a checkpoint must describe a plain BERT encoder: sizes are whole numbers, none many times that of "
            f"published models, and `hidden_size` is a multiple of the heads; `{folder}` has {some(wrong)}. Copy the file again."
        )
        raise ModelError(msg)
    _require_room(config, folder)
    return config | {"hidden_act": act}


def read_labels(folder: Path) -> tuple[str, ...]:
    """Classes of a fine-tuned classifier in the order of its outputs, as `id2label` of `config.json` numbers them; empty without."""
    labels = json.loads((folder / CONFIG_FILE).read_bytes()).get("id2label")
    if not isinstance(labels, dict) or not all(str(number).isdigit() for number in labels):
        return ()
    return tuple(str(labels[number]) for number in sorted(labels, key=int))


def read_vocabulary(folder: Path, dictionaries: Path | str | None, *, n_tokens: int) -> Vocabulary:
    """Return the vocabulary of a model: its own, or the published one that is named.

    Parameters
    ----------
    folder
        Folder of the model.
    dictionaries
        Folder of the published dictionaries, refused if the model holds others; or a generation (30M, 95M, 104M), to be
        found near the model, or in the folder before its name. By default the model's own vocabulary, else what lies near it.
    n_tokens
        Rows of its embedding table, which tell the published generations apart.

    Returns
    -------
    The vocabulary, at its full length.

    Raises
    ------
    InputError
        If there is none.
    VocabularyMismatch
        If the folder's own vocabulary is not the one that is named, or none that was found has its number of tokens.
    """
    own = folder / VOCABULARY_FILE
    if own.is_file():
        words = Vocabulary.load(own)
        if dictionaries is not None:
            _require_same(words, Vocabulary.published(dictionaries, version=words.version), folder)
        return words
    named = None if dictionaries is None else Path(dictionaries)
    generation = (
        named.name if named is not None and named.name in GENERATIONS and not named.is_dir() else None
    )
    near = [named] if named is not None and not generation else places_near(folder)
    near = [named.parent, *near] if named is not None and generation else near
    found = fitting(near, n_tokens, generation=generation, model=folder)
    return Vocabulary.published(found.folder, generation=found.generation)


def fitted_vocabulary(folder: Path, dictionaries: Path | str | None, config: dict[str, Any]) -> Vocabulary:
    """Return the vocabulary of a checkpoint, cut to its positions; one that does not fit is refused.

    Parameters
    ----------
    folder
        Folder of the model.
    dictionaries
        Folder of the published dictionaries, where the model holds no vocabulary.
    config
        What `read_config` says of the folder.

    Returns
    -------
    The vocabulary, no longer than the model has positions.

    Raises
    ------
    VocabularyMismatch
        If its tokens are not those of the embedding table.
    """
    n_tokens, n_positions = config["vocab_size"], config["max_position_embeddings"]
    words = read_vocabulary(folder, dictionaries, n_tokens=n_tokens)
    words = words.with_length(min(words.max_length, n_positions))
    words.fits(n_tokens, n_positions)
    return words


def default_pooling(folder: Path, vocabulary: Vocabulary) -> Pooling:
    """How a checkpoint's cells are embedded: as its card says, else `cls` where the vocabulary has `<cls>`, else `mean`."""
    own = read_card(folder).get("pooling")
    if own is None:
        return "cls" if vocabulary.has_cls else "mean"
    if own not in get_args(Pooling):
        msg = (
            f"`pooling` in `{CARD_FILE}` must be one of {some(get_args(Pooling))}; that of `{folder}` is {own!r}. "
            "Copy the folder again."
        )
        raise ModelError(msg)
    return own


def depth_of(n_layers: int, emb_layer: int) -> int:
    """Layers up to the one an embedding is read from: 0 = last, -1 = one before it.

    >>> depth_of(6, -1)
    5
    """
    depth = n_layers + emb_layer
    if emb_layer > 0 or depth < 1:
        msg = f"`emb_layer` must lie between {1 - n_layers} (first layer) and 0 (last); it is {emb_layer}. Correct it."
        raise ModelError(msg)
    return depth


def read_genes(folder: Path) -> np.ndarray:
    """Return the genes of a linear model, in the order of its embedding."""
    try:
        return pd.read_parquet(folder / GENES_FILE)["gene_id"].to_numpy(object)
    except PermissionError:
        raise
    except Exception as error:  # pyarrow and pandas raise many kinds for a damaged file
        msg = (
            f"A linear model needs the genes of its embedding in `{GENES_FILE}`; that of `{folder}` cannot be read "
            f"({type(error).__name__}). Copy the folder again."
        )
        raise ModelError(msg) from None


def linear_digest(gene_ids: np.ndarray, vocabulary: Vocabulary) -> str:
    """Hash of a linear model: of its genes, in their order, and of the vocabulary that names what can be edited."""
    content = "\n".join(["linear", vocabulary.digest, *gene_ids])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _require_room(config: dict[str, Any], folder: Path) -> None:
    """Refuse a config whose model the weights cannot fill, before memory of that size is asked for."""
    width, wide = config["hidden_size"], config["intermediate_size"]
    rows = config["vocab_size"] + config["max_position_embeddings"] + config["type_vocab_size"]
    n_weights = width * rows + config["num_hidden_layers"] * (4 * width**2 + 2 * width * wide)
    files = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")]
    pointers = [path.name for path in files if is_lfs_pointer(path)]
    if pointers:
        msg = (
            f"The weights of `{folder}` must lie there whole; {some(pointers)} only points to them (Git LFS). Run `git lfs pull` where "
            "it was cloned, or bring the model with `perturbloop models fetch`."
        )
        raise ModelError(msg)
    held = sum(path.stat().st_size for path in files)
    if held and n_weights > held:  # no format takes less than a byte for each
        msg = (
            f"The weights of `{folder}` must fill the model that its `{CONFIG_FILE}` describes, {n_weights:,} numbers; its files "
            f"hold {held:,} bytes. Copy the folder again."
        )
        raise ModelError(msg)


def _is_size(value: object, most: float) -> bool:
    return type(value) is int and 1 <= value <= most


def _is_rate(value: Any, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most


def _require_same(own: Vocabulary, given: Vocabulary, folder: Path) -> None:
    alike = all(
        np.array_equal(getattr(own, name), getattr(given, name))
        for name in ("gene_ids", "tokens", "gene_names")
    )
    if not alike or not np.array_equal(own.medians, given.medians, equal_nan=True):
        msg = (
            f"`{folder}` holds its own vocabulary of {len(own.gene_ids):,} genes; the dictionaries that are named are others "
            f"({len(given.gene_ids):,} genes). Leave `--vocabulary` out, or name those the model was trained with."
        )
        raise VocabularyMismatch(msg)
