"""Compounds: which genes they hit, how and how strongly, and how they are held out together with all of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from perturbloop.data.drugs import read_interactions, weights_of
from perturbloop.data.drugs.formats import format_of, own
from perturbloop.data.drugs.reading import PACKED, is_open_targets
from perturbloop.data.drugs.words import phrase
from perturbloop.data.genes import NO_NAMES, GeneNames
from perturbloop.data.splits import assign_folds
from perturbloop.data.text_tables import read_table
from perturbloop.errors import InputError, closest, some
from perturbloop.schema import SIGNS, UNSIGNED, Modality

_ZERO = 1e-6
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
    unsigned: frozenset[str] = frozenset()
    """Ensembl ids of the genes it acts on in an unknown way: spent, never edited or counted as evidence."""
    potency: Mapping[str, float] = field(default_factory=dict)
    """−log10 of Ki, Kd, IC50 or EC50 in mol/l, of the genes for which it is known."""
    molar: float = float("nan")
    """Concentration its cells had, in mol/l; missing where the unit is not known."""
    synonyms: tuple[str, ...] = ()
    """What else it is called."""
    unresolved: frozenset[str] = frozenset()
    """Genes that it hits, as they were written, that nobody knows: they cannot be held out."""

    @property
    def genes(self) -> frozenset[str]:
        """Every gene it hits: what is spent when its cells train."""
        return self.inhibits | self.activates | self.unsigned

    @property
    def weights(self) -> dict[str, float]:
        """How strongly it acts on each gene, 0 to 1 (`data.drugs.weights_of`)."""
        return weights_of(self.potency, self.genes, self.molar)

    @property
    def arm(self) -> Modality | None:
        """`inhibitor` or `activator`; `None` where it does both, or nothing that is known."""
        if bool(self.inhibits) == bool(self.activates):
            return None
        return "inhibitor" if self.inhibits else "activator"


def read_targets(path: Path | str) -> pd.DataFrame:
    """Read compounds and their targets.

    Parameters
    ----------
    path
        A text table (tab, comma or semicolon) with the columns `compound` (or `name`), `gene` (symbol or Ensembl id) and `action`
        (or `kind`): one of the words of `schema.SIGNS`, such as inhibitor, antagonist, -1, or activator, agonist, +1; or one of
        `schema.UNSIGNED`, such as binder, where the sign is unknown. A potency if there is one (`data.drugs.potency`). One row per
        compound and gene. Or a published file, as `data.drugs.read_interactions` reads it.

    Returns
    -------
    `compound`, `gene` (as written), `kind` (delete, overexpress, '' = unknown sign), `potency` (−log10 of mol/l, or missing) and
    `synonyms` of the compound, separated by bars.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column, or holds another action.
    """
    path = Path(path)
    try:
        rows = read_interactions(path) if path.suffix == PACKED or is_open_targets(path) else _table(path)
    except (InputError, OSError) as error:
        msg = f"`{path}` must be a table of compounds; it cannot be read: {error} Correct `--targets`."
        raise InputError(msg) from None
    return rows[["compound", "gene", "kind", "potency", "synonyms"]].reset_index(drop=True)


def _table(path: Path) -> pd.DataFrame:
    """Rows of a published table, or of one's own, whose words are checked."""
    raw = read_table(path, as_text=True)
    found = format_of(list(raw.columns))
    if found is not None and found.name != "own":
        return read_interactions(path)
    table = actions_of(raw, path.name)
    words = table["action"].map(phrase)
    unknown = sorted(set(words) - set(SIGNS) - set(UNSIGNED))
    if unknown:
        known = [*SIGNS, *filter(None, UNSIGNED)]
        msg = (
            f"The actions in `{path.name}` must be among {some(known, limit=len(known))}; they also hold {some(unknown)}. The "
            f"closest to the first is {closest(unknown[0], known, limit=1)}. Say of each target whether it is lowered or raised, or "
            "'unknown' where nobody knows."
        )
        raise InputError(msg)
    return own(table.assign(action=words), path.name)


