"""Why does the published recipe gain nothing here, where an earlier study found +0.08? One factor changed at a time.

    python benchmarks/closed_loop/recipe.py OUT --networks 0..7                   # full fine-tuning, open and closed loop, k = 20
    python benchmarks/closed_loop/recipe.py OUT --networks 0..3 --loops shuffled  # a part of it
    python benchmarks/closed_loop/recipe.py OUT --networks ''                     # the table of what was played

Each cell (network × setting × loop) is a file; a killed run goes on. Guesses were written before anything was run.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

sys.path.insert(0, str(Path(__file__).parent))

from encoders import RATE, Arm, scores, trained
from summary import judge, markdown
from world import Difficulty, Study

LOOPS = ("open", "closed", "shuffled", "frozen")
READINGS: Mapping[str, Mapping[str, Any]] = {
    "cosine to the goal instead of the logit": {"number": "shift_to_goal"},
    "genes raised only where they are expressed": {"not_expressed": "skip"},
    "30 cells a gene instead of 10": {"cells_per_gene": 30},
}
"""Other ways to read the same models: options of `scores`."""


@dataclass(frozen=True)
class Setting:
    """What differs from the first setting."""

    name: str
    guess: str
    """Closed minus open that was expected."""
    study: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Study`."""
    both: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Arm`, all loops."""
    open: Mapping[str, Any] = field(default_factory=dict)
    """… the open loop alone."""
    closed: Mapping[str, Any] = field(default_factory=dict)
    """… the loops with perturbed cells alone."""
    readings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further readings of the same models."""

    def changes(self, loop: str) -> dict[str, Any]:
        """Fields of `Arm` in this loop."""
        if loop == "frozen":
            return {}
        return {**self.both, **(self.open if loop == "open" else self.closed)}

    def key(self, loop: str) -> str:
        """Name of what is trained; two settings that train the same share it."""
        changed = {**self.study, **self.changes(loop), **({"read": "again"} if self.readings else {})}
        return " ".join([loop, *(f"{name}={value}" for name, value in changed.items())])


EARLIER = {"donors": 3, "n_cells": 6400}
SETTINGS = (
    Setting("as measured", "-0.04: what networks 30 to 37 gave"),
    Setting(
        "steps matched: open loop of 6 epochs (168 steps)", "0.00: it ruins itself as far", open={"epochs": 6}
    ),
    Setting("steps matched: closed loop of 84 steps", "0.00", closed={"accumulate": 2}),
    Setting(
        "labels: each cell's true state, hard",
        "0.00: they no longer come from consequences",
        closed={"labels": "true"},
    ),
    Setting(
        "encoder of the earlier study", "+0.03: the open loop falls further", study={"encoder": "pre-norm"}
    ),
    Setting("2,400 cells of 3 donors instead of 1,800 of 6", "-0.02", study=EARLIER),
    Setting(
        "twice the rate (mean of a constant 8e-4)", "0.00: both are ruined", both={"learning_rate": 2 * RATE}
    ),
    Setting(
        "all of these at once",
        "+0.05: if the earlier gain is real, it is here",
        study={"encoder": "pre-norm", **EARLIER},
        both={"learning_rate": 2 * RATE},
        closed={"labels": "true"},
    ),
    Setting("the first again, other training seed", "-0.04, each network within 0.05", both={"seed": 1}),
    Setting("the first, read otherwise", "-0.04: as the logit", readings=READINGS),
)


@cache
def study_of(out: Path, seed: int, encoder: str = "own", donors: int = 6, n_cells: int = 2400) -> Study:
    """A network; all its studies share their pretrained encoders."""
    folder = out / f"network-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    difficulty = Difficulty(n_cells=n_cells)
    return Study(seed, False, difficulty, folder, ("hit-enriched",), donors, encoder)  # type: ignore[arg-type]


def played(out: Path, seed: int, setting: Setting, loop: str) -> pd.DataFrame:
    """Train, edit and judge; what is on the disk is read."""
    path = out / f"network-{seed}" / f"{setting.key(loop)}.json"
    if not path.is_file():
        rows = _play(study_of(out, seed, **setting.study), setting, loop)
        path.with_suffix(".partial").write_text(json.dumps(rows, indent=1))
        path.with_suffix(".partial").rename(path)
    return pd.DataFrame(json.loads(path.read_text()))


def _play(study: Study, setting: Setting, loop: str) -> list[dict[str, Any]]:
    k = 20 if loop in ("closed", "shuffled") else 0
    level = "frozen" if loop == "frozen" else "full"
    fields = {"learning_rate": RATE, **setting.changes(loop)}
    model, readout = trained(study, Arm(loop, level, k, shuffled=loop == "shuffled", **fields))
    parts = [
        scores(study, model, readout, **options).assign(method=reading)
        for reading, options in {"": {}, **setting.readings}.items()
    ]
    found = judge(study, pd.concat(parts).assign(panel="", k=0))
    columns = ["method", "kind", "auroc", "average_precision", "precision_at_20", "auroc_away"]
    rows: list[dict[str, Any]] = found[columns].to_dict("records")
    return rows


def table(out: Path, seeds: list[int]) -> pd.DataFrame:
    """AUROC of each setting, and the paired differences of the networks that were played in both loops."""
    lines = []
    for setting in SETTINGS:
        parts = {loop: _kept(out, seeds, setting, loop) for loop in LOOPS}
        for reading in ("", *setting.readings):
            by_loop = {loop: part.get(reading, pd.Series(dtype=float)) for loop, part in parts.items()}
            lines.append(
                {
                    "setting": f"… {reading}" if reading else setting.name,
                    **{loop: f"{by_loop[loop].mean():.3f}" if len(by_loop[loop]) else "—" for loop in LOOPS},
                    "closed − open": paired(by_loop["closed"] - by_loop["open"]),
                    "closed − shuffled": paired(by_loop["closed"] - by_loop["shuffled"]),
                    "guess": "" if reading else setting.guess,
                }
            )
    return pd.DataFrame(lines)


def _kept(out: Path, seeds: list[int], setting: Setting, loop: str) -> dict[str, pd.Series]:
    """AUROC by network, mean of both kinds, of each reading that was played."""
    found = {}
    for seed in seeds:
        if (out / f"network-{seed}" / f"{setting.key(loop)}.json").is_file():
            found[seed] = played(out, seed, setting, loop).groupby("method")["auroc"].mean()
    whole = pd.DataFrame(found).T
    return {reading: whole[reading].dropna() for reading in whole}


def paired(gain: pd.Series) -> str:
    """Mean, standard error and number of networks."""
    known = gain.dropna()
    if len(known) < 2:
        return "—"
    return f"{known.mean():+.3f} (SE {known.std(ddof=1) / np.sqrt(len(known)):.3f}, n = {len(known)})"


def seeds_of(text: str) -> Iterator[int]:
    """Seeds of `0..3` or `0,5`; none of an empty text."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("..")
        yield from range(int(first), int(last or first) + 1)


def main(
    out: Annotated[Path, typer.Argument(help="Folder of encoders and results.")],
    networks: Annotated[str, typer.Option(help="Seeds: 0..7, or 0,5.")] = "0..7",
    settings: Annotated[str, typer.Option(help="Places of settings, from 0: 0..2; all by default.")] = "0..9",
    loops: Annotated[str, typer.Option(help="Of open, closed, shuffled, frozen.")] = ",".join(LOOPS),
) -> None:
    """Play the settings, one network after the other, and print the table."""
    for seed in seeds_of(networks):
        for place in seeds_of(settings):
            for loop in loops.split(","):
                rows = played(out, seed, SETTINGS[place], loop)
                auroc = rows[rows["method"] == ""]["auroc"].mean()
                typer.echo(f"network {seed}, {SETTINGS[place].name}, {loop}: {auroc:.3f}", err=True)
    seeds = sorted(int(folder.name.removeprefix("network-")) for folder in out.glob("network-*"))
    typer.echo(markdown(table(out, seeds)))


if __name__ == "__main__":
    typer.run(main)
