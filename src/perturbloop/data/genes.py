"""Gene labels to Ensembl ids: symbols mapped, versions stripped, duplicates summed, losses reported."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import GeneIdError, closest, some

COLUMNS = ("ensembl_id", "gene_id", "gene_ids", "feature_id", "var_names")
_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?$")
_MOUSE = re.compile(r"ENSMUSG\d|[A-Z][a-z][a-z0-9-]*$")
_LEAST_SHARE, _LEAST_GENES = 0.1, 20


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


def resolve(labels: list[str], vocabulary: Vocabulary | None) -> list[str]:
    """Return the Ensembl id of each label, '' where there is none.

    >>> resolve(["ENSG00000115415.20", "STAT1", ""], None)
    ['ENSG00000115415', '', '']
    """
    aliases = vocabulary.aliases if vocabulary else {}
    known = vocabulary.position if vocabulary else {}
    found = []
    for label in labels:
        bare = label.split(".")[0] if _ENSEMBL.match(label) else label
        gene = bare if bare in known else aliases.get(label.upper(), aliases.get(bare.upper(), ""))
        found.append(gene or (bare if _ENSEMBL.match(label) else ""))
    return found


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
    vocabulary: Vocabulary | None,
    column: str | None = None,
    source: str,
) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray, GeneReport]:
    """Bring the columns of a count matrix to Ensembl ids, each once.

    Returns
    -------
    Counts, ids, symbols and the report, columns in the order in which a gene first appears.

    Raises
    ------
    GeneIdError
        If no column of `var` holds ids the vocabulary knows: another species, or the wrong column.
    """
    column = column or _best_column(var, vocabulary)
    labels = _labels(var, column, source)
    _refuse_mouse(labels, var, source)
    genes = resolve(labels, vocabulary)
    kept = [place for place, gene in enumerate(genes) if gene]
    _require_overlap(labels, genes, vocabulary, column, source)
    order: dict[str, int] = {}
    target = [order.setdefault(genes[place], len(order)) for place in kept]
    ones = np.ones(len(kept), dtype=np.float32)
    collapse = sparse.csr_matrix((ones, (kept, target)), shape=(len(genes), len(order)))
    merged = sparse.csr_matrix(counts_ng @ collapse, dtype=np.float32)
    merged.sort_indices()
    gene_ids = np.array(list(order), dtype=object)
    known = vocabulary.position if vocabulary else {}
    in_vocabulary = np.array([gene in known for gene in gene_ids], dtype=bool)
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
    return merged, gene_ids, _names(gene_ids, var, genes, vocabulary), report


def _best_column(var: pd.DataFrame, vocabulary: Vocabulary | None) -> str:
    present = [name for name in COLUMNS if name == "var_names" or name in var.columns]
    known = vocabulary.position if vocabulary else None
    hits = {}
    for name in present:
        genes = set(resolve(_labels(var, name, ""), vocabulary)) - {""}
        hits[name] = len(genes if known is None else genes & known.keys())
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


def _require_overlap(
    labels: list[str], genes: list[str], vocabulary: Vocabulary | None, column: str, source: str
) -> None:
    known = vocabulary.position if vocabulary else None
    hits = len({gene for gene in genes if gene and (known is None or gene in known)})
    enough = hits >= _LEAST_GENES or hits >= len(labels) / 2  # most of a small panel is as good as many genes
    if enough and hits >= _LEAST_SHARE * len(labels):
        return
    what = f"the '{vocabulary.version}' vocabulary" if vocabulary else "Ensembl"
    msg = (
        f"The genes of {source} must be human Ensembl ids or symbols that {what} knows; {hits:,} of the {len(labels):,} labels "
        f"in `{column}` are; unknown are for instance {some([label for label, gene in zip(labels, genes, strict=True) if not gene or (known is not None and gene not in known)])}. "
        "Name the right column of `var` with `--gene-column`, or map the genes to human Ensembl ids first."
    )
    raise GeneIdError(msg)


def _names(
    gene_ids: np.ndarray, var: pd.DataFrame, genes: list[str], vocabulary: Vocabulary | None
) -> np.ndarray:
    own: dict[str, str] = {}
    column = next(
        (name for name in ("gene_name", "symbol", "gene_symbol", "feature_name") if name in var.columns), None
    )
    if column is not None:
        own = {
            gene: name for gene, name in zip(genes, _labels(var, column, ""), strict=True) if gene and name
        }
    published = dict(zip(vocabulary.gene_ids, vocabulary.gene_names, strict=True)) if vocabulary else {}
    return np.array([published.get(gene) or own.get(gene) or gene for gene in gene_ids], dtype=object)
