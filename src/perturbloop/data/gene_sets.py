"""Gene sets (pathways, complexes, modules) from a GMT file, as a table of genes × sets.

A GMT file has one set a line, its parts divided by tabs: name, description, then the genes, as symbols or Ensembl
ids. MSigDB, Reactome, Enrichr and g:Profiler offer such files. A gene set is a claim with a date: one that was written from
the screen it is judged by knows the answer.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int
from scipy import sparse

from perturbloop.data.genes import GeneNames
from perturbloop.data.species import foreign_labels, main_species
from perturbloop.data.text_files import read_bytes
from perturbloop.errors import GeneIdError, InputError, some

_GENE_COLUMNS = ("gene", "gene_name", "gene_symbol", "symbol", "hgnc_symbol")
_LEAST_SHARE, _LEAST_GENES = 0.1, 20
_WHAT = "a text file of gene sets"


@dataclass(frozen=True, eq=False)
class GeneSets:
    """Which gene is in which set, and what was lost on the way."""

    name: str
    """Name of the file."""
    set_names: np.ndarray
    """Names of the sets in the order of the file, dtype object, each once."""
    gene_ids: np.ndarray
    """Ensembl ids of all members, sorted, dtype object."""
    member_gs: sparse.csr_matrix
    """1 where the gene is in the set; genes × sets, float32."""
    unknown: tuple[str, ...] = ()
    """Labels of the file that have no Ensembl id, sorted; they are members of nothing."""

    @property
    def size_s(self) -> Int[np.ndarray, " s"]:
        """Genes of each set."""
        return np.asarray(self.member_gs.sum(axis=0)).ravel().astype(int)

    @property
    def degree_g(self) -> Int[np.ndarray, " g"]:
        """Sets of each gene: how well it is annotated, which is how well it was studied."""
        return np.asarray(self.member_gs.sum(axis=1)).ravel().astype(int)

    def between(self, smallest: int, largest: int) -> "GeneSets":
        """Keep the sets of `smallest` to `largest` genes, both included, and the genes that are in one of them."""
        kept_s = (self.size_s >= smallest) & (self.size_s <= largest)
        member_gs = self.member_gs[:, np.flatnonzero(kept_s)]
        kept_g = np.flatnonzero(np.diff(member_gs.indptr))
        return replace(
            self,
            set_names=self.set_names[kept_s],
            gene_ids=self.gene_ids[kept_g],
            member_gs=member_gs[kept_g],
        )

    def lines(self) -> list[str]:
        """Say it in words, one fact a line."""
        size_s = self.size_s
        spread = f", {size_s.min():,} to {size_s.max():,} genes each" if size_s.size else ""
        facts = [
            f"{self.name}: {size_s.size:,} gene set{'' if size_s.size == 1 else 's'} of {self.gene_ids.size:,} genes{spread}"
        ]
        if self.unknown:
            facts.append(f"{self.name}: labels without an Ensembl id, left out: {some(self.unknown)}")
        return facts


def read_gmt(path: Path | str, *, names: GeneNames) -> GeneSets:
    """Read a GMT file, plain or gzipped.

    Parameters
    ----------
    path
        File in GMT format, `.gmt` or `.gmt.gz`.
    names
        Which symbol means which gene; `GeneNames.of` makes them from a table of symbols, `NO_NAMES` understands Ensembl ids
        only.

    Returns
    -------
    `GeneSets`. A gene that a set names twice is in it once; sets without a known gene are kept, empty. Of several
    sets of one name all are kept, the later ones with a number behind the name.

    Raises
    ------
    InputError
        If the file cannot be read or is not in GMT format.
    GeneIdError
        If hardly any label has an Ensembl id, or the genes are those of a mouse.

    Notes
    -----
    A numeric weight behind a gene (`STAT1,0.8`, as Enrichr writes it) is dropped: membership is yes or no.
    """
    path = Path(path)
    rows = read_sets(path)
    labels = list(dict.fromkeys(label for _, genes in rows for label in genes))
    foreign = foreign_labels(labels)
    if len(foreign) > len(labels) / 2:
        msg = (
            f"The genes of `{path.name}` must be human; {len(foreign):,} of {len(labels):,} labels are {main_species(foreign)} genes: "
            f"{some(foreign)}. Take the file for human genes."
        )
        raise GeneIdError(msg)
    id_of = dict(zip(labels, names.resolve(labels), strict=True))
    unknown = tuple(sorted(label for label, gene in id_of.items() if not gene))
    n_known = len(labels) - len(unknown)
    if n_known < _LEAST_GENES and n_known < _LEAST_SHARE * len(labels):
        msg = (
            f"The genes of `{path.name}` must be human symbols or Ensembl ids that the vocabulary knows; "
            f"{n_known:,} of {len(labels):,} labels are; unknown are for instance {some(unknown)}. "
            "Take a file with symbols, or name its labels with `GeneNames.of`."
        )
        raise GeneIdError(msg)
    gene_ids = sorted({gene for gene in id_of.values() if gene})
    place = {gene: at for at, gene in enumerate(gene_ids)}
    pairs = sorted(
        {(place[id_of[label]], at) for at, (_, genes) in enumerate(rows) for label in genes if id_of[label]}
    )
    at_g, at_s = np.array(pairs, dtype=np.int64).T
    ones = np.ones(len(pairs), dtype=np.float32)
    return GeneSets(
        name=path.name,
        set_names=np.array(_once([name for name, _ in rows]), dtype=object),
        gene_ids=np.array(gene_ids, dtype=object),
        member_gs=sparse.csr_matrix((ones, (at_g, at_s)), shape=(len(gene_ids), len(rows))),
        unknown=unknown,
    )


def read_gene_list(path: Path | str, *, names: GeneNames) -> frozenset[str]:
    """Read the Ensembl ids of a text file with one symbol or id a line, or of a table with a column of genes.

    A column named gene, gene_name, gene_symbol, symbol or hgnc_symbol is read, else the first one, divided by tabs, commas
    or semicolons. A number behind a symbol (`CD3E (916)`, as DepMap writes it) is dropped.

    Raises
    ------
    InputError
        If the file cannot be read or none of its labels has an Ensembl id.
    """
    path = Path(path)
    labels = _listed(_text(read_bytes(path, what=_WHAT), path))
    found = frozenset(gene for gene in names.resolve(labels) if gene)
    if not found:
        msg = (
            f"`{path.name}` must hold one gene symbol or Ensembl id a line; of its {len(labels):,} lines none is a gene that the "
            f"vocabulary knows: {some(labels)}. Give a text file of genes."
        )
        raise GeneIdError(msg)
    return found


def _listed(text: str) -> list[str]:
    """Gene labels of a list or a table, in order.

    >>> _listed("CD3E\\nJAK1\\tkinase\\n"), _listed("n;Gene\\n1;CD3E (916)\\n")
    (['CD3E', 'JAK1'], ['CD3E'])
    """
    rows = [[cell.strip() for cell in re.split(r"[\t,;]", line)] for line in text.splitlines()]
    head = [cell.lower().lstrip("\ufeff") for cell in rows[0]] if rows else []
    place = next((head.index(name) for name in _GENE_COLUMNS if name in head), None)
    cells = [row[place or 0] for row in (rows if place is None else rows[1:]) if len(row) > (place or 0)]
    return [re.sub(r"\s*\(\d+\)$", "", cell) for cell in cells if cell]


def read_sets(path: Path | str) -> list[tuple[str, list[str]]]:
    """Name and gene labels of each line of a GMT file, as they are written; without the weights behind genes.

    Raises
    ------
    InputError
        If the file cannot be read, holds no line, or one without name or genes.
    """
    path = Path(path)
    rows, broken = [], []
    for number, line in enumerate(_text(read_bytes(path, what=_WHAT), path).splitlines(), start=1):
        name, *rest = line.rstrip().split("\t")
        genes = [label.split(",")[0].strip() for label in rest[1:]]
        if not line.strip():
            continue
        if not name.strip() or not any(genes):
            broken.append(f"{number}: {line[:40]}")
        rows.append((name.strip(), [label for label in genes if label]))
    if broken or not rows:
        msg = (
            f"Each line of `{path.name}` must hold a set's name, a description and its genes, divided by tabs (GMT); "
            f"of {len(rows):,} lines these do not: {some(broken)}. Give a file in GMT format."
        )
        raise InputError(msg)
    return rows


def _text(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = (
            f"`{path}` must be {_WHAT}, plain or gzipped; it could not be read: {error}. "
            "Check the path, or download the file again."
        )
        raise InputError(msg) from None


def _once(names: list[str]) -> list[str]:
    """Number the names that come again.

    >>> _once(["P53", "TCR", "P53"])
    ['P53', 'TCR', 'P53 (2)']
    """
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
