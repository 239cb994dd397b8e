"""Several genes at once: gene sets, pairs and drugs, read from a small file and scored in whole cells."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from perturbloop.data.genes import resolve
from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import GeneIdError, InputError, closest, some
from perturbloop.perturb.edit import Perturbation, Policy, Row, Target, edited
from perturbloop.perturb.exact import ExactEngine, Readings
from perturbloop.perturb.plan import plan_together
from perturbloop.schema import ACTION, COMBINATIONS, DEFAULT_KINDS, KINDS, Kind, PerturbConfig
from perturbloop.stats.aggregate import mean_by_gene

SIGNS: dict[str, Kind] = {
    **dict.fromkeys(("-1", "inhibits", "inhibitor", "antagonist"), "delete"),
    **dict.fromkeys(("+1", "1", "activates", "activator", "agonist"), "overexpress"),
}
"""Words of drug tables and the edit each is read as."""
ROWS = 4096
"""Rows planned before they are read, so that memory does not follow the number of perturbations."""
Asked = dict[str, list[tuple[str, Kind, float]]]
"""Name of each perturbation, and its genes as they were written, with kind and dose."""


@dataclass(frozen=True)
class Combination(Perturbation):
    """A perturbation as it was asked for, and what of it cannot be done."""

    missing: tuple[str, ...] = ()
    """Genes, as they were written, that have no token; they are left out."""


# ------------------------------------------------------------------------------------------ what is asked for


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
        gene a line, tested one by one. `.tsv`: the columns `name`, `gene`, `kind` and, if wanted, `dose`; rows of one name
        are one perturbation.
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
    lines = _lines(path)
    if path.suffix == ".txt":
        return singles(_listed(lines, path), vocabulary, kind=kind, dose=dose, skip_unknown=skip_unknown)
    asked = _sets(lines, path, kind_of_all, dose) if path.suffix == ".gmt" else _table(lines, path, dose)
    return _built(asked, vocabulary, skip_unknown=skip_unknown)


def singles(
    genes: Sequence[str],
    vocabulary: Vocabulary,
    *,
    kind: str = "delete",
    dose: float = 1.0,
    skip_unknown: bool = False,
) -> tuple[Perturbation, ...]:
    """One perturbation for each gene of a list, Ensembl ids or symbols; a gene that is named twice counts once."""
    checked = _kind(kind, dose)
    built = _built({gene: [(gene, checked, dose)] for gene in genes}, vocabulary, skip_unknown=skip_unknown)
    first: dict[object, Perturbation] = {}
    for one in built:
        first.setdefault(one.targets or one.name, one)
    return tuple(first.values())


def pairs(
    genes: Sequence[str], vocabulary: Vocabulary, *, kind: str = "delete", dose: float = 1.0
) -> tuple[Perturbation, ...]:
    """All pairs of a list of genes, Ensembl ids or symbols, each edited together.

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


