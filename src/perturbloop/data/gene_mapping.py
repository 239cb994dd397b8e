"""The columns of a count matrix brought to Ensembl ids, gene by gene, with a report by share of all counts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from perturbloop.data.gene_labels import AMBIGUOUS, DROPPED, NO_RNA, UNKNOWN, WAYS, Found, gene_of
from perturbloop.data.genes import GeneNames, is_ensembl
from perturbloop.data.species import foreign_labels, main_species
from perturbloop.errors import GeneIdError, closest, some

_LABELS = re.compile(
    r"(gene|feature|hgnc)[ _.-]?(ids?|names?|symbols?|short[ _.]?name)|(hgnc[ _.]?)?symbols?|genes?|features?|names?|"
    r".*ensembl.*|ensg|original_gene_symbols?|index|_index",
    re.IGNORECASE,
)
"""Columns of `var` that may say which gene a row is."""
_NAME_COLUMNS = ("gene_name", "symbol", "gene_symbol", "feature_name")
_LEAST_SHARE, _LEAST_GENES = 0.1, 20
_RNA = "Gene Expression"


@dataclass(frozen=True)
class GeneReport:
    """What happened to the file's genes on the way to Ensembl ids."""

    column: str
    """Columns of `var` that say which gene a row is, separated by commas."""
    n_columns: int
    """Genes in the file."""
    n_genes: int
    """Genes kept, each once."""
    n_in_vocabulary: int
    """Genes kept that the vocabulary has a token for."""
    token_coverage: float
    """Share of all counts that lies in genes with a token."""
    n_summed: int
    """Columns summed into another one of the same gene."""
    by_way: dict[str, tuple[int, float]]
    """How genes were found, or why they were dropped: genes of the file, and their share of all counts."""
    dropped: dict[str, tuple[str, ...]]
    """Labels of those that were dropped, by reason, those with most counts first."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Labels dropped because they are neither an Ensembl id nor a symbol that anyone knows."""
        return self.dropped.get(UNKNOWN, ())

    @property
    def ambiguous(self) -> tuple[str, ...]:
        """Labels dropped because they mean several genes."""
        return self.dropped.get(AMBIGUOUS, ())

    def lines(self) -> list[str]:
        """Say it in words, one fact a line."""
        found = [f"by {way} {self._told(way)}" for way in WAYS if way in self.by_way]
        facts = [
            f"{self.n_genes:,} genes from {self.n_columns:,} rows of `var` ({self.column}): {', '.join(found)} of all counts",
            f"{self.n_in_vocabulary:,} of them in the vocabulary, {self.token_coverage:.1%} of all counts",
        ]
        if self.n_summed:
            facts.append(f"{self.n_summed:,} rows of a gene that another row names too are summed")
        for why, labels in self.dropped.items():
            facts.append(f"dropped as {why}: {self._told(why)}{f': {some(labels)}' if any(labels) else ''}")
        return facts

    def _told(self, way: str) -> str:
        count, share = self.by_way[way]
        return f"{count:,} ({share:.2%})"


@dataclass(frozen=True)
class GeneMapping:
    """Which gene each row of `var` is, before any count is read."""

    found: tuple[Found, ...]
    """Gene of each row, and how it was found."""
    labels: tuple[str, ...]
    """What messages call each row."""
    columns: tuple[str, ...]
    """Columns that were read."""
    gene_ids: np.ndarray
    """Ensembl ids, each once, in the order in which they first appear, dtype object."""
    gene_names: np.ndarray
    """Their symbols."""

    @property
    def collapse(self) -> sparse.csr_matrix:
        """Rows of `var` × genes, 1 where a row is the gene: counts times it are counts by gene."""
        order = {gene: place for place, gene in enumerate(self.gene_ids)}
        kept = [place for place, one in enumerate(self.found) if one.gene_id]
        target = [order[self.found[place].gene_id] for place in kept]
        ones = np.ones(len(kept), dtype=np.float32)
        return sparse.csr_matrix((ones, (kept, target)), shape=(len(self.found), len(order)))

    def report(self, total_r: Float[np.ndarray, " r"], names: GeneNames) -> GeneReport:
        """Say what became of the rows.

        Parameters
        ----------
        total_r
            Counts of each row of `var` in all cells.
        names
            Which symbol means which gene.
        """
        way_r = np.array([one.way for one in self.found], dtype=object)
        share_r = total_r / max(float(total_r.sum()), 1.0)
        ways = [way for way in (*WAYS, *DROPPED) if (way_r == way).any()]
        known = {gene for gene in self.gene_ids if gene in names.by_id}
        with_token_r = np.array([one.gene_id in known for one in self.found], dtype=bool)
        order = np.argsort(-total_r, kind="stable")
        return GeneReport(
            column=", ".join(self.columns),
            n_columns=len(self.found),
            n_genes=len(self.gene_ids),
            n_in_vocabulary=len(known),
            token_coverage=float(share_r[with_token_r].sum()),
            n_summed=sum(bool(one.gene_id) for one in self.found) - len(self.gene_ids),
            by_way={
                way: (int((way_r == way).sum()), float(share_r[(way_r == way).astype(bool)].sum()))
                for way in ways
            },
            dropped={
                why: tuple(self.labels[place] for place in order if way_r[place] == why)
                for why in DROPPED
                if why in ways
            },
        )


