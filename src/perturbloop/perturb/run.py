"""All edits of one state model: scored by the engine that was asked for, whole or in parts of several processes."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from perturbloop import progress
from perturbloop.data.tokens import Tokens
from perturbloop.perturb.collect import run_plan, score_exactly, shards_of
from perturbloop.perturb.engine import Engine
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.fast import fast_shifts, screen_edits, screen_shards
from perturbloop.perturb.plan import Plan
from perturbloop.perturb.probe import noise_line
from perturbloop.perturb.shards import Part, score_shards
from perturbloop.schema import PerturbConfig


@dataclass(frozen=True)
class Perturbed:
    """What the edits of a state model did."""

    shifts: pd.DataFrame
    """Table `SHIFTS`."""
    estimates: pd.DataFrame | None
    """Table `ESTIMATES` of the fast engine."""
    lines: tuple[str, ...]
    """What was spent, and the noise of the arithmetic."""
    place: Path
    """Folder of the shards."""


@dataclass(frozen=True)
class Run:
    """What is to be scored; shards that exist are read, not made again."""

    engine: Engine
    tokens: Tokens
    plan: Plan
    place: Path
    """Folder of its shards and of nothing else."""
    config: PerturbConfig
    title: str
    """Name of the work, where progress is told."""
    fast: bool = False
    """Whether the fast engine screens the edits and verifies some."""

    def scored(self) -> Perturbed:
        """Score all edits."""
        noise = noise_line(self.place, self.engine, self.tokens, self.plan)
        if self.fast and isinstance(self.engine, ExactEngine):
            found = fast_shifts(
                self.engine,
                self.tokens,
                self.plan,
                self.place,
                config=self.config,
                on_edits=lambda part, done, total: progress.tell(f"{self.title}: {part}", done, total),
            )
            return Perturbed(found.shifts, found.estimates, (found.line(), noise), self.place)
        told = partial(progress.tell, self.title)
        table = run_plan(self.engine, self.tokens, self.plan, self.place, on_edits=told)
        return Perturbed(table, None, (f"exact engine: {len(table):,} passes", noise), self.place)

    def score_part(self, part: Part, first: int = 0) -> tuple[int, int, int]:
        """Write the shards of a part; of the fast engine those of its screen, since what is verified follows from all of it.

        Parameters
        ----------
        part
            Which shards.
        first
            Shards of the runs before this one: all are dealt out together, so that many small runs make equal parts.

        Returns
        -------
        Shards of this run, those that are the part's, and those of them that were missing.
        """
        fast = self.fast and isinstance(self.engine, ExactEngine)
        shards = screen_shards(self.plan) if fast else shards_of(self.plan)
        own = {number: edits for number, edits in shards.items() if part.has(first + number)}
        total, done = sum(map(len, own.values())), 0

        def step(rows: int) -> None:
            nonlocal done
            done += rows
            progress.tell(self.title, done, total)

        folder = self.place / "screen" if fast else self.place
        score = screen_edits if fast else score_exactly
        made = score_shards(score, self.engine, self.tokens, self.plan, folder, own, on_rows=step)
        return len(shards), len(own), made
