"""What is said of a round as a whole: the checks of its control gate, what its states look like, what its targets can tell."""

from collections.abc import Iterable
from dataclasses import dataclass

LOW_AUROC = 0.7
"""A state head below this AUROC on held-out cells fails."""
FAILED = "CONTROL GATE FAILED"


@dataclass(frozen=True)
class Verdict:
    """One check of the gate."""

    check: str
    """state head, positive controls or negative controls, with the kind of edit."""
    passed: bool | None
    """`None` where it cannot be judged."""
    sentence: str
    """What was tested by which rule, with its n, in words."""


def failure(verdicts: Iterable[Verdict]) -> str:
    """Say in one unmissable sentence what failed; empty where nothing did."""
    failed = [verdict.sentence for verdict in verdicts if verdict.passed is False]
    if not failed:
        return ""
    return f"{FAILED}. Every number is given, but none should be acted on. {' '.join(failed)}"


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """The stimulus that the two states look like."""

    title: str
    """Its name in words."""
    raised_in: str
    """start or goal."""
    found: tuple[str, ...]
    """Signature genes among the strongest of the states."""
    n_measured: int
    """Signature genes that the cells hold."""
    pathway: tuple[str, ...]
    """Genes that carry it."""
    other: tuple[str, ...]
    """Genes of the pathway of another stimulus."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How much the held-out targets of one modality can tell."""

    modality: str
    n_genes: int
    """Held-out targets."""
    n_hits: int
    """Hits toward the goal among them."""
    sentence: str
    """What so many can and cannot show."""


@dataclass(frozen=True, kw_only=True)
class Textbook:
    """Genes that are known to act in the two states, before anything is computed."""

    title: str
    """Where they come from, in words: the stimulus that carries them, or that a user named them."""
    genes: tuple[str, ...]
    """Their symbols."""
    stimulus: str = ""
    """Name of the stimulus, in words; empty where there is none."""
    raised_in: str = ""
    """State in which the stimulus is raised, start or goal; empty where none was recognized."""
