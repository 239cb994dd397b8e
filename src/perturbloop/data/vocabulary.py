"""The vocabulary of a checkpoint: token ids, gene medians, special tokens, length. Never global.

Two published encodings exist and must not be mixed: V1 (25,426 tokens, 2,048 genes, no special tokens around
a cell) and V2 (20,275 tokens, 4,096 positions, `<cls>` first and `<eos>` last).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from perturbloop.data.dictionaries import (
    GENERATIONS,
    LENGTHS,
    MOST_TOKENS,
    Generation,
    Version,
    files_of,
    read_role,
)
from perturbloop.data.genes import GeneNames
from perturbloop.errors import InputError, VocabularyMismatch, some


@dataclass(frozen=True)
class Vocabulary:
    """Which gene is which token, how genes are scaled, and how long a cell may be."""

    version: Version
    """Encoding: V1 has no special tokens around a cell, V2 has `<cls>` and `<eos>`."""
    gene_ids: np.ndarray
    """Ensembl ids, dtype object."""
    gene_names: np.ndarray
    """Symbols, same order; the id where none is known."""
    tokens: np.ndarray
    """Token ids, same order, int64."""
    medians: np.ndarray
    """Non-zero median of normalized expression, same order, float64; missing where none was published."""
    aliases: dict[str, str]
    """Other labels (symbols, retired ids; upper case) to Ensembl ids."""
    specials: dict[str, int]
    """`<pad>`, `<mask>` and, in V2, `<cls>` and `<eos>`."""
    max_length: int
    """Most tokens a cell may have, special ones included."""

    @classmethod
    def published(
        cls, folder: Path | str, *, version: Version = "geneformer-v1", generation: Generation | None = None
    ) -> "Vocabulary":
        """Read the dictionaries of one generation from the folder they were published in.

        Parameters
        ----------
        folder
            The folder.
        version
            Encoding; of two generations that share it, the newer one that is there is read.
        generation
            Rather: the very generation, 30M, 95M or 104M.
        """
        version = version if generation is None else GENERATIONS[generation].version
        found = files_of(Path(folder), version, generation)
        tables = {role: read_role(path, role) for role, path in found.items()}
        specials = {key: int(value) for key, value in tables["token"].items() if str(key).startswith("<")}
        genes = [gene for gene in tables["token"] if not str(gene).startswith("<")]
        names = {gene: name for name, gene in reversed(list(tables["name"].items()))}
        aliases = {
            str(label).upper(): gene for label, gene in (tables.get("alias", {}) | tables["name"]).items()
        }
        made = cls(
            version=version,
            gene_ids=np.array(genes, dtype=object),
            gene_names=np.array([str(names.get(gene, gene)) for gene in genes], dtype=object),
            tokens=np.array([int(tables["token"][gene]) for gene in genes], dtype=np.int64),
            medians=np.array([float(tables["median"].get(gene, np.nan)) for gene in genes]),
            aliases={label: gene for label, gene in aliases.items() if gene in tables["token"]},
            specials=specials,
            max_length=LENGTHS[version],
        )
        _require_sound(made, str(found["token"]))
        return made

    @classmethod
    def of_genes(
        cls, gene_ids: Iterable[str], gene_names: Iterable[str], medians: Iterable[float], *, max_length: int
    ) -> "Vocabulary":
        """Make a first-generation vocabulary for these genes, in this order.

        Parameters
        ----------
        gene_ids
            Ensembl ids.
        gene_names
            Symbols, same order.
        medians
            Non-zero medians of normalized expression, same order.
        max_length
            Most tokens a cell may have.

        Returns
        -------
        Tokens count from 2; the symbols are the only aliases.
        """
        ids = np.array(list(gene_ids), dtype=object)
        names = np.array(list(gene_names), dtype=object)
        return cls(
            version="geneformer-v1",
            gene_ids=ids,
            gene_names=names,
            tokens=np.arange(2, 2 + len(ids), dtype=np.int64),
            medians=np.array(list(medians), dtype=float),
            aliases={str(name).upper(): gene for name, gene in zip(names, ids, strict=True)},
            specials={"<pad>": 0, "<mask>": 1},
            max_length=max_length,
        )

    @property
    def size(self) -> int:
        """Rows of the embedding table that belongs to this vocabulary."""
        return int(max(self.tokens.max(), *self.specials.values())) + 1

    @property
    def has_cls(self) -> bool:
        """Whether a cell starts with `<cls>` and ends with `<eos>`."""
        return "<cls>" in self.specials

    @cached_property
    def names(self) -> GeneNames:
        """Names of its genes: what turns symbols into Ensembl ids, for a campaign whose model this vocabulary belongs to."""
        return GeneNames(
            self.gene_ids, self.gene_names, self.aliases, source=f"the '{self.version}' vocabulary"
        )

    @cached_property
    def position(self) -> dict[str, int]:
        """Place of each Ensembl id in the arrays."""
        return {gene: place for place, gene in enumerate(self.gene_ids)}

    @cached_property
    def gene_of_token(self) -> dict[int, str]:
        """Ensembl id of each gene token."""
        return dict(zip(self.tokens.tolist(), self.gene_ids, strict=True))

    @cached_property
    def token_of(self) -> dict[str, int]:
        """Token of each Ensembl id."""
        return dict(zip(self.gene_ids, self.tokens.tolist(), strict=True))

    @cached_property
    def digest(self) -> str:
        """Hash of ids, tokens, medians, names, aliases, special tokens and length."""
        hasher = hashlib.sha256(f"{self.version} {self.max_length} {sorted(self.specials.items())}".encode())
        for array in (self.tokens, self.medians):
            hasher.update(np.ascontiguousarray(array).tobytes())
        hasher.update("\n".join([*self.gene_ids, *map(str, self.gene_names)]).encode())
        hasher.update(str(sorted(self.aliases.items())).encode())
        return hasher.hexdigest()[:16]

    def with_length(self, max_length: int) -> "Vocabulary":
        """Return the same vocabulary for shorter cells."""
        if not 0 < max_length <= self.max_length:
            msg = (
                f"`max_length` must lie between 1 and {self.max_length:,}, the vocabulary's own; it is {max_length:,}. "
                "Lower it."
            )
            raise InputError(msg)
        return replace(self, max_length=max_length)

    def fits(self, n_embeddings: int, n_positions: int) -> None:
        """Refuse a checkpoint whose embedding or position table is not this vocabulary's."""
        if self.size != n_embeddings:
            msg = (
                f"Vocabulary of '{self.version}' ({self.size:,} tokens) does not fit a checkpoint with "
                f"{n_embeddings:,} embeddings. Use the vocabulary that was published or saved with the checkpoint."
            )
            raise VocabularyMismatch(msg)
        if self.max_length > n_positions:
            msg = (
                f"Vocabulary of '{self.version}' allows {self.max_length:,} tokens a cell, the checkpoint has "
                f"{n_positions:,} positions. Shorten it with `Vocabulary.with_length({n_positions})`."
            )
            raise VocabularyMismatch(msg)

    def save(self, path: Path | str) -> None:
        """Write one Parquet file: a row per gene, the rest in the file's metadata."""
        labels: dict[str, list[str]] = {}
        for label, gene in self.aliases.items():
            labels.setdefault(gene, []).append(label)
        table = pa.table(
            {
                "gene_id": self.gene_ids.astype(str),
                "gene_name": self.gene_names.astype(str),
                "token": self.tokens,
                "median": self.medians,
                "aliases": pa.array([labels.get(gene, []) for gene in self.gene_ids], pa.list_(pa.string())),
            },
        )
        special = ",".join(f"{key}={value}" for key, value in self.specials.items())
        meta = {"version": self.version, "max_length": str(self.max_length), "specials": special}
        pq.write_table(table.replace_schema_metadata(meta), path)

    @classmethod
    def load(cls, path: Path | str) -> "Vocabulary":
        """Read what `save` wrote."""
        try:
            table = pq.read_table(path)
            meta = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
            pairs = [entry.rsplit("=", 1) for entry in meta["specials"].split(",")]
            frame: pd.DataFrame = table.to_pandas()
            version: Version = "geneformer-v2" if meta["version"] == "geneformer-v2" else "geneformer-v1"
            exploded = frame[["gene_id", "aliases"]].explode("aliases").dropna()
            made = cls(
                version=version,
                gene_ids=frame["gene_id"].to_numpy(dtype=object),
                gene_names=frame["gene_name"].to_numpy(dtype=object),
                tokens=frame["token"].to_numpy(dtype=np.int64),
                medians=frame["median"].to_numpy(dtype=float),
                aliases=dict(zip(exploded["aliases"], exploded["gene_id"], strict=True)),
                specials={key: int(value) for key, value in pairs},
                max_length=int(meta["max_length"]),
            )
        except PermissionError:
            raise
        except Exception as error:  # pyarrow and pandas raise many kinds for a damaged file
            msg = (
                f"`{path}` must be a vocabulary saved by perturbloop; it could not be read ({type(error).__name__}). Save it, or "
                "copy the model's folder, again."
            )
            raise InputError(msg) from None
        _require_sound(made, str(path))
        return made


