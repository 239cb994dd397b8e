"""The same report for the terminal, as lines of text; nothing is printed here."""

from collections.abc import Sequence
from pathlib import Path

from perturbloop.report.answer import answer
from perturbloop.report.basis import POSTERIOR, basis_of, kinds_of, shown
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import MISSING, Grid, Section, count, interval, listed, number, text
from perturbloop.report.lines import table_lines, wrapped
from perturbloop.report.measured import measured_lines
from perturbloop.report.notes import notes
from perturbloop.report.sections import sections
from perturbloop.schema import ACTION

LINES = 40
"""Most lines of a summary."""
BEST = 10
"""Genes of each action."""
LEAST_BEST = 3
_SPARE = ("log2FC", "#", "95 % interval")
_WORDS = frozenset({"gene", "caution"})


def summary(
    report: RoundReport,
    width: int = 80,
    *,
    folder: Path | str = "DIR",
    todo: str = "",
    more: Sequence[str] = (),
) -> list[str]:
    """What a person reads after a round, on one screen.

    Parameters
    ----------
    report
        The round.
    width
        Letters of a line; a path or a word that is longer keeps its line to itself.
    folder
        Folder of the campaign, as it is written in commands and before the path of the page.
    todo
        The next command to type; found by itself by default.
    more
        Sentences to add after what was measured.

    Returns
    -------
    At most 40 lines at 80 letters: the verdict, what to know before acting, the ten best genes of each action, what was measured,
    the next command and the path of the page. Without colors.
    """
    found = answer(report)
    head = [*wrapped(f"{report.title}, round {report.round_number}: {report.start} to {report.goal}", width)]
    verdict = [found.sentence, found.gate_sentence]
    head += wrapped(" ".join(reversed(verdict) if found.gate == "failed" else verdict), width)
    said = measured_lines(report) or ("Nothing was measured.",)
    page = Path(folder) / "rounds" / f"{report.round_number:03d}" / "report.html"
    tail = [line for sentence in (*said, *more) for line in wrapped(sentence, width)]
    tail += wrapped(f"Next: {todo or _next(report, folder)}", width, indent="  ")
    tail += wrapped(f"Page: {page}", width, indent="  ")
    best = BEST
    while best > LEAST_BEST and len(head) + len(_tables(report, best, width)) + len(tail) + 1 > LINES:
        best -= 1
    tables = _tables(report, best, width)
    room = LINES - len(head) - len(tables) - len(tail) - 1
    return [*head, *_cautions(report, width, room, folder), *tables, "", *tail]


def since_lines(report: RoundReport, names: Sequence[str]) -> tuple[str, ...]:
    """Say that files were recorded since a round was played, so that it does not hold them; empty without any.

    Parameters
    ----------
    report
        The round.
    names
        Names of the files.
    """
    if not names:
        return ()
    return (f"{count(len(names), 'file')} recorded since round {report.round_number}: {listed(names)}.",)


def full(report: RoundReport, width: int = 80) -> list[str]:
    """Every sentence and table of the page, in its order; figures are in the page only."""
    return [line for section in sections(report) for line in _section(section, width)]


def _next(report: RoundReport, folder: Path | str) -> str:
    if answer(report).gate == "failed":
        return f"perturbloop report {folder} --table gate"
    if len(report.proposals):
        return f"perturbloop propose {folder}"
    return f"perturbloop record {folder} FILE"


def _cautions(report: RoundReport, width: int, room: int, folder: Path | str) -> list[str]:
    """As many notes as there is room for, whole, and how to read the others."""
    lines: list[str] = []
    every = notes(report)
    for n, note in enumerate(every):
        own = wrapped(f"* {note}", width, indent="  ")
        rest = len(every) - n
        if len(lines) + len(own) + (rest > 1) > room:
            more = wrapped(
                f"* {count(rest, 'more note')}: perturbloop report {folder} --table notes", width, indent="  "
            )
            return [*lines, *more] if len(lines) + len(more) <= room else lines
        lines += own
    return lines


def _tables(report: RoundReport, best: int, width: int) -> list[str]:
    lines: list[str] = []
    for kind in _kinds(report):
        grid = _best(report, kind, best)
        if grid.rows:
            lines += ["", *wrapped(grid.title, width), *table_lines(grid, width, wrap=False)]
    return lines


def _kinds(report: RoundReport) -> list[str]:
    """One kind of edit per action: one that was measured before one that was not."""
    every = sorted(kinds_of(report), key=lambda kind: basis_of(report, kind) is not POSTERIOR)  # stable
    first = {ACTION.get(kind, kind): kind for kind in reversed(every)}  # type: ignore[call-overload]
    return [kind for kind in kinds_of(report) if kind in first.values()]


def _best(report: RoundReport, kind: str, best: int) -> Grid:
    basis = basis_of(report, kind)
    rows = shown(report, kind)
    rows = rows[rows["status"].eq("scored")].head(best)
    of_posterior = basis is POSTERIOR
    columns = ("#", "gene", *(("benefit", "expected effect") if of_posterior else ("shift",)))
    columns += ("95 % interval", "log2FC", "caution")
    lines = []
    for row in rows.itertuples():
        numbers = (
            (number(row.benefit), number(row.mean, sign=True))
            if of_posterior
            else (number(row.shift, 3, sign=True),)
        )
        reach = interval(row.ci_low, row.ci_high, 2 if of_posterior else 3, sign=True)
        name = text(row.gene_name, str(row.gene_id))
        lines.append(
            (
                number(row.place, 0),
                name,
                *numbers,
                reach,
                number(row.log2fc, sign=True),
                _shortly(row.cautions),
            )
        )
    unit = "P(toward)" if of_posterior else "logits of the goal state"
    action = ACTION.get(kind, kind)  # type: ignore[call-overload]
    return Grid(f"To {action} ({kind}), by {basis.head}: {unit}", columns, tuple(lines), _WORDS, spare=_SPARE)


def _shortly(cautions: str) -> str:
    """The first caution and how many more."""
    first, *others = str(cautions).split(", ")
    return f"{first} +{len(others)}" if others else first or MISSING


def _section(section: Section, width: int) -> list[str]:
    lines = ["", section.title.upper()]
    for line in (*section.alarm, *section.lines, *section.notes):
        lines += wrapped(line, width, indent="  ")
    for grid in section.grids:
        lines += ["", *wrapped(grid.title, width), *table_lines(grid, width)]
    return lines
