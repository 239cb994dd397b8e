"""How commands speak: progress on standard error, a table or JSON on standard output, and refusals in one sentence."""

import errno
import json
import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import typer
from typer.core import TyperGroup

from perturbloop.errors import PerturbloopError, printable, some
from perturbloop.progress import heard_by

UsageError: Any = typer.BadParameter.__bases__[0]
"""What Typer raises where a command was not typed as it takes it; it has no public name for it."""
STOPPED = "Stopped. Type the same command to go on."
TRAINING = frozenset({"pretrain", "train", "perturb", "evaluate", "play", "curves"})
"""Commands that train, and so share the work with the processes that a launcher started with them."""
TWO_MINUTES = 120.0
"""Seconds from which the time that is left is told in minutes."""
UNLESS = {"--model": "--preset"}
"""Options that must come unless another one does, which brings them."""
PAUSE = 2.0
"""Seconds between two lines of progress that say that a piece of work began or ended."""
LONG_PAUSE = 20.0
"""Seconds between two lines on the same piece of work."""

_ROOM = "Make room and run the same command again; nothing that was already computed is lost."
_MAY = "Ask for permission, or work in a copy; nothing is lost."
_REASONS = {
    errno.ENOSPC: ("the disk is full", _ROOM),
    errno.EDQUOT: ("this user may store no more", _ROOM),
    errno.EACCES: ("this user has no permission", _MAY),
    errno.EPERM: ("this user has no permission", _MAY),
    errno.EROFS: ("the disk is read-only", _MAY),
    errno.EMFILE: (
        "too many files are open",
        "Raise the limit (`ulimit -n`) and run the same command again; nothing is lost.",
    ),
    errno.ENFILE: (
        "too many files are open",
        "Close other programs and run the same command again; nothing is lost.",
    ),
}
"""What a computer refuses for reasons of its own, and what to do."""
_CODE = re.compile(r"(?:errno[ =:]*|os error )(\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    """What a command says."""

    tree: Mapping[str, Any]
    """For machines."""
    lines: Sequence[str]
    """For people."""


class Commands(TyperGroup):
    """All commands. What was typed wrongly is said in JSON too where JSON was asked for; Ctrl-C says how to go on."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep what was typed."""
        ctx.obj = tuple(args)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List the commands under their headings, a line each; what a command takes is told by its own `--help`."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        headings: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            headings.setdefault(getattr(command, "rich_help_panel", ""), []).append(
                (name, (command.help or "").partition(";")[0].rstrip("."))
            )
        widest = max(map(len, self.commands))
        for heading, rows in headings.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), text) for name, text in rows])
        formatter.write_paragraph()
        formatter.write_text(
            f"`{ctx.command_path} COMMAND --help` has every option, `--version` the version."
        )

    def invoke(self, ctx: Any) -> Any:
        """Run a command, or help the process that does; what libraries warn of goes to the log `py.warnings`, not to the terminal."""
        typed = next((word for word in ctx.obj if word in self.commands), "")
        if typed in TRAINING and os.environ.get("WORLD_SIZE", "1") not in ("", "1"):  # by `torchrun`
            from perturbloop.train.together import join

            with refusals(as_json="--json" in ctx.obj):
                crew = join()
            if not crew.leads:
                return crew.serve()
            ctx.call_on_close(crew.dismiss)
        logging.captureWarnings(True)
        try:
            return super().invoke(ctx)
        except UsageError as error:
            error = _all_missing(error, ctx.obj)
            if "--json" not in ctx.obj:
                raise error from None
            _print_refusal(error.format_message(), "UsageError")
            raise typer.Exit(2) from error
        except KeyboardInterrupt as stop:
            typer.echo(STOPPED, err=True)
            raise typer.Exit(130) from stop
        finally:
            logging.captureWarnings(False)


def _all_missing(error: Any, typed: Sequence[str]) -> Any:
    """Name all options that must come and did not, where Typer names the first."""
    if type(error).__name__ != "MissingParameter" or error.ctx is None:
        return error
    came = {word.partition("=")[0] for word in typed}
    needed = [
        one.opts[0] for one in error.ctx.command.params if one.required and one.opts[0].startswith("--")
    ]
    known = {flag for one in error.ctx.command.params for flag in one.opts}
    needed += [option for option, other in UNLESS.items() if {option, other} <= known and other not in came]
    missing = [option for option in needed if option not in came]
    if len(missing) < 2:
        return error
    msg = f"`{error.ctx.command.name}` needs {some(needed, limit=9)}; {some(missing, limit=9)} did not come. Add them."
    return UsageError(msg, ctx=error.ctx)


