"""Several genes at once: gene sets, pairs and drugs, scored in whole cells."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError
from perturbloop.perturb.asked import Combination
from perturbloop.perturb.edit import Perturbation, Policy, Row, Target, edited
from perturbloop.perturb.exact import ExactEngine, Readings
from perturbloop.perturb.plan import plan_together
from perturbloop.schema import ACTION, COMBINATIONS, PerturbConfig
from perturbloop.stats.aggregate import mean_by_gene

ROWS = 4096
"""Rows planned before they are read, so that memory does not follow the number of perturbations."""


def combination_shifts(
    engine: ExactEngine,
    tokens: Tokens,
    perturbations: Sequence[Perturbation],
    config: PerturbConfig,
    *,
    donor_n: np.ndarray | None = None,
    held: Collection[str] | None = None,
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
    held
        Ensembl ids of the genes that the file of the cells holds, so that others are named; `None` = all.
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
    return _summed_up(perturbations, parts, engine.model.vocabulary, donor_n, held)


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
        self.expresses = cache(self._expresses)

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

    def _expresses(self, token: int) -> np.ndarray:
        cell_f, _, _ = self.tokens.find(np.array([token]))
        return np.isin(np.arange(self.tokens.n_cells), cell_f)

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
    held: Collection[str] | None,
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
            "n_unsigned": [len(one.unsigned) if isinstance(one, Combination) else 0 for one in perturbations],
            "absent": [_absent(one.targets, vocabulary, held) for one in perturbations],
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


def _absent(targets: tuple[Target, ...], vocabulary: Vocabulary, held: Collection[str] | None) -> str:
    """Symbols of the genes that the cells' file does not hold."""
    genes = [str(vocabulary.gene_of_token[target.token]) for target in targets] if held is not None else []
    return ",".join(vocabulary.names.name_of(gene) for gene in genes if gene not in (held or ()))


def _in_words(targets: tuple[Target, ...], vocabulary: Vocabulary) -> str:
    """Say what is done, such as 'delete STAT1 + inhibit JAK2 at 0.5'."""
    words = []
    for target in targets:
        name = vocabulary.names.name_of(vocabulary.gene_of_token[target.token])
        words.append(f"{target.kind} {name}" + (f" at {target.dose:g}" if target.dose != 1 else ""))
    return " + ".join(words)
