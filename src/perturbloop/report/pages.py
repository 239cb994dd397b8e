"""The report as pages, one idea each: the browser shows one at a time, the frozen report all in one file."""

from dataclasses import dataclass

from perturbloop.report.content import RoundReport
from perturbloop.report.layout import Section
from perturbloop.report.sections import sections


@dataclass(frozen=True)
class Page:
    """A page: what everybody reads, and what is one step away."""

    key: str
    """Its address."""
    title: str
    front: tuple[Section, ...]
    details: tuple[Section, ...]


_FRONT = {
    "overview": ("Overview", ("answer",)),
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
    every = sections(report)
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
