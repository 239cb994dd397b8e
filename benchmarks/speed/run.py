"""Is one checkout faster than another? Both do the same work by turns, so that whatever else the machine does slows both.

    python benchmarks/speed/run.py OLD NEW                      # report and demo, three times each
    python benchmarks/speed/run.py OLD NEW --part test --times 1

Both need their environment (`make setup`), whose time is not counted. What an earlier run kept (types, docs, lint) is
deleted before each, as in a fresh clone. Prints, for each part, seconds of wall and of CPU, and the ratio new : old.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Literal, get_args

import typer

Part = Literal["lint", "types", "docs", "test", "demo", "report"]
KEPT = (".mypy_cache", ".ruff_cache", ".import_linter_cache", ".pytest_cache", "docs/_build")


@dataclass(frozen=True)
class Run:
    """One command: seconds of wall, seconds of CPU with all its processes, and lines it printed."""

    wall: float
    cpu: float
    lines: int


def measured(command: Sequence[str], folder: Path) -> Run:
    """Run a command in a checkout and measure it; a command that fails ends the comparison with what it printed."""
    before, start = os.times(), time.monotonic()
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wall, after = time.monotonic() - start, os.times()
    if done.returncode:
        msg = f"`{' '.join(command)}` in {folder} ended with {done.returncode}:\n{done.stdout[-3000:]}"
        raise SystemExit(msg)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(wall, cpu, done.stdout.count("\n"))


def run(part: Part, checkout: Path, temporary: Path, number: int) -> Run:
    """Do a part of the work of a checkout as in a fresh clone."""
    for name in KEPT:
        shutil.rmtree(checkout / name, ignore_errors=True)
    perturbloop = str(checkout / ".venv" / "bin" / "perturbloop")
    own = temporary / checkout.as_posix().replace("/", "-")
    demo = own / str(number)
    if part == "demo":
        return measured([perturbloop, "demo", str(demo)], checkout)
    if part == "report":
        played = own / "played"
        if not played.is_dir():
            measured([perturbloop, "demo", str(played)], checkout)
        return measured([perturbloop, "report", str(played / "campaign")], checkout)
    return measured(["make", "--no-print-directory", part], checkout)


def table(runs: dict[Part, dict[Path, list[Run]]]) -> str:
    """Best and middle of each part and checkout; the ratio is that of the best, which other work disturbs least."""
    lines = ["part    checkout              wall best  middle    CPU best  middle   lines"]
    for part, by_checkout in runs.items():
        for checkout, own in by_checkout.items():
            walls, cpus = [one.wall for one in own], [one.cpu for one in own]
            lines.append(
                f"{part:7} {checkout.name:20} {min(walls):10.1f} {median(walls):7.1f} {min(cpus):11.1f} "
                f"{median(cpus):7.1f} {own[-1].lines:7}"
            )
        old, new = by_checkout.values()
        wall = min(one.wall for one in new) / min(one.wall for one in old)
        cpu = min(one.cpu for one in new) / min(one.cpu for one in old)
        lines.append(f"{part:7} new : old            {wall:10.2f} × {'':7} {cpu:9.2f} ×")
    return "\n".join(lines)


def main(
    old: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Checkout to compare with.")],
    new: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Checkout in question.")],
    part: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(get_args(Part))}.")] = None,
    times: Annotated[int, typer.Option(min=1, help="Runs of each part and checkout.")] = 3,
) -> None:
    """Run every part of both checkouts by turns, and print what it took."""
    if unknown := set(part or ()) - set(get_args(Part)):
        msg = f"Parts are {', '.join(get_args(Part))}; these are not: {', '.join(sorted(unknown))}."
        raise typer.BadParameter(msg)
    parts: list[Part] = [name for name in get_args(Part) if name in (part or ("demo", "report"))]
    both = [old.resolve(), new.resolve()]
    runs: dict[Part, dict[Path, list[Run]]] = {name: {place: [] for place in both} for name in parts}
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(times):
            for name in parts:
                for checkout in both[:: 1 if number % 2 == 0 else -1]:
                    runs[name][checkout].append(run(name, checkout, Path(temporary), number))
    typer.echo(table(runs))


if __name__ == "__main__":
    typer.run(main)
