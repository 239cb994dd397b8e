"""Every table of a round by its name, for the terminal, for CSV and for notebooks."""

import pandas as pd

from perturbloop.errors import InputError, closest, some
from perturbloop.report.basis import kinds_of, shown
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import Grid, number, text
from perturbloop.report.lines import table_lines
from perturbloop.report.next import batch_of
from perturbloop.report.notes import alarms, notes

AS_KEPT = (
    "posterior",
    "metrics",
    "strata",
    "gains",
    "effects",
    "reversal",
    "rank_correlations",
    "pathways",
    "curves",
)
"""Tables that are shown as the round keeps them."""
_SPARE = ("gene_id", "reason", "neighbors", "kind", "n_donors", "detection", "de_padj", "quantity")
"""Columns that leave the text, not the CSV, where there is no room."""
_FIRST = ("place", "gene_name", "kind", "action", "benefit", "mean", "sd", "shift", "ci_low", "ci_high")


def table_names(report: RoundReport) -> tuple[str, ...]:
    """Names that `table_of` knows and that have a row in this round."""
    every = ("ranking", "batch", "gate", "notes", "heads", *AS_KEPT)
    return tuple(name for name in every if len(table_of(report, name)))


def table_of(report: RoundReport, name: str) -> pd.DataFrame:
    """One table of a round.

    Parameters
    ----------
    report
        The round.
    name
        ranking (all kinds, in reading order), batch (proposals with what the ranking knows of them), gate, notes (alarms
        first), heads (state models and their AUROC), or one of `AS_KEPT`.

    Returns
    -------
    The table; numbers as they are, not rounded. Empty where the round has none.

    Raises
    ------
    InputError
        If there is no table of this name.
    """
    made = {"ranking": ranking_table, "batch": _batch, "gate": _gate, "notes": _notes, "heads": _heads}
    if name in made:
        return made[name](report)
    if name in AS_KEPT:
        return getattr(report, name).reset_index(drop=True)
    known = [*made, *AS_KEPT]
    msg = (
        f"A table is one of {some(known, limit=len(known))}; `{name}` is none. "
        f"The closest: {closest(name, known)}."
    )
    raise InputError(msg)


def ranking_table(report: RoundReport) -> pd.DataFrame:
    """The ranking of all kinds in reading order: what a row is ranked by, its error, its cautions; best first within a kind.

    Returns
    -------
    The columns of `basis.shown` of each kind; those of the other basis are missing.
    """
    parts = [shown(report, kind) for kind in kinds_of(report)]
    if not parts:
        return pd.DataFrame(columns=list(_FIRST))
    columns = dict.fromkeys(name for part in parts for name in part.columns)
    first = [name for name in _FIRST if name in columns]
    wide = [
        part.reindex(columns=[*first, *(name for name in columns if name not in first)]) for part in parts
    ]
    table = pd.concat([part.astype(object) for part in wide], ignore_index=True).infer_objects()
    return table.assign(place=table["place"].astype("Int64"))  # a place is no fraction, and may be missing


def text_of(table: pd.DataFrame, width: int = 80) -> list[str]:
    """A table as lines for the terminal.

    Parameters
    ----------
    table
        Result of `table_of`.
    width
        Letters of a line.

    Returns
    -------
    Head and rows. Numbers have three digits; where the columns do not fit, those of least weight go, then each row is a block.
    """
    words = frozenset(str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name]))
    rows = tuple(tuple(_cell(value) for value in row) for row in table.itertuples(index=False))
    spare = tuple(name for name in _SPARE if name in table)
    return table_lines(Grid("", tuple(map(str, table.columns)), rows, words, spare=spare), width)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return number(value, 0) if value.is_integer() else number(value, 3)
    return text(value)


def _batch(report: RoundReport) -> pd.DataFrame:
    columns = ["policy", "place", "gene_name", "action", "kind", "benefit", "quantity", "value"]
    columns += ["ci_low", "ci_high", "cautions", "log2fc", "gene_id", "reason"]
    return batch_of(report)[columns] if len(report.proposals) else pd.DataFrame(columns=columns)


def _gate(report: RoundReport) -> pd.DataFrame:
    words = {True: "passed", False: "failed", None: "not judged"}
    rows = [(verdict.check, words[verdict.passed], verdict.sentence) for verdict in report.gate]
    return pd.DataFrame(rows, columns=["check", "verdict", "in_words"])


def _notes(report: RoundReport) -> pd.DataFrame:
    rows = [("alarm", line) for line in alarms(report)] + [("note", line) for line in notes(report)]
    return pd.DataFrame(rows, columns=["weight", "in_words"])


def _heads(report: RoundReport) -> pd.DataFrame:
    return pd.DataFrame(list(report.heads.items()), columns=["model", "heldout_auroc"])
