"""Where a campaign stands, in words."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, repr=False)
class Status:
    """Where a campaign stands."""

    folder: str
    question: str
    """From which state to which."""
    rounds: tuple[int, ...]
    """Numbers of the finished rounds."""
    recorded: tuple[str, ...]
    """Recorded files by the name that `unrecord` takes, each with what it is."""
    stale: tuple[str, ...]
    """Steps that the next `play` does; empty where nothing is new."""
    problem: str
    """Why that cannot be told, for instance since the cells were moved; empty where it can."""
    awaited: int
    """Genes of batches that were taken, whose outcome is not known."""
    gate: str
    """What failed at the control gate of the last round; empty where nothing did."""

    @property
    def next(self) -> str:
        """Command to type."""
        if self.problem or self.stale:
            return f"perturbloop play {self.folder}"
        verb = "propose" if self.recorded and not self.awaited else "record"
        return f"perturbloop {verb} {self.folder}"

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self) | {"next": self.next}

    def __repr__(self) -> str:
        """The same in words."""
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Say it in words."""
        last = f"; the last is round {self.rounds[-1]}" if self.rounds else ""
        said = [
            f"{self.question}.",
            f"{len(self.rounds)} round{'' if len(self.rounds) == 1 else 's'} finished{last}.",
            *(f"Recorded: {entry}." for entry in self.recorded),
        ]
        if not self.recorded:
            said.append("Nothing is recorded yet.")
        if self.awaited:
            said.append(
                f"{self.awaited:,} genes of a batch await their outcome: perturbloop trials {self.folder}"
            )
        if self.gate:
            said.append(self.gate)
        if self.problem:
            said.append(f"What is stale cannot be told: {self.problem}")
        else:
            said.append(f"Stale: {', '.join(self.stale)}." if self.stale else "Nothing is stale.")
        return [*said, f"Next: {self.next}"]
