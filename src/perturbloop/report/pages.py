"""The report as pages, one idea each: the browser shows one at a time, the frozen report all in one file."""

from dataclasses import dataclass, replace
from functools import partial

from perturbloop.report.basis import basis_of, kinds_of
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import Grid, Section, count
from perturbloop.report.ranking import top_grid
from perturbloop.report.sections import sections
from perturbloop.schema import ACTION

SHOWN = 20
"""Genes of each kind on the page of the ranking, before somebody turns to the others."""


@dataclass(frozen=True)
class Page:
    """A page: what everybody reads, and what is one step away."""

    key: str
    """Its address."""
    title: str
    front: tuple[Section, ...]
    details: tuple[Section, ...]


_FRONT = {
    "overview": ("Overview", ("answer", "rounds", "found")),
    "ranking": ("Ranking", ("ranking",)),
    "evidence": ("Evidence", ("method", "effects", "reversal")),
    "batch": ("Next batch", ("proposals",)),
}
"""Title and first sections of each page."""
_DETAILS = {
    "full-ranking": "ranking",
    "pathways": "ranking",
    "spent": "ranking",
    "correlations": "ranking",
    "all-proposals": "batch",
    "notes": "overview",
    "asked": "overview",
    "check": "overview",
    "model": "overview",
    "knowledge": "overview",
    "runtime": "overview",
    "methods": "overview",
    "limits": "overview",
}
"""Page of each further section; all others are evidence."""


def pages(report: RoundReport) -> tuple[Page, ...]:
    """The pages of a round, in the order of reading."""
    every = tuple(_with_every_gene(report, section) for section in sections(report))
    page_of = {key: name for name, (_, keys) in _FRONT.items() for key in keys}
    made = []
    for name, (title, _) in _FRONT.items():
        front = tuple(section for section in every if page_of.get(section.key) == name)
        details = tuple(
            section
            for section in every
            if section.key not in page_of and _DETAILS.get(section.key, "evidence") == name
        )
        made.append(Page(name, title, front, details))
    return tuple(made)


def _with_every_gene(report: RoundReport, section: Section) -> Section:
    """The ranking with all scored genes behind its first ones; every other section as it is."""
    if section.key != "ranking":
        return section
    return replace(section, grids=tuple(_genes(report, kind) for kind in kinds_of(report)))


def _genes(report: RoundReport, kind: str) -> Grid:
    of_kind = report.ranking["kind"].eq(kind) & report.ranking["status"].eq("scored")
    n_scored = int(of_kind.sum())
    grid = top_grid(report, kind, SHOWN)
    if n_scored <= SHOWN:
        return grid
    action = ACTION.get(kind, kind)  # type: ignore[call-overload]
    title = (
        f"To {action} ({kind}): {count(n_scored, 'gene')} by {basis_of(report, kind).head}, the best first"
    )
    return replace(grid, title=title, every=partial(top_grid, report, kind, n_scored))
