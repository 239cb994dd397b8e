"""How commands speak: a progress bar on standard error, a table or JSON on standard output."""

import errno
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from perturbloop.errors import PerturbloopError, printable
from perturbloop.progress import heard_by

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


@contextmanager
def refusals(*, as_json: bool = False) -> Iterator[None]:
    """Say what perturbloop or the computer refuses to do, for people or for machines, and exit with 1."""
    try:
        yield
    except PerturbloopError as error:
        _refuse(error, [str(error), *getattr(error, "__notes__", [])], as_json=as_json)
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        _refuse(error, [reason], as_json=as_json)


def _refuse(error: Exception, lines: list[str], *, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"error": "\n".join(lines), "kind": type(error).__name__}, indent=2))
    else:
        for line in (f"Error: {lines[0]}", *lines[1:]):
            typer.echo(printable(line), err=True)
    raise typer.Exit(1) from error


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
    """Show a bar per piece of work, where somebody is looking."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        with heard_by(on_progress):
            yield


def say(tree: dict[str, Any], lines: list[str] | tuple[str, ...], *, as_json: bool) -> None:
    """Print one JSON object for machines, or lines for people."""
    if as_json:
        typer.echo(
            json.dumps(
                tree, indent=2, default=lambda value: value.item() if hasattr(value, "item") else str(value)
            )
        )
    else:
        for line in lines:
            typer.echo(printable(line))
