"""What the checks of the control gate say."""

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
