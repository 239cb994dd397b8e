"""The names of genes, one space for a whole campaign, and the columns of a file brought to them.

A symbol, a retired id or an id with a version becomes one Ensembl id, whatever model reads the cells; which gene is which
token is the affair of each model's `Vocabulary`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from perturbloop.data import hgnc
from perturbloop.errors import GeneIdError, closest, some

COLUMNS = ("ensembl_id", "gene_id", "gene_ids", "feature_id", "var_names")
_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?$")
_MOUSE = re.compile(r"ENSMUSG\d|[A-Z][a-z][a-z0-9-]*$")
_LEAST_SHARE, _LEAST_GENES = 0.1, 20
CONTROL_LABEL = re.compile(
    r"non[-_ .]?target.*|ntc?([-_ .]?\d+)?|no[-_ ]?(site|target).*|safe[-_ ]?(harbou?r|target).*|scrambled?.*|"
    r"(negative[-_ ])?(control|ctrl)s?([-_ ]?\d+)?|intergenic.*|egfp|gfp|lacz|luciferase",
    re.IGNORECASE,
)
"""What stands in the place of a gene where a guide hits none."""


@dataclass(frozen=True)
class GeneNames:
    """Which label means which gene: symbols and retired ids to Ensembl ids, and ids to symbols."""

    gene_ids: np.ndarray
    """Ensembl ids, dtype object."""
    gene_names: np.ndarray
    """Symbols, same order; the id where none is known."""
    aliases: Mapping[str, str]
    """Other labels (symbols, retired ids; upper case) to Ensembl ids."""
    source: str = "Ensembl"
    """Who names them, in words: the 'geneformer-v1' vocabulary."""

    @classmethod
    def of(cls, id_of: Mapping[str, str], *, source: str = "the table of symbols") -> "GeneNames":
        """Make them from a table of symbols; of several symbols of one gene the first is its name.

        >>> GeneNames.of({"STAT1": "ENSG00000115415"}).resolve(["stat1", "JAK1"])
        ['ENSG00000115415', '']
        """
        name_of: dict[str, str] = {}
        for name, gene in id_of.items():
            name_of.setdefault(gene, name)
        return cls(
            gene_ids=np.array(list(name_of), dtype=object),
            gene_names=np.array(list(name_of.values()), dtype=object),
            aliases={name.upper(): gene for name, gene in id_of.items()},
            source=source,
        )

    def __len__(self) -> int:
        """How many genes have a name; none where only Ensembl ids are understood."""
        return len(self.gene_ids)

    @cached_property
    def by_id(self) -> dict[str, str]:
        """Symbol of each Ensembl id."""
        return {gene: str(name) for gene, name in zip(self.gene_ids, self.gene_names, strict=True)}

    def name_of(self, gene_id: str) -> str:
        """Symbol of a gene; the id itself where none is known."""
        return self.by_id.get(gene_id, gene_id)

    def knows(self, gene_id: str) -> bool:
        """Whether a gene is among them; every gene is where only Ensembl ids are understood."""
        return not self or gene_id in self.by_id

    def resolve(self, labels: Iterable[str]) -> list[str]:
        """Return the Ensembl id of each label, '' where there is none.

        A symbol that the names lack is looked up by the other names that HGNC knows of its gene, where they are those of no other
        gene.

        >>> NO_NAMES.resolve(["ENSG00000115415.20", "STAT1", ""])
        ['ENSG00000115415', '', '']
        """
        found = []
        for label in labels:
            is_id = bool(_ENSEMBL.match(label))
            bare = label.split(".")[0] if is_id else label
            gene = (
                bare
                if bare in self.by_id
                else self.aliases.get(label.upper(), self.aliases.get(bare.upper(), ""))
            )
            others = () if gene or is_id or not label or not self else hgnc.symbols().synonyms(label)
            other = next((self.aliases[name] for name in others if name in self.aliases), "")
            found.append(gene or (bare if is_id else other))
        return found


NO_NAMES = GeneNames(np.array([], dtype=object), np.array([], dtype=object), {})
"""No symbols at all: only Ensembl ids are understood."""


@dataclass(frozen=True)
class GeneReport:
    """What happened to the file's genes on the way to Ensembl ids."""

    column: str
    """Column of `var` the ids were taken from."""
    n_columns: int
    """Genes in the file."""
    n_genes: int
    """Genes kept, each once."""
    n_in_vocabulary: int
    """Genes kept that the vocabulary has a token for."""
    n_versions: int
    """Ids whose version suffix was stripped."""
    n_symbols: int
    """Labels mapped to an id through the vocabulary's table."""
    n_summed: int
    """Columns summed into another one of the same gene."""
    n_empty: int
    """Columns dropped because they have no label."""
    unknown: tuple[str, ...]
    """Labels dropped because they are neither an Ensembl id nor in the vocabulary."""
    token_coverage: float
    """Share of all counts that lies in genes with a token."""

    def lines(self) -> list[str]:
        """Say it in words, one fact a line."""
        facts = [
            f"{self.n_genes:,} genes from {self.n_columns:,} columns, ids from `{self.column}`",
            f"{self.n_in_vocabulary:,} of them in the vocabulary, {self.token_coverage:.1%} of all counts",
        ]
        counted = {
            "version suffixes stripped": self.n_versions,
            "symbols or retired ids mapped": self.n_symbols,
            "duplicate columns summed": self.n_summed,
            "columns without an id dropped": self.n_empty,
        }
        facts += [f"{count:,} {what}" for what, count in counted.items() if count]
        if self.unknown:
            facts.append(f"dropped as unknown: {some(self.unknown)}")
        return facts