def _lines(path: Path) -> list[str]:
    """Lines of a text file that hold anything."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        msg = f"`{path}` must be a text file of genes; it cannot be read: {error}. Correct the path or the file."
        raise InputError(msg) from None
    if not lines:
        msg = f"`{path}` must name at least one gene; it is empty. Fill it."
        raise InputError(msg)
    return lines


def _listed(lines: list[str], path: Path) -> list[str]:
    genes = [line.strip() for line in lines if not line.startswith("#")]
    spaced = [gene for gene in genes if len(gene.split()) > 1]
    if spaced or not genes:
        msg = f"`{path}` must hold one gene in each line; these lines do not: {some(spaced)}. Put each gene in a line of its own."
        raise InputError(msg)
    return genes


def _sets(lines: list[str], path: Path, kind: Kind, dose: float) -> Asked:
    asked: Asked = {}
    for line in lines:
        name, *rest = [part.strip() for part in line.split("\t")]
        genes = [gene for gene in rest[1:] if gene]
        if not name or not genes or name in asked:
            why = "a second set of its name" if name in asked else "one without name or genes"
            msg = (
                f"Each line of `{path}` must hold name, description and genes of one set, separated by tabs; "
                f"{line[:40]!r} is {why}. Correct that line."
            )
            raise InputError(msg)
        asked[name] = [(gene, kind, dose) for gene in genes]
    return asked


def _table(lines: list[str], path: Path, dose: float) -> Asked:
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    columns = [str(name).strip() for name in reader.fieldnames or ()]
    lacking = [name for name in ("name", "gene", "kind") if name not in columns]
    if lacking:
        msg = (
            f"`{path}` needs the columns 'name', 'gene' and 'kind', separated by tabs; its columns are {some(columns)}. "
            f"Add {some(lacking)}."
        )
        raise InputError(msg)
    asked: Asked = {}
    for number, row in enumerate(reader, start=1):
        cells = {
            str(key).strip(): (value or "").strip() for key, value in row.items() if isinstance(key, str)
        }
        try:
            entry = _entry(cells, dose)
        except InputError as error:
            error.add_note(f"in row {number:,} of `{path}`")
            raise
        asked.setdefault(cells["name"], []).append(entry)
    if not asked:
        msg = f"`{path}` must name at least one gene below its column names; it has no rows. Fill it."
        raise InputError(msg)
    return asked


def _entry(cells: dict[str, str], dose: float) -> tuple[str, Kind, float]:
    """Gene, kind and dose of one row."""
    if not cells["name"] or not cells["gene"]:
        msg = f"Each row must name a perturbation and a gene; this one holds {some(cells.values())}. Fill it or remove it."
        raise InputError(msg)
    word = cells["kind"].lower()
    if word not in KINDS and word not in SIGNS:
        msg = (
            f"`kind` must be among {some([*KINDS, *SIGNS], limit=20)}; it is {cells['kind']!r}. "
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
    gene_of = dict(zip(labels, resolve(labels, vocabulary), strict=True))
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


# ------------------------------------------------------------------------------------------ what it does


def combination_shifts(
    engine: ExactEngine,
    tokens: Tokens,
    perturbations: Sequence[Perturbation],
    config: PerturbConfig,
    *,
    donor_n: np.ndarray | None = None,
    on_edits: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    r"""Score perturbations of any number of genes, and how far pairs differ from the sum of their parts.

    Positive shifts move cells toward the goal; positive synergy means that two genes together move them further toward it
    than the two effects added.

    Parameters
    ----------
    engine
        Model, readout, precision and token budget.
    tokens
        Encoded start cells.
    perturbations
        Genes that are edited together; missing genes are counted where they came with a `Combination`.
    config
        Policies, seed, and in `cells_per_gene` the most cells each perturbation is made in.
    donor_n
        Donor of each cell; the replicates where they are named, else cells are.
    on_edits
        Called with the number of perturbations done and of all.

    Returns
    -------
    Table `COMBINATIONS`, one row per perturbation in the order given. One that applies to no cell has `n_cells` 0 and
    missing numbers.

    Notes
    -----
    :math:`\mathrm{synergy} = \overline{s_{ab} - s_a - s_b}` of the logit shift s, all three in the same cells. A part
    that changes nothing in a cell has shift 0 there; where a part would leave a cell without genes, the cell does not
    count. A reviewer would attack that the logit is no scale on which independent effects must add, and that the ranks
    of an encoding couple any two edits a little: compare a pair's synergy with that of other pairs, not only with 0.
    """
    if donor_n is not None and len(donor_n) != tokens.n_cells:
        msg = (
            f"`donor_n` must name the donor of each of the {tokens.n_cells:,} cells; it names {len(donor_n):,}. "
            "Take both from the same cells."
        )
        raise InputError(msg)
    planner, once = _Planner(tokens, engine.model.vocabulary, config), _Once(engine)
    parts: list[pd.DataFrame] = []
    waiting: list[_Planned] = []
    for number, perturbation in enumerate(perturbations):
        waiting.append(planner.plan(number, perturbation))
        if sum(len(one.rows) for one in waiting) >= ROWS or number == len(perturbations) - 1:
            once.read(row for one in waiting for row in one.rows)
            parts += [_cell_shifts(one, once) for one in waiting]
            waiting = []
            if on_edits is not None:
                on_edits(number + 1, len(perturbations))
    return _summed_up(perturbations, parts, engine.model.vocabulary, donor_n)


@dataclass(frozen=True)
class _Planned:
    """Rows of one perturbation: unedited cells, edited ones and, for a pair, each part alone; cells in one order."""

    number: int
    cell_n: np.ndarray
    rows: list[Row]
    emptied_n: np.ndarray
    """Cells in which one part alone would leave no gene."""


class _Planner:
    """Draws the cells of each perturbation and edits them."""

    def __init__(self, tokens: Tokens, vocabulary: Vocabulary, config: PerturbConfig) -> None:
        self.tokens, self.vocabulary, self.config = tokens, vocabulary, config
        self.expresses = cache(lambda token: (tokens.tokens_nt == token).any(axis=1))

    def plan(self, number: int, perturbation: Perturbation) -> _Planned:
        within = np.flatnonzero(self._may_apply(perturbation.targets))
        drawn, changed = plan_together(self.tokens.select(within), self.vocabulary, perturbation, self.config)
        cell_n = within[drawn]
        rows = [*(self.tokens.row(cell) for cell in cell_n), *changed]
        emptied_n = np.zeros(len(cell_n), dtype=bool)
        if len(perturbation.targets) == 2:
            for target in perturbation.targets:
                for place, cell in enumerate(cell_n):
                    row = self._alone(cell, target)
                    emptied_n[place] |= row is None
                    rows.append(self.tokens.row(cell) if row is None else row)
        return _Planned(number, cell_n, rows, emptied_n)

    def _may_apply(self, targets: tuple[Target, ...]) -> np.ndarray:
        """Cells worth trying: most cells express no given set, and editing all of them would take longer than the model."""
        if not targets:
            return np.zeros(self.tokens.n_cells, dtype=bool)
        held = [self.expresses(target.token) for target in targets]
        if self.config.not_expressed == "skip":
            return np.logical_and.reduce(held)
        if all(ACTION[target.kind] == "inhibit" for target in targets):
            return np.logical_or.reduce(held)
        return np.ones(self.tokens.n_cells, dtype=bool)

    def _alone(self, cell: int | np.integer, target: Target) -> Row | None:
        """Return the cell after one part of a pair, unchanged where that does nothing, `None` where nothing would be left."""
        row = self.tokens.row(cell)
        found = edited(
            row,
            (target,),
            policy=Policy.of(self.config),
            limit=self.vocabulary.max_length,
            spare=self.tokens.spare(cell),
            has_cls=self.tokens.has_cls,
        )
        if found is None and not (target.kind == "delete" and target.token in row):
            return row
        return found


class _Once:
    """Reads each row once, however often it is asked for."""

    def __init__(self, engine: ExactEngine) -> None:
        self.engine = engine
        self.known: dict[bytes, np.ndarray] = {}

    def read(self, rows: Iterable[Row]) -> None:
        new = {key: row for row in rows if (key := _key(row)) not in self.known}
        if new:
            self.known.update(zip(new, self.engine.read(list(new.values())), strict=True))

    def of(self, rows: Sequence[Row]) -> Readings:
        return np.array([self.known[_key(row)] for row in rows], dtype=float).reshape(-1, 2)


def _key(row: Row) -> bytes:
    return hashlib.blake2b(row.astype(np.int64).tobytes(), digest_size=16).digest()


def _cell_shifts(planned: _Planned, once: _Once) -> pd.DataFrame:
    """Shifts of one perturbation, one row per cell."""
    n = len(planned.cell_n)
    readings_pn2 = once.of(planned.rows).reshape(-1, n, 2) if n else np.empty((2, 0, 2))
    shift_pn2 = readings_pn2[1:] - readings_pn2[0]
    synergy_n = np.full(n, np.nan)
    if len(shift_pn2) == 3:
        synergy_n = shift_pn2[0, :, 1] - shift_pn2[1:, :, 1].sum(axis=0)
        synergy_n[planned.emptied_n] = np.nan
    return pd.DataFrame(
        {
            "number": np.full(n, planned.number),
            "cell": planned.cell_n,
            "shift_to_goal": shift_pn2[0, :, 0],
            "logit_shift": shift_pn2[0, :, 1],
            "synergy": synergy_n,
        }
    )


def _summed_up(
    perturbations: Sequence[Perturbation],
    parts: list[pd.DataFrame],
    vocabulary: Vocabulary,
    donor_n: np.ndarray | None,
) -> pd.DataFrame:
    """One row per perturbation from one per cell."""
    if not parts:
        return pd.DataFrame(columns=COMBINATIONS.names)
    cells = pd.concat(parts, ignore_index=True)
    donors = None if donor_n is None else donor_n[cells["cell"].to_numpy(int)].astype(str)
    mean_of = {
        name: mean_by_gene(cells[name].to_numpy(float), cells["number"].to_numpy(int), donors).reindex(
            range(len(perturbations))
        )
        for name in ("shift_to_goal", "logit_shift", "synergy")
    }
    logit, synergy = mean_of["logit_shift"], mean_of["synergy"]
    frame = pd.DataFrame(
        {
            "name": [one.name for one in perturbations],
            "targets": [_in_words(one.targets, vocabulary) for one in perturbations],
            "n_targets": [len(one.targets) for one in perturbations],
            "n_missing": [len(one.missing) if isinstance(one, Combination) else 0 for one in perturbations],
            "n_cells": logit["n_cells"].fillna(0).astype(int),
            "n_donors": logit["n_donors"].fillna(0).astype(int),
            "shift_to_goal": mean_of["shift_to_goal"]["mean"],
            "logit_shift": logit["mean"],
            **{name: logit[name] for name in ("se", "ci_low", "ci_high", "pvalue")},
            "synergy": synergy["mean"],
            "synergy_ci_low": synergy["ci_low"],
            "synergy_ci_high": synergy["ci_high"],
        }
    )
    return COMBINATIONS.checked(frame)


def _in_words(targets: tuple[Target, ...], vocabulary: Vocabulary) -> str:
    """Say what is done, such as 'delete STAT1 + inhibit JAK2 at 0.5'."""
    name_of = vocabulary.gene_names
    place_of = vocabulary.position
    words = []
    for target in targets:
        name = name_of[place_of[vocabulary.gene_of_token[target.token]]]
        words.append(f"{target.kind} {name}" + (f" at {target.dose:g}" if target.dose != 1 else ""))
    return " + ".join(words)
