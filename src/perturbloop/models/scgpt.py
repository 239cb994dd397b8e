"""scGPT: a transformer over genes and the bins of their values, read at `<cls>`.

A folder as published: `args.json`, `vocab.json` (symbols) and `best_model.pt`. Genes are known by Ensembl id here, so the symbols are
looked up in the published Geneformer dictionaries, named by `--vocabulary` or lying near the folder.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.dictionaries import symbol_ids
from perturbloop.data.encoding import tokenize
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError, ModelError, VocabularyMismatch, some
from perturbloop.models.cell_model import ValueModel
from perturbloop.models.folder import CARD_FILE, VOCABULARY_FILE, depth_of, read_card
from perturbloop.models.spec import ModelCard, ModelSpec, Shape
from perturbloop.models.weights import require_every_tensor, require_finite, unused_lines

if TYPE_CHECKING:
    import torch

ARGS, WORDS, WEIGHTS = "args.json", "vocab.json", "best_model.pt"
_SIZES = {"embsize": 16_384, "nheads": 256, "d_hid": 65_536, "nlayers": 256, "n_bins": 10_000}
"""Sizes that `args.json` must give, and the largest that are believed."""
_LENGTH = 1200
_SPECIALS = ("<pad>", "<cls>", "<eoc>")
_BATCH_TOKENS = 16_384
_HIGHEST_INPUT = 512.0
"""Values above it are read as this one."""
_RENAMED = (
    ("self_attn._impl.Wqkv.", "self_attn.in_proj_"),
    ("self_attn.Wqkv.", "self_attn.in_proj_"),
    ("self_attn._impl.", "self_attn."),
    ("module.", ""),
    ("_orig_mod.", ""),
)
"""Names that other implementations of attention gave the same tensors, and prefixes."""


class ScGPT(ValueModel):
    """An scGPT checkpoint; a cell is its genes, each with the bin of its count among the cell's counts."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        args: Mapping[str, Any],
        words: Mapping[str, int],
        vocabulary: Vocabulary,
    ) -> None:
        """Make the encoder.

        Parameters
        ----------
        weights
            Tensors of the encoder, by their names.
        args, words
            What `args.json` and `vocab.json` hold.
        vocabulary
            Genes that can be read and edited; `gene_names` are symbols among `words`.
        """
        import torch

        self.vocabulary, self.args, self.words, self.weights = vocabulary, args, words, weights
        self.highest = float(args["n_bins"] - 1)
        self.word_g = np.array([words[symbol] for symbol in vocabulary.gene_names], dtype=np.int64)
        self._tensors = {name: torch.from_numpy(weight) for name, weight in weights.items()}
        layer = torch.nn.TransformerEncoderLayer(
            args["embsize"], args["nheads"], args["d_hid"], dropout=0.0, batch_first=True
        )
        self._encoder = torch.nn.TransformerEncoder(layer, args["nlayers"], enable_nested_tensor=False).eval()
        start = "transformer_encoder."
        self._encoder.load_state_dict(
            {name.removeprefix(start): one for name, one in self._tensors.items() if name.startswith(start)}
        )

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(self.args["embsize"])

    @property
    def device(self) -> "torch.device":
        """Where the weights are."""
        return next(self._encoder.parameters()).device

    @property
    def shape(self) -> Shape:
        """Sizes of its encoder."""
        return _shape(self.args)

    @property
    def digest(self) -> str:
        """Hash of weights, sizes, words and vocabulary."""
        return _digest(self.weights, self.args, self.word_g, self.vocabulary)

    def values(self, cells: Cells) -> sparse.csr_matrix:
        """Bins of the counts of each cell's genes, 1 to the highest; of more genes than it reads, those of the highest counts.

        Notes
        -----
        The edges are quantiles of the cell's non-zero counts. A count that lies on several edges belongs to several bins: the
        published code draws one at random, here it is the middle one, so that a cell is always read alike.
        """
        counts = self.counts(cells).astype(np.float64)
        counts.eliminate_zeros()
        counts.sort_indices()
        tokens = tokenize(cells, self.vocabulary)
        for cell in range(cells.n_cells):
            part = slice(counts.indptr[cell], counts.indptr[cell + 1])
            read = np.isin(self.vocabulary.tokens[counts.indices[part]], tokens.row(cell))
            counts.data[part] = np.where(read, binned(counts.data[part], self.args["n_bins"]), 0)
        counts.eliminate_zeros()
        return counts

    def embed_values(self, values_ng: sparse.csr_matrix) -> Float[np.ndarray, "n d"]:
        """Embedding of each cell at `<cls>`, of length 1; cells of as many genes share a batch, so nothing is padded."""
        emb_nd = np.empty((values_ng.shape[0], self.dim), dtype=np.float32)
        length_n = np.diff(values_ng.indptr)
        for length in np.unique(length_n):
            rows = np.flatnonzero(length_n == length)
            size = max(1, _BATCH_TOKENS // int(length + 1))
            for part in (rows[start : start + size] for start in range(0, len(rows), size)):
                place_bt = values_ng.indptr[part][:, None] + np.arange(length)
                word_bt = self.word_g[values_ng.indices[place_bt]]
                emb_nd[part] = self._encode(word_bt, values_ng.data[place_bt])
        return emb_nd

    def _encode(self, word_bt: np.ndarray, value_bt: np.ndarray) -> np.ndarray:
        import torch
        from torch.nn.functional import layer_norm, linear, normalize, relu

        held, size = self._tensors, (self.dim,)
        cls, pad = np.full((len(word_bt), 1), self.words["<cls>"]), float(self.args["pad_value"])
        word = torch.from_numpy(np.hstack([cls, word_bt]))
        value = torch.from_numpy(np.hstack([np.full(cls.shape, pad), value_bt])).float()
        with torch.inference_mode():
            gene = layer_norm(
                held["encoder.embedding.weight"][word],
                size,
                held["encoder.enc_norm.weight"],
                held["encoder.enc_norm.bias"],
            )
            part = {name: held[f"value_encoder.{name}"] for name in _VALUE_ENCODER}
            level = value.clamp(max=_HIGHEST_INPUT)[..., None]
            level = relu(linear(level, part["linear1.weight"], part["linear1.bias"]))
            level = linear(level, part["linear2.weight"], part["linear2.bias"])
            level = layer_norm(level, size, part["norm.weight"], part["norm.bias"])
            return normalize(self._encoder(gene + level)[:, 0], dim=1).numpy()

    def gene_embeddings(self) -> Float[np.ndarray, "g d"]:
        """Vector of each gene of the vocabulary, in its order."""
        return self.weights["encoder.embedding.weight"][self.word_g]

    def save(self, folder: Path, card: Mapping[str, Any]) -> None:
        """Write a folder as published, and its vocabulary beside."""
        import torch

        folder.mkdir(parents=True, exist_ok=True)
        (folder / ARGS).write_text(json.dumps(dict(self.args), indent=2))
        (folder / WORDS).write_text(json.dumps(dict(self.words)))
        torch.save(self._tensors, folder / WEIGHTS)
        self.vocabulary.save(folder / VOCABULARY_FILE)
        (folder / CARD_FILE).write_text(json.dumps(dict(card), indent=2))


def binned(count_g: Float[np.ndarray, " g"], n_bins: int) -> Float[np.ndarray, " g"]:
    """Bin of each of a cell's non-zero counts among them, from 1 to `n_bins` - 1.

    >>> binned(np.array([1.0, 1, 1, 2, 9]), 5)
    array([1., 1., 1., 3., 4.])
    """
    edges = np.quantile(count_g, np.linspace(0, 1, n_bins - 1)) if len(count_g) else count_g
    last, first = np.digitize(count_g, edges), np.digitize(count_g, edges, right=True)
    return np.ceil((last + first) / 2)


_VALUE_ENCODER = tuple(
    f"{part}.{kind}" for part in ("linear1", "linear2", "norm") for kind in ("weight", "bias")
)


def tensor_names(args: Mapping[str, Any], n_words: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all tensors of the encoder.

    Parameters
    ----------
    args
        What `args.json` holds.
    n_words
        Words of `vocab.json`.
    """
    dim, wide = args["embsize"], args["d_hid"]

    def both(name: str, *shape: int, joint: str = ".") -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}{joint}weight", shape
        yield f"{name}{joint}bias", shape[:1]

    yield "encoder.embedding.weight", (n_words, dim)
    yield from both("encoder.enc_norm", dim)
    yield from both("value_encoder.linear1", dim, 1)
    yield from both("value_encoder.linear2", dim, dim)
    yield from both("value_encoder.norm", dim)
    for number in range(args["nlayers"]):
        layer = f"transformer_encoder.layers.{number}"
        yield from both(f"{layer}.self_attn.in_proj", 3 * dim, dim, joint="_")
        yield from both(f"{layer}.self_attn.out_proj", dim, dim)
        yield from both(f"{layer}.linear1", wide, dim)
        yield from both(f"{layer}.linear2", dim, wide)
        yield from both(f"{layer}.norm1", dim)
        yield from both(f"{layer}.norm2", dim)


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        tree = json.loads((folder / name).read_bytes())
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        tree = error
    if not isinstance(tree, dict):
        msg = f"`{name}` of an scGPT folder must be a JSON object; that of `{folder}` is a {type(tree).__name__}. Copy the folder again."
        raise ModelError(msg)
    return tree


def _read_args(folder: Path) -> dict[str, Any]:
    """Read what shapes the encoder; a folder of another architecture is refused."""
    given = _read_json(folder, ARGS)
    args = {"pad_value": -2, "max_seq_len": _LENGTH, **given}
    wrong = [
        f"{name} = {args.get(name)!r}"
        for name, most in {**_SIZES, "max_seq_len": 10**6}.items()
        if type(args.get(name)) is not int or not 1 <= args[name] <= most
    ]
    if not wrong and args["embsize"] % args["nheads"]:
        wrong = [f"{name} = {args[name]}" for name in ("embsize", "nheads")]
    wrong += [] if type(args["pad_value"]) in (int, float) else [f"pad_value = {args['pad_value']!r}"]
    plain = {"input_emb_style": "continuous", "input_style": "binned", "pre_norm": False}
    wrong += [f"{name} = {args[name]!r}" for name, known in plain.items() if args.get(name, known) != known]
    if wrong:
        msg = (
            f"`{ARGS}` of an scGPT checkpoint must give its sizes ({some(_SIZES)}), binned values and norms behind; that of `{folder}` has "
            f"{some(wrong)}. Copy the file again, or give another model."
        )
        raise ModelError(msg)
    return {name: args[name] for name in (*_SIZES, "pad_value", "max_seq_len")}


def _read_weights(
    folder: Path, args: Mapping[str, Any], n_words: int
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Tensors of the encoder in float32, and the names of those beside it."""
    from perturbloop.models.torch_files import read_torch_files

    if not (folder / WEIGHTS).is_file():
        msg = f"An scGPT folder needs its weights, `{WEIGHTS}`; `{folder}` has none. Copy the folder again, with all its files."
        raise ModelError(msg)
    held = {_plain(name): one for name, one in read_torch_files([folder / WEIGHTS], folder).items()}
    expected = dict(tensor_names(args, n_words))
    require_every_tensor([name for name in expected if name not in held], len(expected), folder)
    rows = held["encoder.embedding.weight"].shape[0]
    if rows != n_words:
        msg = (
            f"`{WORDS}` must name each embedding of `{WEIGHTS}`; in `{folder}` it names {n_words:,}, of {rows:,}. Use the one that was "
            "published with these weights."
        )
        raise VocabularyMismatch(msg)
    other = [f"{name} {held[name].shape}" for name, shape in expected.items() if held[name].shape != shape]
    if other:
        msg = f"Tensors of `{folder}` must have the sizes that `{ARGS}` gives; {len(other):,} have others: {some(other)}. Copy both again."
        raise ModelError(msg)
    weights = {name: held[name].read() for name in expected}
    require_finite([name for name, one in weights.items() if not np.isfinite(one).all()], folder)
    return weights, tuple(sorted(held.keys() - expected.keys()))


def _plain(name: str) -> str:
    for other, own in _RENAMED:
        name = name.replace(other, own)
    return name


def _read_words(folder: Path) -> dict[str, int]:
    words = _read_json(folder, WORDS)
    for special in _SPECIALS:  # as the published code does, where a file names genes alone
        words.setdefault(special, len(words))
    ids = [number for number in words.values() if type(number) is int]
    if sorted(ids) != list(range(len(words))):
        msg = (
            f"`{WORDS}` must number its words from 0 without gaps; that of `{folder}` has {len(words):,} words and "
            f"{len(set(ids)):,} numbers. Use it as it was published."
        )
        raise ModelError(msg)
    return words


def _read_vocabulary(
    folder: Path, dictionaries: Path | str | None, words: Collection[str], length: int
) -> Vocabulary:
    """Genes of its words: those whose Ensembl id is known."""
    own = folder / VOCABULARY_FILE
    if own.is_file() and dictionaries is None:
        return Vocabulary.load(own)
    id_of = symbol_ids(folder, dictionaries)
    found: dict[str, str] = {}
    for word in words:
        gene = id_of.get(word.upper())
        if gene is not None:
            found.setdefault(gene, word)
    if not found:
        msg = (
            f"Words of `{WORDS}` must be symbols of human genes; none of the {len(words):,} of `{folder}` is known to the dictionaries. "
            "Give others with `--vocabulary`."
        )
        raise InputError(msg)
    return Vocabulary.of_genes(found.keys(), found.values(), np.ones(len(found)), max_length=length - 1)


def _digest(
    weights: Mapping[str, np.ndarray], args: Mapping[str, Any], word_g: np.ndarray, vocabulary: Vocabulary
) -> str:
    hasher = hashlib.sha256(f"{vocabulary.digest} {sorted(args.items())}".encode())
    hasher.update(word_g.tobytes())
    for name in sorted(weights):
        hasher.update(name.encode())
        hasher.update(weights[name].tobytes())
    return hasher.hexdigest()[:16]


def _shape(args: Mapping[str, Any]) -> Shape:
    return Shape(args["nlayers"], args["embsize"], args["nheads"], args["d_hid"], args["max_seq_len"])


def _recognizes(folder: Path) -> bool:
    return (folder / ARGS).is_file() and (folder / WORDS).is_file()


def _load(folder: Path, *, vocabulary: Path | str | None, emb_layer: int) -> ScGPT:
    return _read(folder, vocabulary, emb_layer)[0]


def _read(folder: Path, dictionaries: Path | str | None, emb_layer: int) -> tuple[ScGPT, tuple[str, ...]]:
    args, words = _read_args(folder), _read_words(folder)
    args["nlayers"] = depth_of(args["nlayers"], emb_layer)
    vocabulary = _read_vocabulary(folder, dictionaries, words, args["max_seq_len"])
    weights, beside = _read_weights(folder, args, len(words))
    return ScGPT(weights, args, words, vocabulary), beside


def _describe(folder: Path, *, vocabulary: Path | str | None, emb_layer: int) -> ModelCard:
    """Read the weights too: only torch can, and the digest is theirs."""
    model, beside = _read(folder, vocabulary, emb_layer)
    notes, card = unused_lines(beside, ()), read_card(folder)
    return ModelCard(
        SCGPT.name, folder.name, model.digest, model.vocabulary, model.shape, card, notes, "values"
    )


SCGPT = ModelSpec(
    "scgpt",
    f"a transformer over genes and bins of their values: `{ARGS}`, `{WORDS}` and `{WEIGHTS}`",
    _recognizes,
    _load,
    _describe,
)
