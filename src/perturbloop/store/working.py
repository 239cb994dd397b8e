"""What the process that works in a campaign folder is doing, for others to read."""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from perturbloop.progress import also_heard_by

FILE = "working.json"
PAUSE = 1.0
"""Seconds between two notes on the same piece of work."""
QUIET = 300.0
"""Seconds without news after which the note of another machine, whose processes cannot be asked for, is taken to be left over. Notes only
show what is being done, and a long step may have none for minutes; what keeps writers apart is the lock."""


@dataclass(frozen=True)
class Doing:
    """How far a piece of work is."""

    work: str
    """What is being done, in a few words."""
    done: int
    total: int
    """How much of it, and of how much."""
    begun: float
    """When it began, in seconds since 1970."""
    noted: float
    """When this was written."""
    pid: int
    """The process."""
    host: str
    """Name of its machine."""

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at the pace so far; `None` at the beginning and at the end.

        >>> Doing("perturb", 20, 60, 100.0, 140.0, 1, "").seconds_left
        80.0
        """
        spent = self.noted - self.begun
        return (
            spent / self.done * (self.total - self.done) if 0 < self.done < self.total and spent > 0 else None
        )


@contextmanager
def noted(folder: Path) -> Iterator[None]:
    """Note what the block tells of its progress in `working.json` of a campaign folder, which is gone at its end."""
    path = folder / FILE
    begun: dict[str, float] = {}
    last = ("", 0.0)

    def note(work: str, done: int, total: int) -> None:
        nonlocal last
        now = time.time()
        started = begun.setdefault(work, now)
        if done >= total:
            begun.pop(work)
        if work == last[0] and now - last[1] < PAUSE and done < total:
            return
        last = (work, now)
        _write(path, Doing(work, done, total, started, now, os.getpid(), platform.node()))

    try:
        with also_heard_by(note):
            yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def doing(folder: Path) -> Doing | None:
    """What a process does to a campaign now; `None` where none works in it, it was killed, or another machine gave no news for long."""
    try:
        found = Doing(**json.loads((folder / FILE).read_text(encoding="utf-8")))
        quiet = time.time() - found.noted > QUIET
    except (OSError, ValueError, TypeError):
        return None
    if found.host != platform.node():
        return None if quiet else found
    return found if _lives(found.pid) else None


def _write(path: Path, note: Doing) -> None:
    """A note that cannot be written is no reason to stop the work."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with suppress(OSError):
        beside.write_text(json.dumps(asdict(note)), encoding="utf-8")
        beside.replace(path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