def _require_sound(words: Vocabulary, source: str) -> None:
    """Refuse ids, tokens, medians and lengths that no vocabulary can have."""
    ids, tokens = list(words.gene_ids), [*words.tokens.tolist(), *words.specials.values()]
    counts = Counter(tokens)
    labels = [*ids, *words.gene_names, *words.aliases]
    wrong = {
        "genes and names that are no texts": [label for label in labels if not isinstance(label, str)],
        "genes named twice": [gene for gene, count in Counter(map(str, ids)).items() if count > 1],
        "token ids named twice": [token for token, count in counts.items() if count > 1],
        "token ids outside their range": [token for token in counts if not 0 <= token < MOST_TOKENS],
        "medians that are not positive": words.medians[~np.isnan(words.medians) & ~(words.medians > 0)],
        "infinite medians": words.medians[np.isinf(words.medians)],
        "special tokens that are missing": [
            name for name in ("<pad>", "<mask>") if name not in words.specials
        ],
        "lengths outside their range": [words.max_length] * (not 0 < words.max_length < MOST_TOKENS),
    }
    said = [f"{what}: {some(offenders)}" for what, offenders in wrong.items() if len(offenders)]
    if said or not ids:
        msg = (
            f"The vocabulary of `{source}` must hold each of its genes once, with a token id and a positive median; it has "
            f"{len(ids):,} genes, and {'; '.join(said) or 'none'}. Use it as it was published or saved."
        )
        raise InputError(msg)
