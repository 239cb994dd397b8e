"""One command of perturbloop at a time, in a process of its own: the server neither loads a model nor waits for one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any

from perturbloop.errors import StoreError
from perturbloop.web.served import Served

PROGRAM = (sys.executable, "-m", "perturbloop")
"""What a command is typed after."""
MOST_RESULT, MOST_SAID = 64 << 20, 4096
"""Most bytes of a command's answer, and of its last words, that are kept."""
KEPT = 24
"""Answers that are kept, the oldest go first."""
PATIENCE = 3.0
"""Seconds that a command has to end when the server does."""
ONE_AT_A_TIME = (
    "One command works in a campaign at a time; this one is not done: {title}. Wait until it ends."
)
TRACED = ("Traceback", " ", "\t", "╭", "│", "╰")
"""Beginnings of lines that tell where in the program an error was, rather than which."""


@dataclass(eq=False)
class Job:
    """A command that was started, and what came of it."""

    number: int
    """1 = first since the server was started."""
    words: tuple[str, ...]
    """Name of the command and what is typed after the campaign."""
    title: str
    """What it does, in a few words."""
    shown_at: str
    """Address of the page that shows what came of it."""
    begun: float
    """When it was started, in seconds since 1970."""
    process: "subprocess.Popen[bytes]"
    about: Any = None
    """What the campaign held when it was started."""
    result: Any = None
    """What it answered; `None` until it ended, and where it was refused."""
    refusal: str = ""
    """Why it was refused; empty where it was not."""
    ended: float = 0.0
    """When it ended; 0 before."""

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return not self.ended

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        return (self.ended or time.time()) - self.begun


class Jobs:
    """The commands of a server."""

    def __init__(self, served: Served, program: Sequence[str] = PROGRAM) -> None:
        self.served, self.program = served, tuple(program)
        self._lock = threading.Lock()
        self._kept: deque[Job] = deque(maxlen=KEPT)

    @property
    def last(self) -> Job | None:
        """The last command that was started."""
        return self._kept[-1] if self._kept else None

    def start(
        self,
        words: Sequence[str],
        *,
        title: str,
        shown_at: str,
        about: Any = None,
        first: Callable[[], None] | None = None,
        at_end: Callable[[Job], None] | None = None,
    ) -> Job:
        """Start a command.

        Parameters
        ----------
        words
            Its name and what is typed after the campaign, `--json` left out.
        title
            What it does, in a few words.
        shown_at
            Address of the page that shows what came of it; `{number}` in it becomes its number.
        about
            What the campaign held when it was started, by which its answer is told to be of another time.
        first
            Called once no other command runs, before this one is started.
        at_end
            Called when it ended.

        Raises
        ------
        StoreError
            If another command of this server runs. One that works elsewhere is met by the lock of the campaign, which the command asks
            for: a note of what is being done may be left over from a process that was killed.
        """
        with self._lock:
            if self.last and self.last.runs:
                raise StoreError(ONE_AT_A_TIME.format(title=self.last.title))
            if first is not None:
                first()
            job, answer, said = self._started(tuple(words), title, shown_at, about)
            self._kept.append(job)
        threading.Thread(target=self._wait, args=(job, answer, said, at_end), daemon=True).start()
        return job

    def find(self, words: Sequence[str]) -> Job | None:
        """The last command of these words, if it is kept."""
        return next((job for job in reversed(self._all()) if job.words == tuple(words)), None)

    def numbered(self, number: int) -> Job | None:
        """The command of a number, if it is kept."""
        return next((job for job in self._all() if job.number == number), None)

    def _all(self) -> tuple[Job, ...]:
        """A copy: another request may start a command meanwhile."""
        with self._lock:
            return tuple(self._kept)

    def close(self) -> None:
        """End the command that runs: its process and those that it started."""
        job = self.last
        if job is None or not job.runs:
            return
        _signal(job.process, signal.SIGTERM)
        try:
            job.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            _signal(job.process, signal.SIGKILL)

    def _started(
        self, words: tuple[str, ...], title: str, shown_at: str, about: Any
    ) -> tuple[Job, IO[bytes], IO[bytes]]:
        # Files rather than pipes: where the server is killed, the command still has somewhere to speak, and ends by itself.
        answer, said = TemporaryFile(), TemporaryFile()  # noqa: SIM115 - closed where the command is waited for
        folder = str(self.served.folder.resolve())
        process = subprocess.Popen(
            [*self.program, words[0], folder, *words[1:], "--json"],
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=said,
            start_new_session=True,
        )
        number = self.last.number + 1 if self.last else 1
        where = shown_at.replace("{number}", str(number))
        return Job(number, words, title, where, time.time(), process, about), answer, said

    def _wait(
        self, job: Job, answer: IO[bytes], said: IO[bytes], at_end: Callable[[Job], None] | None
    ) -> None:
        try:
            code = job.process.wait()
            with answer, said:
                job.result, job.refusal = _outcome(code, answer, said)
            self.served.forget()
            if at_end is not None:
                at_end(job)
        finally:
            job.ended = time.time()  # whatever failed: nothing runs any more


def _outcome(code: int, answer: IO[bytes], said: IO[bytes]) -> tuple[Any, str]:
    """What a command answered, and why it was refused."""
    answer.seek(0)
    raw = answer.read(MOST_RESULT + 1)
    try:
        tree = json.loads(raw) if len(raw) <= MOST_RESULT else None
    except ValueError:
        tree = None
    if code == 0 and tree is not None:
        return tree, ""
    if isinstance(tree, dict) and isinstance(tree.get("error"), str):
        return None, tree["error"]
    why = f"it was stopped (signal {-code})" if code < 0 else f"it ended with code {code}"
    return None, f"The command gave no answer: {why}. {_last_words(said)}".strip()


def _last_words(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - MOST_SAID))
    lines = said.read(MOST_SAID).decode(errors="replace").strip().splitlines()
    return " / ".join([line for line in lines if line and not line.startswith(TRACED)][-3:])


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
