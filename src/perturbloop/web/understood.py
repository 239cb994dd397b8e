"""What was understood of a table that was uploaded, and what it leaves open: read in the server, without cells and without a model."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from perturbloop.data.genes import NO_NAMES, GeneNames
from perturbloop.data.outcomes import read_hits
from perturbloop.data.screen_formats.files import read_file, sheet_choice
from perturbloop.data.screen_formats.opening import Opened, open_screen
from perturbloop.data.screen_formats.questions import questions
from perturbloop.data.screens import read_screen, report_lines
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError, PerturbloopError, some
from perturbloop.schema import PENDING, ScreenConfig
from perturbloop.schema.words import HigherIs, PvalueSides, ScreenModality
from perturbloop.web.served import Ledger, Served
from perturbloop.web.uploads import Upload

FIELDS = {
    "higher_is": "A high score stands for",
    "modality": "What was done to the genes",
    "sheet": "Sheet",
    "only": "Screen or comparison",
    "gene_column": "Column of genes",
    "score_column": "Column of scores",
    "pvalue_column": "Column of p-values",
    "pvalue_sides": "Tails of the p-values",
    "fdr_column": "Column of false discovery rates",
    "se_column": "Column of standard errors",
    "screen_column": "Column that names the screen",
    "fdr": "Hits: false discovery rate below",
    "top": "Hits: this share of the largest scores",
    "hit_column": "Hits: column that is true",
}
"""Fields of the form, by option of `perturbloop record`."""
WORDS = {
    "higher_is": get_args(HigherIs),
    "modality": get_args(ScreenModality),
    "pvalue_sides": get_args(PvalueSides),
}
"""Words that a field takes."""
NUMBERS = ("fdr", "top")
NEEDED = ("higher_is", "modality")
"""What no file tells."""
MOST_KEPT = 16
"""How much is remembered of what was understood of one file, by what was told."""
MOST_ROWS, MOST_COLUMNS, MOST_LETTERS, MOST_CHOICES = 8, 12, 60, 300
"""Rows, columns and letters of the table that are shown, and names to choose from."""
_reading = threading.Lock()
"""One table is read at a time, so that several large ones do not fill the memory together."""


@dataclass(frozen=True)
class Understood:
    """What a table holds, and what must still be said."""

    kind: str
    """screen, or outcomes: genes of a batch, hit or not."""
    lines: tuple[str, ...] = ()
    """What was read, one fact a line."""
    warnings: tuple[str, ...] = ()
    asks: Mapping[str, str] = field(default_factory=dict)
    """Fields that must be filled in, and what each decides."""
    refusal: str = ""
    """Why it cannot be recorded; empty where it can."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a field may be, where the file tells."""
    columns: tuple[str, ...] = ()
    """Heads of the table."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Its first rows."""

    @property
    def complete(self) -> bool:
        """Whether it can be recorded as it is."""
        return not (self.asks or self.refusal)


def understood(upload: Upload, told: Mapping[str, str], served: Served, *, kind: str = "") -> Understood:
    """Read a table as far as what was told allows.

    Parameters
    ----------
    upload
        The file.
    told
        Fields that are filled in, by option.
    served
        The campaign.
    kind
        screen or outcomes; '' = as the columns look.
    """
    names, ledger = names_of(served), served.ledger()
    key = (kind, tuple(told.get(name, "") for name in ("name", *FIELDS)), id(names), _stamp(ledger))
    held = upload.kept.get(key)
    if held is None:
        with _reading:
            held = upload.kept.get(key) or (names, _read(upload, told, names, ledger, kind))
            if len(upload.kept) >= MOST_KEPT:
                upload.kept.clear()
            upload.kept[key] = held  # with the names, so that no others come to have their `id`
    found: Understood = held[1]
    return found


def _stamp(ledger: Ledger) -> tuple[Any, ...]:
    """What of the ledger decides how a table is understood."""
    trials, cells = ledger.trials, ledger.config.cells
    awaited = trials[trials["status"].isin(PENDING)] if len(trials) else trials
    return cells.goal, cells.start, tuple(awaited["gene_id"]), tuple(awaited["batch"])


def _read(upload: Upload, told: Mapping[str, str], names: GeneNames, ledger: Ledger, kind: str) -> Understood:
    try:
        found = _understood(upload, dict(told), names, ledger, kind)
    except (PerturbloopError, ValueError, OSError, MemoryError) as error:
        found = Understood(kind or "screen", refusal=str(error) or type(error).__name__)
    return replace(
        found,
        lines=tuple(map(upload.named, found.lines)),
        warnings=tuple(map(upload.named, found.warnings)),
        asks={name: in_words(upload.named(why)) for name, why in found.asks.items()},
        refusal=in_words(upload.named(found.refusal)),
    )


def in_words(text: str) -> str:
    """Message in which options are called as the form calls them."""
    for name, label in FIELDS.items():
        text = text.replace(f"`--{name.replace('_', '-')}`", f"“{label}”")
    return text


def names_of(served: Served) -> GeneNames:
    """Which symbol means which gene: by the vocabulary of the campaign's model, else by its last ranking."""
    ledger = served.ledger()
    words = Path(ledger.config.train.model or "") / "vocabulary.parquet"
    if words.is_file():
        return _names_in(words, words.stat().st_mtime_ns)
    shown = served.shown()
    if shown is None:
        return NO_NAMES
    made: GeneNames = shown.once("names of a table", lambda: _names_of_ranking(shown.report.ranking))
    return made


@lru_cache(maxsize=2)
def _names_in(path: Path, changed: int) -> GeneNames:
    return Vocabulary.load(path).names