@contextmanager
def refusals(*, as_json: bool = False) -> Iterator[None]:
    """Say what perturbloop or the computer refuses to do, for people or for machines, and exit with 1."""
    try:
        yield
    except PerturbloopError as error:
        _refuse(error, "\n".join([str(error), *getattr(error, "__notes__", [])]), as_json=as_json)
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        _refuse(error, reason, as_json=as_json)


def _refuse(error: Exception, text: str, *, as_json: bool) -> NoReturn:
    if as_json:
        _print_refusal(text, type(error).__name__)
    else:
        typer.echo(printable(f"Error: {text}"), err=True)
    raise typer.Exit(1) from error


def _print_refusal(text: str, kind: str) -> None:
    typer.echo(json.dumps({"error": text, "kind": kind}, indent=2))


def _reason(error: BaseException | None) -> str | None:
    """Say in one sentence why the computer refused, where that is what happened; libraries write its number into their messages."""
    first = None
    if isinstance(error, OSError) and error.filename and error.strerror:
        where = f"`{error.filename}` must be read or written; {error.strerror}"
        first = f"{where}. Correct the path, or look at the file, and run the same command again."
    while error is not None:
        found = _CODE.search(str(error))
        code = getattr(error, "errno", None) or (int(found[1]) if found else None)
        if code in _REASONS:
            what, todo = _REASONS[code]
            path = getattr(error, "filename", None)
            where = f"`{path}` must be read or written" if path else "A file must be read or written"
            return f"{where}; {what}. {todo}"
        error = error.__cause__ or error.__context__
    return first


@contextmanager
def progress() -> Iterator[None]:
    """Show what is being done: a bar for each piece of work where somebody is looking, else plain lines."""
    if not sys.stderr.isatty():
        with heard_by(Lines()):
            yield
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(work: str, done: int, total: int) -> None:
            if work not in tasks:
                tasks[work] = bars.add_task(printable(work), total=total)
            bars.update(tasks[work], completed=done, total=total)

        with heard_by(on_progress):
            yield


class Lines:
    """Plain lines of progress on standard error: where a piece of work begins and ends, and now and then between."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.started: dict[str, float] = {}
        self.last = -math.inf

    def __call__(self, work: str, done: int, total: int) -> None:
        """Print a line, unless the last one is too young.

        Parameters
        ----------
        work
            What is being done.
        done, total
            How much of it, and of how much.
        """
        now = self.clock()
        is_new, is_done = work not in self.started, done >= total
        begun = self.started.setdefault(work, now)
        if is_done:
            del self.started[work]  # the next round does work of the same name
        if now - self.last < (PAUSE if is_new or is_done else LONG_PAUSE):
            return
        self.last = now
        much = f"done in {now - begun:,.0f} s" if is_done else f"{done:,} of {total:,}"
        typer.echo(printable(f"{work}: {much}{_left(now - begun, done, total)}"), err=True)


def _left(seconds: float, done: int, total: int) -> str:
    """How long the rest takes at the pace so far; empty at the beginning and at the end.

    >>> _left(40.0, 20, 60), _left(1200.0, 20, 60), _left(0.0, 0, 60)
    (', about 80 s left', ', about 40 min left', '')
    """
    if not 0 < done < total or not seconds:
        return ""
    left = seconds / done * (total - done)
    return f", about {left:,.0f} s left" if left < TWO_MINUTES else f", about {left / 60:,.0f} min left"


def say(answer: Answer, *, as_json: bool) -> None:
    """Print one JSON object for machines, or lines for people."""
    if as_json:
        typer.echo(json.dumps(_plain(answer.tree), indent=2))
        return
    for line in answer.lines:
        typer.echo(printable(line))


def _plain(value: Any) -> Any:
    """Return a value as JSON can say it; a missing number is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def width() -> int:
    """Letters of a line of the terminal, at most 100; 80 where there is none."""
    from rich.console import Console

    return min(Console().width, 100)