def genes_of(var: pd.DataFrame, *, names: GeneNames, column: str | None = None, source: str) -> GeneMapping:
    """Find the gene of each row of `var`, from all columns that name it; no counts are needed.

    Parameters
    ----------
    var
        What the file says of each gene.
    names
        Which label means which gene.
    column
        Rather: the one column with the labels, or `var_names`.
    source
        What the file is called in a refusal.

    Raises
    ------
    GeneIdError
        If the genes are of another species, or hardly any is known.
    """
    labels = {name: labels_in(var, name, source) for name in ([column] if column else label_columns(var))}
    _refuse_other_species(labels, source)
    labels = {name: told for name, told in labels.items() if _names_genes(told, names)} or labels
    columns = list(labels)
    rna_r = _is_rna(var)
    rows = list(zip(*labels.values(), strict=True))
    found = tuple(
        gene_of(row, names) if is_rna else Found("", NO_RNA) for row, is_rna in zip(rows, rna_r, strict=True)
    )
    told = tuple(next(filter(None, row), "") for row in rows)
    _require_overlap(told, found, names, columns, source)
    gene_ids = np.array(list(dict.fromkeys(one.gene_id for one in found if one.gene_id)), dtype=object)
    return GeneMapping(found, told, tuple(columns), gene_ids, _names(gene_ids, var, found, names))


def label_columns(var: pd.DataFrame) -> list[str]:
    """Columns whose name says that they name genes, and those that hold Ensembl ids whatever their name; then `var_names`."""
    texts = [str(name) for name in var.columns if not pd.api.types.is_numeric_dtype(var[name])]
    return [*(name for name in texts if _LABELS.fullmatch(name) or _holds_ids(var[name])), "var_names"]


def _holds_ids(values: pd.Series) -> bool:
    first = values.dropna().astype(str).head(100)
    return bool(len(first)) and sum(map(is_ensembl, first)) > len(first) / 2


def _names_genes(told: list[str], names: GeneNames) -> bool:
    """Whether a column names genes: of row numbers (`f2`, `f3`) a few look like symbols as well."""
    some_of = list(filter(None, told))[:: max(1, len(told) // 2000)]
    hits = sum(bool(gene) and names.knows(gene) for gene, _ in (gene_of([label], names) for label in some_of))
    return hits >= _LEAST_SHARE * len(some_of) > 0


def _is_rna(var: pd.DataFrame) -> np.ndarray:
    """Whether a row is a gene whose RNA was counted; antibodies and guides of a file of several kinds of features are not."""
    kinds = var["feature_types"].astype(str) if "feature_types" in var.columns else None
    if kinds is None or not (kinds == _RNA).any():
        return np.ones(len(var), dtype=bool)
    return (kinds == _RNA).to_numpy(dtype=bool)


def labels_in(var: pd.DataFrame, column: str, source: str) -> list[str]:
    """Labels of a column of `var`, or of its index (`var_names`); '' where there is none.

    Parameters
    ----------
    var
        What the file says of each gene.
    column
        Its name.
    source
        What the file is called where it has no such column.
    """
    if column != "var_names" and column not in var.columns:
        msg = (
            f"`var` of {source} has no column '{column}'. Its columns are {some(['var_names', *var.columns], limit=20)}; "
            f"the closest is {closest(column, ['var_names', *var.columns], limit=1)}. Name one with `--gene-column`."
        )
        raise GeneIdError(msg)
    values = var.index if column == "var_names" else var[column]
    return ["" if pd.isna(value) else str(value).strip() for value in values]


def _refuse_other_species(labels: dict[str, list[str]], source: str) -> None:
    """Symbols of mice differ from human ones by case only, so they would map without a word."""
    for told in labels.values():
        foreign = foreign_labels(told)
        if len(foreign) > len(told) / 2:
            msg = (
                f"The genes of {source} must be human; {len(foreign):,} of {len(told):,} labels are {main_species(foreign)} genes: "
                f"{some(foreign)}. Map them to human orthologs first, with a table of one-to-one orthologs."
            )
            raise GeneIdError(msg)


def _require_overlap(
    told: Sequence[str], found: Sequence[Found], names: GeneNames, columns: Sequence[str], source: str
) -> None:
    rna = [(label, one) for label, one in zip(told, found, strict=True) if one.way != NO_RNA]
    hits = len({one.gene_id for _, one in rna if one.gene_id and names.knows(one.gene_id)})
    enough = hits >= _LEAST_GENES or hits >= len(rna) / 2  # most of a small panel is as good as many genes
    if enough and hits >= _LEAST_SHARE * len(rna):
        return
    unknown = [label for label, one in rna if not one.gene_id or not names.knows(one.gene_id)]
    msg = (
        f"The genes of {source} must be human Ensembl ids or symbols that {names.source} knows; {hits:,} of the {len(rna):,} labels "
        f"in {' and '.join(f'`{name}`' for name in columns)} are; unknown are for instance {some(unknown)}. "
        "Name the right column of `var` with `--gene-column`, or map the genes to human Ensembl ids first."
    )
    raise GeneIdError(msg)


def _names(gene_ids: np.ndarray, var: pd.DataFrame, found: Sequence[Found], names: GeneNames) -> np.ndarray:
    column = next((name for name in _NAME_COLUMNS if name in var.columns), None)
    labels = labels_in(var, column, "") if column else [""] * len(found)
    own = {one.gene_id: label for one, label in zip(found, labels, strict=True) if one.gene_id and label}
    return np.array([names.by_id.get(gene) or own.get(gene) or gene for gene in gene_ids], dtype=object)
