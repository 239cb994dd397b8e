"""Compounds: which genes they hit and how, and how they are held out together with all of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from perturbloop.data.genes import NO_NAMES, GeneNames
from perturbloop.data.splits import assign_folds
from perturbloop.data.text_tables import read_table
from perturbloop.errors import InputError, closest, some
from perturbloop.schema import SIGNS, Modality

COLUMNS = {
    "compound": ("compound", "name", "drug"),
    "gene": ("gene", "target"),
    "action": ("action", "kind", "sign"),
}
"""Columns of a table of targets, and the names that each may have."""


def actions_of(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Find compounds, or other perturbations, and the genes they act on, as they are written, in a table.

    Parameters
    ----------
    frame
        A table with columns of the names in `COLUMNS`, and more if wanted; every value is text.
    name
        What the table is called, for the message.

    Returns
    -------
    Columns `compound`, `gene` and `action`, then the others, without spaces around a value; '' where it is missing.

    Raises
    ------
    InputError
        If the table lacks a column.
    """
    lower = {column.lower(): column for column in frame.columns}
    found = {
        role: next((lower[one] for one in names if one in lower), None) for role, names in COLUMNS.items()
    }
    lacking = [role for role, column in found.items() if column is None]
    if lacking:
        msg = (
            f"`{name}` needs the columns {some(COLUMNS)}; its columns are {some(frame.columns)}. Add {some(lacking)}; "
            "columns are separated by tabs, commas or semicolons."
        )
        raise InputError(msg)
    table = frame.rename(columns={column: role for role, column in found.items()}).fillna("")
    others = [column for column in table.columns if column not in COLUMNS]
    return table[[*COLUMNS, *others]].apply(lambda column: column.str.strip())


@dataclass(frozen=True)
class Compound:
    """What a compound does, by the table that was given."""

    name: str
    """Label in the perturbed file."""
    inhibits: frozenset[str] = frozenset()
    """Ensembl ids of the genes whose product it lowers or blocks."""
    activates: frozenset[str] = frozenset()
    """Ensembl ids of the genes whose product it raises or switches on."""

    @property
    def genes(self) -> frozenset[str]:
        """Every gene it hits: what is spent when its cells train."""
        return self.inhibits | self.activates

    @property
    def arm(self) -> Modality | None:
        """`inhibitor` or `activator`; `None` where it does both, or nothing that is known."""
        if bool(self.inhibits) == bool(self.activates):
            return None
        return "inhibitor" if self.inhibits else "activator"


def read_targets(path: Path | str) -> pd.DataFrame:
    """Read a table of compounds and their targets, as it is written: `compound`, `gene`, `kind` (delete or overexpress).

    Parameters
    ----------
    path
        A text table (tab, comma or semicolon) with the columns `compound` (or `name`), `gene` (symbol or Ensembl id) and `action`
        (or `kind`): one of the words of `schema.SIGNS`, such as inhibitor, antagonist, -1, or activator, agonist, +1. One row
        per compound and gene.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column, or holds another action.
    """
    path = Path(path)
    try:
        table = actions_of(read_table(path, as_text=True), path.name)
    except (InputError, OSError) as error:
        msg = f"`{path}` must be a table of compounds; it cannot be read: {error} Correct `--targets`."
        raise InputError(msg) from None
    words = table["action"].str.lower()
    unknown = sorted(set(words) - set(SIGNS))
    if unknown:
        msg = (
            f"The actions in `{path.name}` must be among {some(SIGNS, limit=20)}; they also hold {some(unknown)}. The "
            f"closest to the first is {closest(unknown[0], SIGNS, limit=1)}. Say of each target whether it is lowered or raised."
        )
        raise InputError(msg)
    return table[["compound", "gene"]].assign(kind=words.map(SIGNS))


