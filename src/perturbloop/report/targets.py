"""The druggable table of a round: found from its folder and what is known of compounds, in lines and as files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from xlsxwriter import Workbook

from perturbloop.data.drugs import merged, read_interactions
from perturbloop.data.knowledge import added, collections
from perturbloop.data.knowledge.sources import BETWEEN, read_source
from perturbloop.errors import InputError, some
from perturbloop.report.answer import answer
from perturbloop.report.compose import PLAY_AGAIN, compose
from perturbloop.report.export import write_sheet
from perturbloop.report.layout import Grid, count, interval, number, probability, text
from perturbloop.report.lines import table_lines, wrapped
from perturbloop.schema import (
    INTERACTIONS,
    TARGET_AGREEMENT,
    TARGET_COMPOUNDS,
    TARGET_GROUPS,
    TARGET_PATHWAYS,
    TARGETS,
    Table,
    concat,
)
from perturbloop.store.files import read_table, whole, write_text
from perturbloop.targets import Filters, Found, find
from perturbloop.targets.pathways import require_gseapy

SHOWN, GROUPS_SHOWN = 12, 3
SETS = ("reactome",)
"""Collections of gene sets that are asked for pathways, beside those that were added."""
ENDINGS = (".csv", ".xlsx")
_SPARE = ("#", "caution", "95 % interval", "DE", "stage")
_WORDS = frozenset({"gene", "to do", "DE", "compounds that do it", "stage", "caution"})
_SHEETS: dict[str, Table] = {
    "targets": TARGETS,
    "compounds": TARGET_COMPOUNDS,
    "groups": TARGET_GROUPS,
    "agreement": TARGET_AGREEMENT,
    "pathways": TARGET_PATHWAYS,
}


def targets_of(
    folder: Path,
    filters: Filters | None = None,
    *,
    drugs: Sequence[Path] = (),
    categories: Sequence[Path] = (),
    with_pathways: bool = False,
) -> tuple[Found, list[str]]:
    """Find the targets of a round.

    Parameters
    ----------
    folder
        Folder of the round.
    filters
        Which rows are wanted; all druggable ones by default.
    drugs
        Files of compounds and targets, beside the collections of kind drugs that were added.
    categories
        Files of categories of druggable genes, beside those that were added.
    with_pathways
        Whether pathways are asked for, which needs GSEApy.

    Returns
    -------
    The tables, their rows chosen, and what to know before reading them.
    """
    if with_pathways:
        require_gseapy()
    report = compose(folder)
    predictions = read_table(folder / "predictions.parquet", todo=PLAY_AGAIN)
    sources = added()
    known = [one.interactions for one in sources if one.kind == "drugs"]
    known += [read_interactions(file) for file in drugs]
    found = find(
        report.ranking,
        report.posterior,
        report.effects,
        predictions,
        interactions=known[0] if len(known) == 1 else merged(concat(INTERACTIONS, known)),
        categories=_categories(categories),
        pairs=[
            pair for one in sources if one.kind == "pairs" for pair in _pairs(one.content.columns.tolist())
        ],
        sets=_sets() if with_pathways else None,
    )
    chosen = (filters or Filters()).of(found.targets)
    lines = [verdict.gate_sentence] if (verdict := answer(report)).gate == "failed" else []
    if not known:
        lines.append(
            "No compound is known here: name files with `--drugs`, or add a collection, such as DGIdb's interactions.tsv, with "
            "`perturbloop knowledge add`."
        )
    key = set(zip(chosen["gene_id"], chosen["action"], strict=True))
    acting = found.compounds[
        [pair in key for pair in zip(found.compounds["gene_id"], found.compounds["action"], strict=True)]
    ]
    return replace(found, targets=chosen, compounds=acting.reset_index(drop=True)), lines


def target_lines(found: Found, notes: Sequence[str], width: int) -> list[str]:
    """The answer for a terminal: how many, the best, families and axes, where DE agrees, what to doubt.

    Parameters
    ----------
    found, notes
        Result of `targets_of`.
    width
        Letters of a line.
    """
    rows = found.targets
    helped = int(rows["sign_known"].astype(bool).sum())
    of_drugs = (
        rows[["n_agree", "n_oppose", "n_unknown"]].to_numpy().any() or rows["tractability"].ne("").any()
    )
    what = "druggable target" if of_drugs else "gene whose effect is toward the goal"
    said = (
        f"{count(len(rows), what)}: for {helped:,} a compound is known to do what is needed; of the others the sign is "
        "unknown, or no compound is."
    )
    lines = [*(line for note in (said, *notes) for line in wrapped(note, width)), ""]
    if len(rows):
        lines += [*table_lines(_grid(rows.head(SHOWN)), width, wrap=False), ""]
    for row in found.groups.head(GROUPS_SHOWN).itertuples():
        doing = f"; {row.compounds}" if row.compounds else ""
        lines += _short(
            f"To {row.action}, {row.group}: {row.genes} (p {probability(row.pvalue)}){doing}", width
        )
    for row in found.agreement.itertuples():
        lines += wrapped(_agreement(row), width, indent="  ")
    for row in found.pathways.head(GROUPS_SHOWN).itertuples():
        lines += _short(f"To {row.action}, {row.pathway}: padj {probability(row.padj)}, {row.leading}", width)
    return [*lines, *_doubts(rows.head(SHOWN), width)]


def write_targets(found: Found, path: Path) -> None:
    """Write the table as .csv, or all tables as .xlsx; text is never a formula or a date there.

    Parameters
    ----------
    found
        Result of `targets_of`.
    path
        File to write.
    """
    require_ending(path)
    if path.suffix == ".csv":
        write_text(path, csv_of(found.targets))
        return
    with whole(path) as beside, beside.open("wb") as handle, Workbook(handle, {"in_memory": True}) as book:
        head = book.add_format({"bold": True, "bottom": 1})
        for name in _SHEETS:
            write_sheet(book.add_worksheet(name), getattr(found, name), head)
        about = [(name, one.name, one.meaning) for name, table in _SHEETS.items() for one in table.columns]
        write_sheet(
            book.add_worksheet("columns"), pd.DataFrame(about, columns=["sheet", "column", "meaning"]), head
        )


def require_ending(path: Path) -> None:
    """Refuse a file that is neither .csv nor .xlsx."""
    if path.suffix not in ENDINGS:
        msg = f"Targets are written to a file that ends in '.csv' or '.xlsx'; `{path}` does not. Rename it."
        raise InputError(msg)


def csv_of(table: pd.DataFrame) -> str:
    """A table as CSV; a text that a spreadsheet would read as a formula begins with an apostrophe.

    >>> csv_of(pd.DataFrame({"neighbors": ["+0.21 by JAK2"], "effect": [-0.5]})).splitlines()[1]
    "'+0.21 by JAK2,-0.5"
    """
    safe = table.apply(
        lambda column: column.map(_safe) if column.dtype == object or str(column.dtype) == "str" else column
    )
    return safe.to_csv(index=False, lineterminator="\n")


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _grid(rows: pd.DataFrame) -> Grid:
    columns = (
        "#",
        "gene",
        "to do",
        "effect",
        "95 % interval",
        "DE",
        "compounds that do it",
        "stage",
        "caution",
    )
    lines = tuple(
        (
            number(row.place, 0) if row.place == row.place else "measured",
            text(row.gene_name, str(row.gene_id)),
            str(row.action),
            number(row.effect, sign=True),
            interval(row.ci_low, row.ci_high, 2, sign=True),
            text(row.de_says),
            _cut(row.compounds or _others(row), 30),
            text(row.stage),
            _cut(text(row.cautions), 18),
        )
        for row in rows.itertuples()
    )
    return Grid("", columns, lines, _WORDS, spare=_SPARE)


def _others(row: Any) -> str:
    parts = [(row.n_unknown, "of unknown sign"), (row.n_oppose, "that do the opposite")]
    return "; ".join(f"{n} {what}" for n, what in parts if n) or "none known"


def _cut(said: str, most: int) -> str:
    return said if len(said) <= most else f"{said[: most - 1]}…"


def _short(said: str, width: int) -> list[str]:
    return wrapped(_cut(said, 2 * width - 2), width, indent="  ")


def _agreement(row: Any) -> str:
    said = (
        f"DE ∩ ISP, to {row.action}: {row.n_both:,} genes of {row.n_de:,} and {row.n_isp:,} picked by each ({row.expected:.0f} by chance, "
        f"p {probability(row.pvalue)})"
    )
    if not row.n_measured:
        return f"{said}; no measured gene judges them."
    shares = ", ".join(
        f"{name} {number(value)}"
        for name, value in (("DE", row.ppv_de), ("ISP", row.ppv_isp), ("both", row.ppv_both))
    )
    return f"{said}; hits among {row.n_measured:,} measured genes that each picks: {shares}; of all {row.n_hits / row.n_measured:.2f}."


def _doubts(rows: pd.DataFrame, width: int) -> list[str]:
    shared = list(rows.loc[rows["credit"] != "", "gene_name"])
    said = f"Not separable, as the same compounds hit others too (column `credit`): {some(shared, limit=9)}."
    lines = wrapped(said, width, indent="  ") if shared else []
    return [
        *lines,
        *wrapped(
            "Effects are of the gene, not of a compound: potency, selectivity and dose decide what a compound does in a cell.",
            width,
        ),
    ]


def _categories(files: Sequence[Path]) -> dict[str, list[str]]:
    contents = [one.content for one in added() if one.kind == "categories"]
    contents += [read_source(file, kind="categories")[1] for file in files]
    found: dict[str, list[str]] = {}
    for content in contents:
        member = content.value_gc.tocoo()  # type: ignore[union-attr]
        for gene, column in zip(member.row, member.col, strict=True):
            found.setdefault(str(content.labels[gene]), []).append(str(content.columns[column]))
    return found


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(ends[0], ends[2]) for name in names if (ends := str(name).partition(BETWEEN))[2]]


def _sets() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for one in collections():
        if one.kind == "sets" and (not one.is_shipped or one.name in SETS):
            member = one.content.value_gc
            labels = one.content.labels.astype(str)
            found[one.name] = {
                str(name): labels[member[:, [column]].nonzero()[0]].tolist()
                for column, name in enumerate(one.content.columns)
            }
    return found
