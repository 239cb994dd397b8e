"""A batch for people: lines on the terminal, a plate for the bench; and the trials that came of batches."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perturbloop.errors import DesignError
from perturbloop.report.layout import Grid, count, interval, listed, number, text
from perturbloop.report.lines import table_lines, wrapped
from perturbloop.report.plates import workbook
from perturbloop.store.files import whole

if TYPE_CHECKING:
    import pandas as pd

    from perturbloop.design.ask import Batch
    from perturbloop.design.calibration import Told


SHOWN = 20
"""Genes of a batch on the terminal, unless all are asked for."""


def batch_lines(batch: "Batch", width: int, *, full: bool = False) -> list[str]:
    """Say what to know before the genes, then a line a gene, then what was left out and the controls.

    Parameters
    ----------
    batch
        What `ask` gave.
    width
        Letters of a line.
    full
        Whether every gene is shown, each with all its reasons.
    """
    rows = batch.proposals
    lines = [line for sentence in batch.head() for line in wrapped(sentence, width, indent="  ")]
    lines += _with_reasons(rows, width) if full else _gene_lines(rows.head(SHOWN), width)
    more = f"{len(rows) - SHOWN} more genes, and every" if len(rows) > SHOWN else "Every"
    ends = [
        *([] if full else [f"{more} gene's reasons: --full."]),
        *batch.pool.lines(),
        _controls(batch.plate),
        *([f"Library: {batch.library}."] if batch.library else []),
    ]
    return [*lines, *(line for sentence in ends for line in wrapped(sentence, width, indent="  "))]


def _gene_lines(rows: "pd.DataFrame", width: int) -> list[str]:
    columns = ("#", "gene", "action", "P(hit)", "90 % interval", "because", "caution")
    cells = tuple(
        (
            str(row.place),
            text(row.gene_name, row.gene_id),
            row.action,
            number(row.probability),
            interval(row.ci_low, row.ci_high),
            row.because,
            row.flags.replace(",", ", "),
        )
        for row in rows.itertuples()
    )
    words = frozenset({"gene", "action", "because", "caution"})
    return table_lines(Grid("", columns, cells, words, spare=("because", "90 % interval")), width)


def _with_reasons(rows: "pd.DataFrame", width: int) -> list[str]:
    lines = []
    for row in rows.itertuples():
        reach = interval(row.ci_low, row.ci_high)
        caution = f"  caution: {row.flags.replace(',', ', ')}" if row.flags else ""
        head = f"{row.place:3d}  {row.gene_name:10} {row.action:8}  P(hit) {number(row.probability)} {reach}{caution}"
        lines += [head, *wrapped(f"     {row.reason}", width, indent="     ")]
    return lines


def _controls(plate: "pd.DataFrame") -> str:
    known = plate.loc[plate["role"].eq("positive control"), "gene_name"]
    none = int(plate["role"].eq("non-targeting").sum())
    said = f"Controls to put beside them: {count(none, 'well')} with guides that hit no gene"
    return f"{said}, and genes known to act: {listed(list(known))}." if len(known) else f"{said}."


def batch_tree(batch: "Batch", rows: "pd.DataFrame | None") -> dict[str, Any]:
    """Turn a batch into plain values, for JSON; a failed gate stands first."""
    expected = {**vars(batch.expected), "sentence": batch.expected.sentence, "by_chance": batch.by_chance}
    return {
        "gate": batch.gate,
        "rests_on": batch.rests_on,
        "expected": expected,
        "told": [_told(one) for one in batch.told],
        "proposals": batch.proposals.to_dict("records"),
        "chance": batch.chance.to_dict("records"),
        "left_out": {reason: list(names) for reason, names in batch.pool.left_out.items()},
        "plate": batch.plate.to_dict("records"),
        "taken": rows is not None,
    }


def taken_lines(folder: Path | str, rows: "pd.DataFrame | None", out: Path | None) -> list[str]:
    """Say whether the batch was taken, and what to type next."""
    if rows is None:
        return [f"Nothing is written down. To take this batch: perturbloop propose {folder} -o plate.csv"]
    said = f"Batch {rows['batch'].iloc[0]} is taken: {count(len(rows), 'gene')} await their outcome."
    plate = [f"Plate: {out}"] if out is not None else []
    return [said, *plate, f"Next: perturbloop record {folder}, with what was measured"]


def trial_lines(
    rows: "pd.DataFrame", told: "Sequence[Told]", changed: "pd.DataFrame | None", width: int
) -> list[str]:
    """Trials as a table, predicted against found hits below it."""
    head = [] if changed is None else [f"{count(len(changed), 'trial')} set to {changed['status'].iloc[0]}."]
    if rows.empty:
        return [*head, "No trials: no batch was taken with `perturbloop propose DIR -o plate.csv`."]
    columns = ("batch", "#", "gene", "action", "P(hit)", "status", "hit", "told by")
    cells = tuple(
        (
            str(row.batch),
            str(row.place),
            text(row.gene_name, row.gene_id),
            row.action,
            number(row.predicted),
            row.status,
            {True: "hit", False: "no hit"}.get(row.hit, "") if row.status == "done" else "",
            row.source,
        )
        for row in rows.itertuples()
    )
    words = frozenset({"gene", "action", "status", "hit", "told by"})
    table = table_lines(Grid("", columns, cells, words, spare=("#", "told by")), width, wrap=False)
    return [*head, *table, *told_lines(told, width)]


def told_lines(told: "Iterable[Told]", width: int) -> list[str]:
    """Predicted against found hits of each batch, a sentence each."""
    return [line for one in told for line in wrapped(one.sentence, width, indent="  ")]


def trial_tree(rows: "pd.DataFrame", told: "Iterable[Told]" = ()) -> dict[str, Any]:
    """Turn trials into plain values, for JSON; times as ISO 8601."""
    plain = json.loads(rows.to_json(orient="records", date_format="iso"))
    return {"trials": plain, "told": [_told(one) for one in told]}


def _told(one: "Told") -> dict[str, Any]:
    own = one.expected
    return {
        "batch": one.batch,
        "n_genes": own.n_genes,
        "predicted": own.mean,
        "low": own.low,
        "high": own.high,
        "observed": one.observed,
        "inside": one.inside,
    }


def require_writable(path: Path | None) -> None:
    """Refuse a file that is neither CSV nor Excel, or that exists, before any work."""
    if path is None:
        return
    if path.suffix.lower() not in (".csv", ".xlsx"):
        msg = f"A batch is written to a .csv or .xlsx file; `{path}` is neither. Name one with `--out`."
        raise DesignError(msg)
    if path.exists():
        msg = f"A new batch needs a new file, since the last plate may be in use; `{path}` exists. Name another with `--out`."
        raise DesignError(msg)


def write_batch(table: "pd.DataFrame", path: Path) -> None:
    """Write a plate as CSV or Excel file, by the ending of its name."""
    with whole(path) as beside, beside.open("wb") as file:
        if path.suffix.lower() == ".csv":
            table.to_csv(file, index=False)
        else:
            file.write(workbook(table))
