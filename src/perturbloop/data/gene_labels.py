"""One gene of a file, by all that the file calls it: an id, a symbol of today or of before, and what tools have added to either."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from perturbloop.data.genes import GeneNames, ensembl_id
from perturbloop.data.hgnc import symbols
from perturbloop.data.species import declared_species, without_genome

ID, SYMBOL, PREVIOUS, ALIAS, SUFFIX = "id", "symbol", "previous symbol", "alias", "symbol without its suffix"
WAYS = (ID, SYMBOL, PREVIOUS, ALIAS, SUFFIX)
"""How a gene was found, the surest first."""
EMPTY, FOREIGN, AMBIGUOUS, UNKNOWN = "no label", "another species", "ambiguous", "unknown"
NO_RNA = "no gene expression"
DROPPED = (UNKNOWN, AMBIGUOUS, FOREIGN, NO_RNA, EMPTY)
"""Why none was."""
_ID_WITHIN = re.compile(r"(ENSGR?\d{10,11}(?:\.\d+)?(?:_PAR_Y)?)", re.IGNORECASE)
_JOIN = "_|:;, \t-"
_SUFFIX = re.compile(r"(.+)[-.]\d{1,3}$")


class Found(NamedTuple):
    """Gene of a label or of several, and how it was found; without a gene, why not."""

    gene_id: str
    """Ensembl id; empty where there is none."""
    way: str
    """One of `WAYS` or of `DROPPED`."""


def gene_of(labels: Iterable[str], names: GeneNames) -> Found:
    """Gene that several labels of one row mean together.

    Parameters
    ----------
    labels
        What the columns of a file call the gene.
    names
        Which symbol means which gene.

    Returns
    -------
    The gene of the surest way: an id goes before symbols, whether the names know it or not; symbols of today before those of
    before, and whole ones before those that a tool made unique. Labels that are equally sure and mean several genes mean none.

    Examples
    --------
    >>> names = GeneNames.of({"STAT1": "ENSG00000115415", "NKX2-1": "ENSG00000136352"})
    >>> gene_of(["STAT1-1", ""], names)
    Found(gene_id='ENSG00000115415', way='symbol without its suffix')
    >>> gene_of(["NKX2-1"], names).way, gene_of(["NKX2-1", "ENSG00000115415.22"], names).way
    ('symbol', 'id')
    """
    told = list(dict.fromkeys(filter(None, labels)))
    pieces = list(dict.fromkeys(piece for label in told for piece in _pieces(label)))
    ids = {names.resolve([gene])[0] for piece in pieces if (gene := ensembl_id(piece))}
    if human := {gene for gene in ids if not declared_species(gene)}:
        return _one({gene for gene in human if names.knows(gene)} or human, ID)
    if any(map(declared_species, told)):
        return Found("", FOREIGN)
    found = {one for piece in pieces if names and piece for one in _meanings(piece, names)}
    for way in WAYS:
        if genes := {one.gene_id for one in found if one.way == way}:
            return _one(genes, way)
    return Found("", AMBIGUOUS if found else UNKNOWN if told else EMPTY)


def _one(genes: set[str], way: str) -> Found:
    return Found(genes.pop(), way) if len(genes) == 1 else Found("", AMBIGUOUS)


def _pieces(label: str) -> Iterator[str]:
    """Label without the name of its genome; of an id that stands beside a symbol, both."""
    bare = without_genome(label)
    inside = _ID_WITHIN.search(bare)
    if inside is None or inside.group() == bare:
        yield bare
        return
    yield inside.group()
    yield bare.replace(inside.group(), "").strip(_JOIN)


def _meanings(symbol: str, names: GeneNames) -> Iterator[Found]:
    gene = names.resolve([symbol])[0]
    way = SYMBOL if gene and symbol.upper() in names.aliases else _standing(symbol)
    if gene or way == AMBIGUOUS:
        yield Found(gene, way or SYMBOL)
    made_unique = _SUFFIX.match(symbol)
    if not way and made_unique and (gene := names.aliases.get(made_unique.group(1).upper(), "")):
        yield Found(gene, SUFFIX)


def _standing(symbol: str) -> str:
    """What a symbol is to HGNC; empty where it is none."""
    name, known = symbol.upper(), symbols()
    place = known.row_of.get(name)
    if place is None:
        return ""
    current, before, _ = known.rows[max(place, 0)]
    return AMBIGUOUS if place < 0 else SYMBOL if name == current else PREVIOUS if name in before else ALIAS