def is_ensembl(label: str) -> bool:
    """Whether a label is the Ensembl id of a gene, with or without version."""
    return bool(_ENSEMBL.match(label))


def mouse_labels(labels: list[str]) -> list[str]:
    """Labels that look like mouse genes: by their id, or by their case.

    >>> mouse_labels(["Stat1", "STAT1", "ENSMUSG00000026104"])
    ['Stat1', 'ENSMUSG00000026104']
    """
    return [label for label in labels if _MOUSE.match(label)]


def map_genes(
    counts_ng: sparse.csr_matrix,
    var: pd.DataFrame,
    *,
    names: GeneNames,
    column: str | None = None,
    source: str,
) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray, GeneReport]:
    """Bring the columns of a count matrix to Ensembl ids, each once.

    Parameters
    ----------
    counts_ng
        Raw counts, cells × genes of the file.
    var
        What the file says of each gene, same order.
    names
        Which label means which gene.
    column
        Column of `var` with the labels, or `var_names`; by default the one that names most genes.
    source
        What the file is called in a refusal.

    Returns
    -------
    Counts, ids, symbols and the report, columns in the order in which a gene first appears.

    Raises
    ------
    GeneIdError
        If no column of `var` holds ids the vocabulary knows: another species, or the wrong column.
    """
    column = column or _best_column(var, names)
    labels = _labels(var, column, source)
    _refuse_mouse(labels, var, source)
    genes = names.resolve(labels)
    kept = [place for place, gene in enumerate(genes) if gene]
    _require_overlap(labels, genes, names, column, source)
    order: dict[str, int] = {}
    target = [order.setdefault(genes[place], len(order)) for place in kept]
    ones = np.ones(len(kept), dtype=np.float32)
    collapse = sparse.csr_matrix((ones, (kept, target)), shape=(len(genes), len(order)))
    merged = sparse.csr_matrix(counts_ng @ collapse, dtype=np.float32)
    merged.sort_indices()
    gene_ids = np.array(list(order), dtype=object)
    in_vocabulary = np.array([gene in names.by_id for gene in gene_ids], dtype=bool)
    total = float(counts_ng.sum(dtype=np.float64))
    report = GeneReport(
        column=column,
        n_columns=len(labels),
        n_genes=len(order),
        n_in_vocabulary=int(in_vocabulary.sum()),
        n_versions=sum(bool(_ENSEMBL.match(label)) and "." in label for label in labels),
        n_symbols=sum(
            1 for label, gene in zip(labels, genes, strict=True) if gene and label.split(".")[0] != gene
        ),
        n_summed=len(kept) - len(order),
        n_empty=sum(not label for label in labels),
        unknown=tuple(label for label, gene in zip(labels, genes, strict=True) if label and not gene),
        token_coverage=float(merged[:, np.flatnonzero(in_vocabulary)].sum(dtype=np.float64))
        / max(total, 1.0),
    )
    return merged, gene_ids, _names(gene_ids, var, genes, names), report