def _names_of_ranking(ranking: pd.DataFrame) -> GeneNames:
    rows = ranking.drop_duplicates("gene_id")
    return GeneNames.of(dict(zip(rows["gene_name"].astype(str), rows["gene_id"], strict=True)))


def _understood(
    upload: Upload, told: dict[str, str], names: GeneNames, ledger: Ledger, kind: str
) -> Understood:
    if kind != "screen":
        made = _outcomes(upload, names, ledger, sure=kind == "outcomes")
        if made is not None:
            return made
    config = config_of(told, upload)
    sheets = tuple(sheet_choice(upload.path, None))
    opened = open_screen(config)
    found = questions(opened, config)
    choices = {"sheet": sheets, **_choices(opened, config)}
    asks = _asked(found, choices) | {
        name: _why(name, opened, ledger) for name in NEEDED if not told.get(name)
    }
    columns, rows = _head(opened.frame)
    if found:
        return Understood("screen", (), (), asks, "", choices, columns, rows)
    _, report = read_screen(config, names=names)
    lines = report_lines(report)
    if "higher_is" in asks:  # which way is toward the goal is not told yet
        n = report["n_hits"]
        lines[1] = f"{n:,} hit{'' if n == 1 else 's'} ({report['hit_rule']})"
    return Understood("screen", tuple(lines), tuple(report["warnings"]), asks, "", choices, columns, rows)


def config_of(told: Mapping[str, str], upload: Upload) -> ScreenConfig:
    """How the file is read, by what was told; what is not told yet is taken as it is usual.

    Parameters
    ----------
    told
        Fields of the form.
    upload
        The file.
    """
    values: dict[str, Any] = {name: value for name, value in told.items() if name in FIELDS and value}
    for name in NUMBERS:
        if name in values:
            try:
                values[name] = float(values[name])
            except ValueError:
                msg = f"“{FIELDS[name]}” is a number between 0 and 1; '{values[name][:20]}' came. Correct it."
                raise InputError(msg) from None
    if "only" in values:
        values["screen"] = values.pop("only")
    usual = {"modality": "crispri", "higher_is": "goal", "name": told.get("name") or upload.stem}
    return ScreenConfig(path=str(upload.path), **(usual | values))


def _outcomes(upload: Upload, names: GeneNames, ledger: Ledger, *, sure: bool) -> Understood | None:
    """Genes and whether each was a hit; `None` where the table is another, unless it is said to be one."""
    if not sure:
        try:
            frame, _ = read_file(upload.path)
        except InputError:
            return None
        others = frame.drop(columns=[name for name in frame.columns if name.lower() == "hit"])
        if others.shape[1] == frame.shape[1] or not others.select_dtypes("number").empty:
            return None
    try:
        hits = read_hits(upload.path, names=names)
    except InputError as error:
        return Understood("outcomes", refusal=str(error))
    trials = ledger.trials
    awaited = trials[trials["status"].isin(PENDING)] if len(trials) else trials
    batch_of = dict(zip(awaited["gene_id"], awaited["batch"], strict=True)) if len(trials) else {}
    here = [gene for gene in hits if gene in batch_of]
    others = [names.name_of(gene) for gene in hits if gene not in batch_of]
    rows = tuple(
        (
            names.name_of(gene),
            "hit" if hit else "no hit",
            f"batch {batch_of[gene]}" if gene in batch_of else "awaits none",
        )
        for gene, hit in list(hits.items())[:MOST_ROWS]
    )
    lines = [f"{len(hits):,} genes, {sum(hits.values()):,} of them hits; {len(here):,} await their outcome"]
    warnings = [f"Left out, since they await no outcome: {some(others)}."] if here and others else []
    refusal = (
        ""
        if here
        else "Outcomes are matched to genes of a batch that was taken; none of these awaits one. Take a batch first, or read the file as "
        "a screen."
    )
    return Understood(
        "outcomes", tuple(lines), tuple(warnings), {}, refusal, {}, ("gene", "outcome", "awaited in"), rows
    )


def _choices(opened: Opened, config: ScreenConfig) -> dict[str, tuple[str, ...]]:
    """Names to choose from, where the file tells them."""
    columns = tuple(map(str, opened.frame.columns))[:MOST_CHOICES]
    side_by_side = opened.format.find(opened.frame.columns) if opened.format else {}
    names = [name for name in side_by_side if name]
    if not names and config.screen_column in opened.frame.columns:
        names = sorted({str(name) for name in opened.frame[config.screen_column].dropna()})
    found = {name: columns for name in FIELDS if name.endswith("_column")}
    return {**found, "only": tuple(names[:MOST_CHOICES])}


def _asked(found: Mapping[str, str], choices: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Fields behind the options that the file leaves open."""
    asked = {}
    for option, why in found.items():
        name = option.split()[0].removeprefix("--").replace("-", "_")
        listed = ", ".join(repr(one) for one in choices.get(name, ()))
        asked[name if name in FIELDS else "fdr"] = (
            why if not listed else why.partition(":")[0].partition(",")[0]
        )
    return asked


def _why(name: str, opened: Opened, ledger: Ledger) -> str:
    if name == "modality":
        return "what was done to the genes"
    high = f"that {opened.format.high}" if opened.format else "what the file calls positive"
    cells = ledger.config.cells
    return f"here a high score says {high}; goal is '{cells.goal}', start is '{cells.start}'"


def _head(frame: pd.DataFrame) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """First rows of a table, as text."""
    part = frame.iloc[:MOST_ROWS, :MOST_COLUMNS]
    rows = tuple(tuple(_cell(value) for value in row) for row in part.itertuples(index=False))
    return tuple(str(name)[:MOST_LETTERS] for name in part.columns), rows


def _cell(value: Any) -> str:
    """Value of a table as a page shows it."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return "" if pd.isna(value) else str(value)[:MOST_LETTERS]
