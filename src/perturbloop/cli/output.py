"""How commands speak: a progress bar on standard error, a table or JSON on standard output."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from perturbloop.errors import PerturbloopError

OnProgress = Callable[[str, int, int], None]


@contextmanager
def refusals() -> Iterator[None]:
    """Print what perturbloop refuses to do, and exit with 1."""
    try:
        yield
    except PerturbloopError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"Error: {error}", markup=False)
        for note in getattr(error, "__notes__", []):
            typer.echo(note, err=True)
        raise typer.Exit(1) from error


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Show a bar per piece of work, where somebody is looking."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield on_progress


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
            typer.echo(line)