def _best_column(var: pd.DataFrame, names: GeneNames) -> str:
    present = [name for name in COLUMNS if name == "var_names" or name in var.columns]
    hits = {}
    for name in present:
        genes = set(names.resolve(_labels(var, name, ""))) - {""}
        hits[name] = sum(names.knows(gene) for gene in genes)
    return max(present, key=lambda name: hits[name])  # ties go to the earlier name


def _labels(var: pd.DataFrame, column: str, source: str) -> list[str]:
    if column != "var_names" and column not in var.columns:
        msg = (
            f"`var` of {source} has no column '{column}'. Its columns are {some(['var_names', *var.columns], limit=20)}; "
            f"the closest is {closest(column, ['var_names', *var.columns], limit=1)}. Name one with `--gene-column`."
        )
        raise GeneIdError(msg)
    values = var.index if column == "var_names" else var[column]
    return ["" if pd.isna(value) else str(value).strip() for value in values]


def _refuse_mouse(labels: list[str], var: pd.DataFrame, source: str) -> None:
    """Mouse symbols differ from human ones by case only, so they would map without a word."""
    columns = [
        labels,
        *(_labels(var, name, source) for name in COLUMNS if name in ("var_names", *var.columns)),
    ]
    for names in columns:
        mouse = mouse_labels(names)
        if len(mouse) > len(names) / 2:
            msg = (
                f"The genes of {source} must be human; {len(mouse):,} of {len(names):,} labels are mouse genes: {some(mouse)}. "
                "Map them to human orthologs first, with a table of one-to-one orthologs."
            )
            raise GeneIdError(msg)


def _require_overlap(labels: list[str], genes: list[str], names: GeneNames, column: str, source: str) -> None:
    hits = len({gene for gene in genes if gene and names.knows(gene)})
    enough = hits >= _LEAST_GENES or hits >= len(labels) / 2  # most of a small panel is as good as many genes
    if enough and hits >= _LEAST_SHARE * len(labels):
        return
    unknown = [label for label, gene in zip(labels, genes, strict=True) if not gene or not names.knows(gene)]
    msg = (
        f"The genes of {source} must be human Ensembl ids or symbols that {names.source} knows; {hits:,} of the {len(labels):,} labels "
        f"in `{column}` are; unknown are for instance {some(unknown)}. "
        "Name the right column of `var` with `--gene-column`, or map the genes to human Ensembl ids first."
    )
    raise GeneIdError(msg)


def _names(gene_ids: np.ndarray, var: pd.DataFrame, genes: list[str], names: GeneNames) -> np.ndarray:
    own: dict[str, str] = {}
    column = next(
        (name for name in ("gene_name", "symbol", "gene_symbol", "feature_name") if name in var.columns), None
    )
    if column is not None:
        own = {
            gene: name for gene, name in zip(genes, _labels(var, column, ""), strict=True) if gene and name
        }
    return np.array([names.by_id.get(gene) or own.get(gene) or gene for gene in gene_ids], dtype=object)
