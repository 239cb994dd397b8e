"""What is said when a file is recorded: the gravest first, then what was kept, then the strongest targets."""

from collections.abc import Iterator

import pandas as pd

from perturbloop.report.layout import Grid, count, listed, number, probability
from perturbloop.report.lines import table_lines, wrapped
from perturbloop.report.notes import grave, lost_hits
from perturbloop.report.reversal import BEST, best_doses, reversal_grid, reversal_lines
from perturbloop.schema import Recorded, RecordedCells, RecordedScreen

STRONGEST = 10
"""Targets that are listed."""
NOT_USED = -2
"""Fold of what neither trains nor judges."""


def recording(
    entry: Recorded,
    effects: pd.DataFrame | None,
    *,
    new: bool,
    width: int,
    reversal: pd.DataFrame | None = None,
) -> list[str]:
    """Say what was read of a file.

    Parameters
    ----------
    entry
        What was recorded.
    effects
        EFFECTS rows of a file of cells, at gene level; `None` of a screen.
    new
        Whether it was not recorded before.
    width
        Letters of a line.
    reversal
        REVERSAL rows of a file with cells of both states: its best compounds are listed in the place of the strongest targets.
    """
    head = "Recorded" if new else "Recorded before, nothing changed"
    if isinstance(entry, RecordedScreen):
        sentences = [
            *lost_hits(entry),
            *entry.judging,
            *entry.warnings,
            f"{head}: {entry.name}, {entry.modality}.",
            *entry.lines,
        ]
        return [line for sentence in sentences for line in wrapped(sentence, width, indent="  ")]
    rows = pd.DataFrame() if effects is None else effects
    sentences = [*grave(entry), *entry.judging, *_read(head, entry, rows), *entry.warnings]
    lines = [line for sentence in sentences for line in wrapped(sentence, width, indent="  ")]
    return [*lines, *(_table(rows, width) if reversal is None else _compounds(reversal, width))]


def _read(head: str, entry: RecordedCells, rows: pd.DataFrame) -> Iterator[str]:
    hits = count(int(rows["hit"].sum()) if len(rows) else 0, "hit")
    rule = f" ({entry.hit_rule})" if entry.hit_rule else ""
    yield f"{head}: {entry.n_cells:,} of {count(entry.n_cells_read, 'cell')}, {count(len(entry.targets), 'target')}, {hits}{rule}."
    yield (
        f"{entry.n_shared_genes:,} of the {count(entry.n_state_genes, 'gene')} of the states are shared; on them the states are told "
        f"apart with AUROC {number(entry.state_score_auroc)}."
    )
    yield from (f"{line}." for line in entry.reading)
    yield from (f"{count(n, 'cell')} left out: {why}." for why, n in entry.dropped.items() if n)
    yield from (f"{line[:1].upper()}{line[1:]}." for line in entry.labels)
    if entry.arms:
        yield f"Arms: {', '.join(f'{n:,} {name}' for name, n in entry.arms.items() if n)}."
    yield from (f"{line[:1].upper()}{line[1:]}." for line in entry.arm_lines)
    if entry.targets_dropped:
        few = [f"{name} ({n})" for name, n in entry.targets_dropped.items()]
        yield f"{count(len(few), 'target')} left out for too few cells: {listed(few)}."


def _table(rows: pd.DataFrame, width: int) -> Iterator[str]:
    """The strongest targets, either way."""
    if rows.empty:
        return
    order = rows.sort_values("effect_to_goal", key=lambda effect: -effect.abs(), kind="stable")
    first = order.head(STRONGEST)
    named = bool(first["n_guides"].gt(0).any())
    columns = ("target", "effect to goal", "padj", "hit", "cells", *(("guides",) if named else ()), "use")
    cells = tuple(
        (
            str(row.gene_name),
            f"{number(row.effect_to_goal, sign=True)} ± {number(row.se)}",
            probability(row.padj),
            "hit" if row.hit else "",
            number(row.n_cells, 0),
            *((number(row.n_guides, 0),) if named else ()),
            _use(int(row.fold)),
        )
        for row in first.itertuples()
    )
    spare = ("guides", "cells", "use") if named else ("cells", "use")
    grid = Grid("", columns, cells, frozenset({"target", "hit", "use"}), spare=spare)
    yield from table_lines(grid, width, wrap=False)
    if len(rows) > len(first):
        more = f"{len(rows) - len(first):,} more with weaker effects: `--json` lists all, and so does the report once it is played."
        yield from wrapped(more, width, indent="  ")


def _compounds(reversal: pd.DataFrame, width: int) -> Iterator[str]:
    """The best compounds, each at its best dose."""
    for sentence in reversal_lines(reversal):
        yield from wrapped(sentence, width, indent="  ")
    yield from table_lines(reversal_grid(best_doses(reversal).head(BEST)), width)


def _use(fold: int) -> str:
    if fold == NOT_USED:
        return "neither"
    return "trains" if fold < 0 else f"held out, fold {fold}"
