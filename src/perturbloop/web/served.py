"""The campaign as the server reads it: the last finished round, once, and the ledger, at most once a second."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from perturbloop.loop.folder import open_campaign
from perturbloop.loop.last import recorded_since
from perturbloop.report import RoundReport, compose
from perturbloop.report.pages import Page, pages
from perturbloop.schema import CampaignConfig
from perturbloop.store import Round
from perturbloop.store.working import Doing, doing
from perturbloop.web.memory import give_back

FRESH = 1.0
"""Seconds for which what was read of the ledger is taken to hold."""
MOST_PAGES = 300
"""Pages that are kept: of some 20 to 80 kB each."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Ledger:
    """What the ledger says now."""

    config: CampaignConfig
    rounds: tuple[Round, ...]
    """All rounds, finished or not."""
    trials: pd.DataFrame
    """TRIALS rows."""

    @cached_property
    def stamp(self) -> str:
        """Changes with whatever it says."""
        held = (self.config, self.rounds, self.trials.to_csv())
        return hashlib.sha256(repr(held).encode()).hexdigest()

    @property
    def finished(self) -> tuple[int, ...]:
        """Numbers of the finished rounds."""
        return tuple(entry.number for entry in self.rounds if entry.finished is not None)


@dataclass(frozen=True, eq=False)
class Shown:
    """A finished round, read once; whatever is made of it is kept with it."""

    folder: Path
    report: RoundReport
    kept: dict[Any, Any] = field(default_factory=dict)
    making: Any = field(default_factory=threading.RLock)
    """Held while something is made."""
    texts: OrderedDict[Any, str] = field(default_factory=OrderedDict)
    """Pages that were made, the one that was asked for last at the end."""
    keeping: Any = field(default_factory=threading.Lock)
    """Held while `texts` is looked at."""

    def page(self, key: Any) -> str | None:
        """The page of this key, if it is kept.

        Parameters
        ----------
        key
            Address and all that the page depends on.
        """
        with self.keeping:
            text = self.texts.pop(key, None)
            if text is not None:
                self.texts[key] = text
        return text

    def keep(self, key: Any, text: str) -> None:
        """Keep a page, and forget the one that nobody asked for the longest time.

        Parameters
        ----------
        key, text
            As of `page`, and the page.
        """
        with self.keeping:
            self.texts[key] = text
            while len(self.texts) > MOST_PAGES:
                self.texts.popitem(last=False)

    @property
    def pages(self) -> dict[str, Page]:
        """Its pages by key."""
        found: dict[str, Page] = self.once("pages", lambda: {page.key: page for page in pages(self.report)})
        return found

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What was made under this key, or what is made now; who asks meanwhile waits.

        Parameters
        ----------
        key
            Name of it.
        make
            Makes it.
        """
        if key not in self.kept:
            with self.making:
                if key not in self.kept:
                    self.kept[key] = make()
            give_back()
        found: T = self.kept[key]
        return found


class Served:
    """A campaign folder that is served."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock, self._asking, self._reading = threading.Lock(), threading.Lock(), threading.Lock()
        self._writes = 0
        self._ledger: tuple[float, Ledger] | None = None
        self._shown: Shown | None = None
        self._stamp: Any = None

    @property
    def name(self) -> str:
        """Name of the campaign."""
        return self.folder.resolve().name

    def ledger(self) -> Ledger:
        """What the ledger says."""
        held, _ = self._held()
        if held is not None and time.monotonic() - held[0] < FRESH:
            return held[1]
        if (
            not self._asking.acquire(blocking=held is None) and held is not None
        ):  # somebody asks: what was known holds
            return held[1]
        try:
            return self._asked()
        finally:
            self._asking.release()

    def _asked(self) -> Ledger:
        """Ask the ledger, unless somebody did while this was waited for; what was asked before a write is not kept."""
        held, writes = self._held()
        if held is not None and time.monotonic() - held[0] < FRESH:
            return held[1]
        now = time.monotonic()
        with open_campaign(self.folder) as campaign:
            store = campaign.store
            made = Ledger(campaign.config, tuple(store.rounds()), store.trials())
        with self._lock:
            if writes == self._writes:
                self._ledger = now, made
        return made

    def _held(self) -> tuple[tuple[float, Ledger] | None, int]:
        with self._lock:
            return self._ledger, self._writes

    def forget(self) -> None:
        """Read the ledger anew when it is next asked for: something was written."""
        with self._lock:
            self._ledger = None
            self._writes += 1

    def shown(self) -> Shown | None:
        """The last finished round; `None` before there is one."""
        finished = self.ledger().finished
        if not finished:
            return None
        folder = self.folder / "rounds" / f"{finished[-1]:03d}"
        stamp = (folder, *(_changed(folder / name) for name in ("evaluate.json", "propose.json")))
        if self._shown is not None and self._stamp == stamp:
            return self._shown
        if not self._reading.acquire(
            blocking=self._shown is None
        ):  # somebody reads the new round: the last one does meanwhile
            return self._shown
        try:
            if self._shown is None or self._stamp != stamp:
                self._shown, self._stamp = Shown(folder, compose(folder)), stamp
                give_back()
            return self._shown
        finally:
            self._reading.release()

    def recorded_since(self) -> tuple[str, ...]:
        """Names of what was recorded since the last finished round; empty before the first."""
        return recorded_since(self.folder) if self.ledger().finished else ()

    def doing(self) -> Doing | None:
        """What a process does to the campaign now; `None` where none works in it."""
        return doing(self.folder)


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