def read_compounds(
    path: Path | str, *, names: GeneNames = NO_NAMES
) -> tuple[dict[str, Compound], tuple[str, ...]]:
    """Read compounds and their targets, with Ensembl ids.

    Parameters
    ----------
    path
        A file as `read_targets` reads it.
    names
        Which symbol means which gene.

    Returns
    -------
    Compounds by name, and the genes, as they were written, that nobody knows: what hits them cannot be held out.

    Raises
    ------
    InputError
        If `read_targets` refuses the table, or a compound of one's own table has two actions on one gene.
    """
    path = Path(path)
    table = read_targets(path)
    labels = list(dict.fromkeys(table["gene"]))
    gene_of = dict(zip(labels, names.resolve(labels), strict=True))
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in table.assign(id=table["gene"].map(gene_of)).to_dict("records"):
        rows.setdefault(row["compound"], []).append(row)
    compounds = {name: _compound(name, of_one) for name, of_one in rows.items()}
    both = [
        f"{name}: {gene}" for name, one in compounds.items() for gene in sorted(one.inhibits & one.activates)
    ]
    if both:
        msg = (
            f"A compound may do one thing to a gene; in `{path.name}` these do two: {some(both)}. Remove one of the rows, or both "
            "where it is not known."
        )
        raise InputError(msg)
    return compounds, tuple(sorted(label for label, gene in gene_of.items() if not gene))


def _compound(name: str, rows: list[dict[str, Any]]) -> Compound:
    known = [row for row in rows if row["id"]]
    genes = {
        kind: frozenset(row["id"] for row in known if row["kind"] == kind)
        for kind in ("delete", "overexpress", "")
    }
    potency: dict[str, list[float]] = {}
    for row in known:
        if row["potency"] == row["potency"]:
            potency.setdefault(row["id"], []).append(row["potency"])
    return Compound(
        name,
        genes["delete"],
        genes["overexpress"],
        genes[""] - genes["delete"] - genes["overexpress"],
        {gene: float(np.median(values)) for gene, values in potency.items()},
        synonyms=tuple(filter(None, str(rows[0]["synonyms"]).split("|"))),
        unresolved=frozenset(row["gene"] for row in rows if not row["id"]),
    )


def named(compounds: Mapping[str, Compound], labels: Iterable[str]) -> dict[str, Compound]:
    """Compounds by the labels of a file, which may be written in other letters, or as a synonym that is of one compound only.

    Parameters
    ----------
    compounds
        Result of `read_compounds`.
    labels
        Labels of the file.

    Examples
    --------
    >>> list(named({"SIROLIMUS": Compound("SIROLIMUS", synonyms=("RAPAMYCIN",))}, ["rapamycin", "DMSO"]))
    ['rapamycin']
    """
    other: dict[str, set[str]] = {}
    for name, compound in compounds.items():
        for one in (name, *compound.synonyms):
            other.setdefault(one.upper(), set()).add(name)
    found = {}
    for label in labels:
        alike = {label} if label in compounds else other.get(label.upper(), set())
        if len(alike) == 1:
            found[label] = replace(compounds[next(iter(alike))], name=label)
    return found


def inseparable(compounds: Iterable[Compound]) -> dict[str, tuple[str, ...]]:
    r"""Genes whose credit cannot be told apart, since the same compounds hit them: each with the others.

    Parameters
    ----------
    compounds
        Compounds that were measured.

    Returns
    -------
    Ensembl id of each such gene, and those of the genes that it cannot be told from.

    Notes
    -----
    With :math:`H` the matrix of compounds × genes (1 = hits), gene g can be told apart where the unit vector :math:`e_g` lies in
    the space of the rows of :math:`H`, whatever the effects add up to. Its weights do not count: two compounds of one set of
    targets and slightly different potencies tell nothing apart in practice.

    Examples
    --------
    >>> both = Compound("both", inhibits=frozenset({"a", "b"}))
    >>> inseparable([both]), inseparable([both, Compound("one", inhibits=frozenset({"a"}))])
    ({'a': ('b',), 'b': ('a',)}, {})
    """
    hits = [sorted(one.genes) for one in compounds if one.genes]
    found = {}
    for group in _linked([Compound("", frozenset(one)) for one in hits]):
        own = sorted(group)
        column = {gene: at for at, gene in enumerate(own)}
        rows = [one for one in hits if one[0] in group]
        hits_cg = np.zeros((len(rows), len(own)))
        for at, one in enumerate(rows):
            hits_cg[at, [column[gene] for gene in one]] = 1
        null_gg = np.eye(len(own)) - np.linalg.pinv(hits_cg) @ hits_cg
        for gene in own:
            others = [
                other for other in own if other != gene and abs(null_gg[column[gene], column[other]]) > _ZERO
            ]
            if null_gg[column[gene], column[gene]] > _ZERO:
                found[gene] = tuple(others)
    return dict(sorted(found.items()))


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
