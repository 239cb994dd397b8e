"""The shards of a plan: a file each, whole or absent, so that a killed run goes on and several processes share the work."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from perturbloop.data.tokens import Tokens
from perturbloop.errors import InputError
from perturbloop.perturb.engine import Engine, OnRows
from perturbloop.perturb.plan import Plan
from perturbloop.perturb.workers import sharing
from perturbloop.store.files import write_table

Score = Callable[..., pd.DataFrame]
"""`score(engine, tokens, plan, edits, on_rows=None)`: what the edits of a shard do, one row each in their order."""


@dataclass(frozen=True)
class Part:
    """One of several runs that share the shards of a campaign and know nothing of each other."""

    number: int
    """From 1."""
    of: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read a part as it is typed.

        Raises
        ------
        InputError
            If it is none.

        Examples
        --------
        >>> Part.parse("2/8")
        Part(number=2, of=8)
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        part = cls(int(found[1]), int(found[2])) if found else None
        if part is None or not 1 <= part.number <= part.of:
            msg = (
                f"A part is I/N, I from 1 to N: `--part 2/8` is the second of eight; {text!r} came. Give one of 1/N to N/N to "
                "each process."
            )
            raise InputError(msg)
        return part

    def has(self, shard: int) -> bool:
        """Whether a shard is its own, by the shard's number."""
        return shard % self.of == self.number - 1

    def line(self, n_all: int, n_own: int, n_made: int) -> str:
        """Say what was done: shards in all, those of this part, and those of them that were missing."""
        there = n_own - n_made
        return f"Part {self.number} of {self.of}: {n_own:,} of {n_all:,} shards; {n_made:,} made now, {there:,} were there."


def shard_path(folder: Path, number: int) -> Path:
    """Return where a shard lies."""
    return folder / f"part-{number:05d}.parquet"


def score_shards(
    score: Score,
    engine: Engine,
    tokens: Tokens,
    plan: Plan,
    folder: Path,
    shards: Mapping[int, pd.DataFrame],
    *,
    on_rows: OnRows,
) -> int:
    """Score the shards that are missing, and write them; by several processes inside `shared_by`.

    Parameters
    ----------
    score
        What is made of the edits of a shard.
    engine, tokens, plan
        What is edited, and how a shift is read.
    folder
        Where the shards lie; where the work is shared through a store, they are fetched from there and sent there.
    shards
        Edits of each shard, by its number.
    on_rows
        Called with edits done, those of shards that were there first.

    Returns
    -------
    How many shards were missing.
    """
    store, label = sharing().store, plan.digest if sharing().store else ""
    if store is not None:
        store.meet([shard_path(folder, number) for number in shards], label)
    missing = {number: edits for number, edits in shards.items() if not shard_path(folder, number).is_file()}
    on_rows(sum(map(len, shards.values())) - sum(map(len, missing.values())))

    def keep(number: int, frame: pd.DataFrame) -> None:
        write_table(shard_path(folder, number), frame)
        if store is not None:
            store.send(shard_path(folder, number), label)

    if sharing().alone:
        for number, edits in missing.items():
            keep(number, score(engine, tokens, plan, edits, on_rows=on_rows))
    elif missing:
        from perturbloop.perturb.on_ray import score_on_ray  # ray is an extra

        for number, frame in score_on_ray(score, engine, tokens, plan, missing, sharing=sharing()):
            keep(number, frame)
            on_rows(len(frame))
    return len(missing)