def read_compounds(
    path: Path | str, *, names: GeneNames = NO_NAMES
) -> tuple[dict[str, Compound], tuple[str, ...]]:
    """Read a table of compounds and their targets, with Ensembl ids.

    Parameters
    ----------
    path
        A table as `read_targets` reads it.
    names
        Which symbol means which gene.

    Returns
    -------
    Compounds by name, and the genes, as they were written, that nobody knows: what hits them cannot be held out.

    Raises
    ------
    InputError
        If `read_targets` refuses the table, or a compound has two actions on one gene.
    """
    path = Path(path)
    table = read_targets(path)
    genes = names.resolve(list(table["gene"]))
    hit: dict[str, dict[str, str]] = {}
    both = []
    for name, gene, kind in zip(table["compound"], genes, table["kind"], strict=True):
        actions = hit.setdefault(name, {})
        if gene and actions.setdefault(gene, kind) != kind:
            both.append(f"{name}: {gene}")
    if both:
        msg = (
            f"A compound may do one thing to a gene; in `{path.name}` these do two: {some(both)}. Remove one of the rows, or both "
            "where it is not known."
        )
        raise InputError(msg)
    compounds = {
        name: Compound(
            name,
            frozenset(gene for gene, kind in actions.items() if kind == "delete"),
            frozenset(gene for gene, kind in actions.items() if kind == "overexpress"),
        )
        for name, actions in hit.items()
    }
    return compounds, tuple(
        sorted({label for label, gene in zip(table["gene"], genes, strict=True) if not gene})
    )


def folds_of_genes(compounds: Iterable[Compound], *, known: Mapping[str, int], folds: int) -> dict[str, int]:
    """Give every gene that a compound hits its fold, so that what a compound hits is held out or used together.

    Genes that are linked by compounds, directly or through others, share a fold. Folds that were given before never change;
    a compound between two of them is torn (`torn`).

    Parameters
    ----------
    compounds
        The compounds of a file.
    known
        Folds of genes that were measured before.
    folds
        Number of folds where targets are left out in turn.

    Examples
    --------
    >>> pair = Compound("x", inhibits=frozenset({"a", "b"}))
    >>> found = folds_of_genes([pair, Compound("y", inhibits=frozenset({"c"}))], known={"b": 3}, folds=5)
    >>> found["a"], found["b"]
    (3, 3)
    """
    found: dict[str, int] = {}
    groups = _linked(compounds)
    heads = {min(genes): genes for genes in groups}
    placed = assign_folds(
        [head for head, genes in heads.items() if not genes & known.keys()], known=known, folds=folds
    )
    for head, genes in heads.items():
        before = [known[gene] for gene in sorted(genes & known.keys())]
        fold = before[0] if before else placed[head]
        found |= {gene: known.get(gene, fold) for gene in sorted(genes)}
    return found


def torn(compounds: Iterable[Compound], fold_of: Mapping[str, int]) -> list[str]:
    """Compounds whose targets are in several folds: to train on one would show it the other, so they are not used.

    >>> torn([Compound("x", inhibits=frozenset({"a", "b"}))], {"a": -1, "b": 0})
    ['x']
    """
    return [one.name for one in compounds if len({fold_of[gene] for gene in one.genes}) > 1]


def _linked(compounds: Iterable[Compound]) -> list[frozenset[str]]:
    """Groups of genes that compounds link."""
    used = [one for one in compounds if one.genes]
    genes = sorted(frozenset().union(*(one.genes for one in used)))
    place = {gene: column for column, gene in enumerate(genes)}
    pairs = [(place[min(one.genes)], place[gene]) for one in used for gene in one.genes]
    if not pairs:
        return []
    rows, columns = np.array(pairs).T
    graph = sparse.csr_matrix((np.ones(len(pairs)), (rows, columns)), shape=(len(genes), len(genes)))
    _, group_g = connected_components(graph, directed=False)
    return [
        frozenset(gene for gene, of in zip(genes, group_g, strict=True) if of == group)
        for group in np.unique(group_g)
    ]
