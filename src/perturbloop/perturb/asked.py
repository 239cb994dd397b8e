"""Gene sets, lists of genes, pairs and drugs, as they are asked for in a small file."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import cast

import pandas as pd

from perturbloop.data.compounds import actions_of
from perturbloop.data.gene_sets import read_sets
from perturbloop.data.text_files import read_bytes
from perturbloop.data.text_tables import read_table
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import GeneIdError, InputError, closest, some
from perturbloop.perturb.edit import Perturbation, Target
from perturbloop.schema import DEFAULT_KINDS, KINDS, SIGNS, Kind

Asked = dict[str, list[tuple[str, Kind, float]]]
"""Name of each perturbation, and its genes as they were written, with kind and dose."""


@dataclass(frozen=True)
class Combination(Perturbation):
    """A perturbation as it was asked for, and what of it cannot be done."""

    missing: tuple[str, ...] = ()
    """Genes, as they were written, that have no token; they are left out."""
    unsigned: tuple[str, ...] = ()
    """Symbols of targets of a compound that are not edited, since nobody knows whether it lowers or raises them."""


def read_perturbations(
    path: Path | str,
    vocabulary: Vocabulary,
    *,
    kind: str = "delete",
    dose: float = 1.0,
    skip_unknown: bool = False,
) -> tuple[Perturbation, ...]:
    """Read gene sets, a list of genes, or drugs and pairs from a file.

    Parameters
    ----------
    path
        `.gmt`: name, description and genes of a set in each line, separated by tabs; a set is edited together. `.txt`: one
        gene a line, tested one by one. `.tsv`: the columns `name` (or `compound`), `gene`, `kind` (or `action`) and, if wanted, `dose`; rows of one
        name are one perturbation.
    vocabulary
        Names the genes: Ensembl ids or symbols.
    kind
        Edit of the genes of a `.gmt` or `.txt` file: delete, overexpress, inhibit or activate. A `.tsv` file names its own;
        there `-1`, `inhibits`, `inhibitor` and `antagonist` mean delete, `+1`, `activates`, `activator` and `agonist`
        overexpress.
    dose
        How far `inhibit` and `activate` move a gene, 0 to 1, where the file does not say.
    skip_unknown
        Count names that nobody knows as missing genes, and keep perturbations that have no other, rather than refuse them.

    Returns
    -------
    Perturbations in the order of the file; each is a `Combination`, whose `missing` lists the genes without a token.

    Raises
    ------
    InputError
        If the file cannot be read, names genes that are unknown, or a perturbation has no gene with a token.
    """
    path = Path(path)
    if path.suffix not in (".gmt", ".txt", ".tsv"):
        msg = (
            f"Perturbations are read from a file that ends in '.gmt', '.txt' or '.tsv'; `{path}` does not. "
            "Rename it after its format: gene sets, a list of genes, or a table."
        )
        raise InputError(msg)
    kind_of_all = _kind(kind, dose, graded_only=path.suffix != ".tsv")
    if path.suffix == ".txt":
        return singles(_listed(path), vocabulary, kind=kind, dose=dose, skip_unknown=skip_unknown)
    asked = (
        _sets(read_sets(path), path, kind_of_all, dose)
        if path.suffix == ".gmt"
        else _table(read_table(path, as_text=True), path, dose)
    )
    return _built(asked, vocabulary, skip_unknown=skip_unknown)


def singles(
    genes: Sequence[str],
    vocabulary: Vocabulary,
    *,
    kind: str = "delete",
    dose: float = 1.0,
    skip_unknown: bool = False,
) -> tuple[Perturbation, ...]:
    """One perturbation for each gene of a list; a gene that is named twice counts once.

    Parameters
    ----------
    genes
        Ensembl ids or symbols.
    vocabulary
        Names the genes and their tokens.
    kind
        Edit: delete, overexpress, inhibit or activate.
    dose
        How far `inhibit` and `activate` move a gene, 0 to 1.
    skip_unknown
        Count names that nobody knows as missing, rather than refuse them.

    Returns
    -------
    Perturbations in the order of the list, each named as the gene was written.
    """
    checked = _kind(kind, dose)
    built = _built({gene: [(gene, checked, dose)] for gene in genes}, vocabulary, skip_unknown=skip_unknown)
    first: dict[object, Perturbation] = {}
    for one in built:
        first.setdefault(one.targets or one.name, one)
    return tuple(first.values())


def pairs(
    genes: Sequence[str], vocabulary: Vocabulary, *, kind: str = "delete", dose: float = 1.0
) -> tuple[Perturbation, ...]:
    """All pairs of a list of genes, each edited together.

    Parameters
    ----------
    genes
        Ensembl ids or symbols, at least two genes.
    vocabulary
        Names the genes and their tokens.
    kind
        Edit of both: delete, overexpress, inhibit or activate.
    dose
        How far `inhibit` and `activate` move a gene, 0 to 1.

    Returns
    -------
    Perturbations named 'STAT1 + JAK1', the first gene with each later one, and so on.

    Examples
    --------
    >>> words = Vocabulary.of_genes(["ENSG00000115415"], ["STAT1"], [1.0], max_length=8)
    >>> pairs(["STAT1", "ENSG00000115415"], words)
    Traceback (most recent call last):
    ...
    perturbloop.errors.InputError: Pairs need at least two genes; 1 came. Name more genes.
    """
    found = singles(genes, vocabulary, kind=kind, dose=dose)
    if len(found) < 2:
        msg = f"Pairs need at least two genes; {len(found)} came. Name more genes."
        raise InputError(msg)
    return tuple(
        Combination(f"{one.name} + {other.name}", one.targets + other.targets)
        for one, other in combinations(found, 2)
    )


def _kind(kind: str, dose: float, *, graded_only: bool = True) -> Kind:
    """Check an edit and its dose."""
    if kind not in KINDS:
        msg = f"`kind` must be among {some(KINDS)}; it is {kind!r}. Did you mean {closest(kind, KINDS, limit=1)}?"
        raise InputError(msg)
    if not 0 <= dose <= 1:
        msg = f"`dose` must be between 0 and 1; it is {dose:g}. Correct it."
        raise InputError(msg)
    if graded_only and kind in DEFAULT_KINDS and dose != 1:
        msg = (
            f"A `dose` below 1 needs the kind 'inhibit' or 'activate'; it is {dose:g} for '{kind}', which is all or nothing. "
            "Change the kind, or leave the dose out."
        )
        raise InputError(msg)
    return kind


def _listed(path: Path) -> list[str]:
    raw = read_bytes(path, what="a text file of genes")
    try:
        lines = [line for line in raw.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        msg = f"`{path}` must be a text file of genes; it cannot be read: {error}. Correct the path or the file."
        raise InputError(msg) from None
    if not lines:
        msg = f"`{path}` must name at least one gene; it is empty. Fill it."
        raise InputError(msg)
    genes = [line.strip() for line in lines if not line.startswith("#")]
    spaced = [gene for gene in genes if len(gene.split()) > 1]
    if spaced or not genes:
        msg = f"`{path}` must hold one gene in each line; these lines do not: {some(spaced)}. Put each gene in a line of its own."
        raise InputError(msg)
    return genes


def _sets(sets: list[tuple[str, list[str]]], path: Path, kind: Kind, dose: float) -> Asked:
    names = [name for name, _ in sets]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        msg = f"Each set of `{path}` needs a name of its own; these have several: {some(twice)}. Rename them."
        raise InputError(msg)
    return {name: [(gene, kind, dose) for gene in genes] for name, genes in sets}


def _table(frame: pd.DataFrame, path: Path, dose: float) -> Asked:
    asked: Asked = {}
    for number, row in enumerate(actions_of(frame, path.name).to_dict("records"), start=1):
        try:
            entry = _entry(row, dose)
        except InputError as error:
            error.add_note(f"in row {number:,} of `{path}`")
            raise
        asked.setdefault(row["compound"], []).append(entry)
    return asked


def _entry(cells: dict[str, str], dose: float) -> tuple[str, Kind, float]:
    """Gene, kind and dose of one row."""
    if not cells["compound"] or not cells["gene"]:
        msg = f"Each row must name a perturbation and a gene; this one holds {some(cells.values())}. Fill it or remove it."
        raise InputError(msg)
    word = cells["action"].lower()
    if word not in KINDS and word not in SIGNS:
        msg = (
            f"`kind` must be among {some([*KINDS, *SIGNS], limit=20)}; it is {cells['action']!r}. "
            f"Did you mean {closest(word, [*KINDS, *SIGNS], limit=1)}?"
        )
        raise InputError(msg)
    kind = SIGNS.get(word) or cast("Kind", word)
    written = cells.get("dose", "")
    if not written:
        return cells["gene"], kind, 1.0 if kind in DEFAULT_KINDS else dose
    try:
        own = float(written)
    except ValueError:
        msg = f"`dose` must be a number between 0 and 1; it is {written!r}. Correct it or leave it empty."
        raise InputError(msg) from None
    return cells["gene"], _kind(kind, own), own


def _built(asked: Asked, vocabulary: Vocabulary, *, skip_unknown: bool) -> tuple[Combination, ...]:
    """Turn names of genes into tokens; what cannot be done is refused by name before any work."""
    labels = list(dict.fromkeys(label for entries in asked.values() for label, _, _ in entries))
    gene_of = dict(zip(labels, vocabulary.names.resolve(labels), strict=True))
    unknown = [label for label in labels if not gene_of[label]]
    if unknown and not skip_unknown:
        msg = (
            f"Genes must be human Ensembl ids or symbols that the '{vocabulary.version}' vocabulary knows; these are not: "
            f"{some(unknown, limit=10)}. Correct them, or count them as missing with `--skip-unknown`."
        )
        raise GeneIdError(msg)
    found = [_combination(name, entries, gene_of, vocabulary) for name, entries in asked.items()]
    lost = [one.name for one in found if not one.targets]
    if lost and not skip_unknown:
        msg = (
            f"A perturbation needs at least one gene with a token in the '{vocabulary.version}' vocabulary; these have none: "
            f"{some(lost, limit=10)}. Remove them, or list them without numbers with `--skip-unknown`."
        )
        raise GeneIdError(msg)
    return tuple(found)


def _combination(
    name: str, entries: list[tuple[str, Kind, float]], gene_of: dict[str, str], vocabulary: Vocabulary
) -> Combination:
    targets: dict[int, Target] = {}
    for label, kind, dose in entries:
        place = vocabulary.position.get(gene_of[label])
        if place is not None:
            target = Target(int(vocabulary.tokens[place]), kind, dose)
            if targets.setdefault(target.token, target) != target:
                msg = (
                    f"A perturbation may do one thing to a gene; '{name}' does two to '{label}'. "
                    "Remove one of its rows, or give them different names."
                )
                raise InputError(msg)
    missing = [label for label, _, _ in entries if gene_of[label] not in vocabulary.position]
    return Combination(name, tuple(targets.values()), tuple(dict.fromkeys(missing)))


def results_path(
    folder: Path | str,
    path_or_genes: Path | str | Sequence[str],
    *,
    kind: str = "delete",
    dose: float = 1.0,
    pairs: bool = False,
    not_expressed: str | None = None,
    skip_unknown: bool = False,
    compounds: bool = False,
    only: Sequence[str] = (),
    dose_um: float | None = None,
) -> Path:
    """Where `combine` keeps its table: named after the file, or the hash of the genes, and options that are not the default.

    Parameters
    ----------
    folder
        Campaign folder.
    path_or_genes
        File, or list of genes; the order of a list counts.
    kind, dose, pairs, not_expressed, compounds, dose_um
        As of `combine`.
    skip_unknown, only
        As of `combine`; they do not tell tables apart.

    Examples
    --------
    >>> results_path("study", "genes.txt", pairs=True).as_posix()
    'study/combinations/genes-pairs.parquet'
    """
    if isinstance(path_or_genes, (str, Path)):
        words = [Path(path_or_genes).stem]
    else:
        words = [hashlib.sha256("\n".join(path_or_genes).encode()).hexdigest()[:16]]
    words += ["compounds"] * compounds + ([] if dose_um is None else [f"{dose_um:g}um"])
    words += ["pairs"] * pairs + [kind] * (kind != "delete") + [f"{dose:g}"] * (dose != 1)
    words += [not_expressed] if not_expressed else []
    return Path(folder) / "combinations" / f"{'-'.join(words)}.parquet"
