"""What the commands do on a campaign folder, and `play`: one round of it."""

import time
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from perturbloop import __version__
from perturbloop.errors import InputError, StoreError, closest
from perturbloop.loop import outcomes
from perturbloop.loop.annotations import FILES, annotation_digests
from perturbloop.loop.arms import Progress, cost_of_arm
from perturbloop.loop.folder import (
    PLAY_AGAIN,
    Campaign,
    create_campaign,
    kept,
    read_of_round,
    reading,
    refuse_taken,
    working,
)
from perturbloop.loop.inputs import Inputs, read_inputs
from perturbloop.loop.labels import digests_of, options_of
from perturbloop.loop.review import gate_failure, review
from perturbloop.loop.screens import key_of_screens, record_screen
from perturbloop.loop.steps import STEPS, Work, choose, evaluate, models_of, perturb, train
from perturbloop.perturb.cost import Cost
from perturbloop.report import tables as report_tables
from perturbloop.report import write as write_report
from perturbloop.schema import CampaignConfig, PerturbedConfig, ScreenConfig
from perturbloop.store import Input, step_key
from perturbloop.store.files import read_json, write_json


@dataclass(frozen=True)
class Played:
    """What a command did."""

    folder: Path
    round: int
    """Round the results belong to."""
    done: tuple[str, ...]
    """Steps that were done now; empty where nothing was stale."""
    lines: tuple[str, ...] = ()
    """What to tell."""


def quiet(step: str, done: int, total: int) -> None:
    """Report no progress."""


def init(folder: Path | str, config: CampaignConfig) -> Inputs:
    """Check the input and make a campaign folder; nothing is made where the check fails."""
    folder = Path(folder)
    refuse_taken(folder)  # before any work
    inputs = read_inputs(config)
    create_campaign(folder, config)
    with working(folder) as campaign:
        _note_inputs(campaign, inputs)
    return inputs


def record(folder: Path | str, entry: PerturbedConfig | ScreenConfig) -> tuple[dict[str, Any], bool]:
    """Keep what was measured, in cells or by a screen, and freeze what is held out. Returns report and novelty."""
    with working(Path(folder)) as campaign:
        inputs = read_inputs(campaign.config)
        if isinstance(entry, ScreenConfig):
            _, report, new = record_screen(campaign, inputs, entry)
        else:
            _, report, new = outcomes.record(campaign, inputs, entry)
    return report, new


def play(
    folder: Path | str, *, until: str = "report", workers: int = 0, on_progress: Progress = quiet
) -> Played:
    """Do every step of a round that is stale, up to `until`; with nothing new no round is opened.

    A step's key is the hash of its config, its inputs and the keys before it. A step with a finished record of that
    key and its files in place is not done again; shards and models are shared by all rounds.

    Parameters
    ----------
    folder
        Campaign folder.
    until
        Last step: check, train, perturb, evaluate, propose or report.
    workers
        Processes of a local Ray cluster that share the in-silico edits; 0 = this process alone.
    on_progress
        Called with what is done, how much of it, and of how much.

    Raises
    ------
    StoreError
        If the folder is no campaign or another process works in it.
    """
    folder = Path(folder)
    if until not in STEPS:
        msg = f"A step is one of {', '.join(STEPS)}; it is {until!r}. Did you mean {closest(until, STEPS)}?"
        raise StoreError(msg)
    if workers < 0:
        msg = f"`workers` is the number of processes, 0 or more; it is {workers}. Correct it."
        raise InputError(msg)
    with working(folder) as campaign:
        return _play(campaign, until, workers, on_progress)


def dry_run(folder: Path | str) -> dict[str, Cost]:
    """Cost of the in-silico edits of the next round, by state model; nothing is trained, perturbed or written."""
    with reading(Path(folder)) as campaign:
        inputs = read_inputs(campaign.config)
        work = Work(campaign, inputs, outcomes.read_outcomes(campaign, inputs), quiet)
    return {arm.title: cost_of_arm(arm, inputs) for arm in work.arms}


def latest_round(folder: Path | str) -> Path:
    """Folder of the last finished round."""
    with reading(Path(folder)) as campaign:
        finished = [entry.number for entry in campaign.store.rounds() if entry.finished is not None]
    if not finished:
        msg = f"No round of `{folder}` is finished yet. Run `perturbloop play {folder}`."
        raise StoreError(msg)
    return campaign.round_folder(finished[-1])


def _play(campaign: Campaign, until: str, workers: int, on_progress: Progress) -> Played:
    inputs = read_inputs(campaign.config)
    recorded = outcomes.read_outcomes(campaign, inputs)
    keys = step_keys(campaign, inputs)
    stale = _stale(campaign, keys, until)
    # Tables belong to the round that began to evaluate them: what is missing of them, or only comes after, is made there.
    evaluated = campaign.store.last_step("evaluate", key=keys["evaluate"])
    if evaluated is not None:
        number = evaluated.round
    elif stale:
        number = campaign.store.open_round().number
    else:
        number = max((step.round for step in campaign.store.steps()), default=0)
    work = Work(campaign, inputs, recorded, on_progress, workers=workers)
    for name in stale:
        _do(work, name, number, keys[name])
    if until == STEPS[-1] and (stale or campaign.store.rounds()[number].finished is None):
        campaign.store.finish_round(number)
    lines: tuple[str, ...] = ("Nothing is new: every step is up to date.",)
    if stale:
        lines = work.frozen.lines if work.perturbed else ()
    if stale and STEPS.index(until) >= STEPS.index("evaluate"):
        failed = gate_failure(campaign.round_folder(number))
        lines = (failed, *lines) if failed else lines
    return Played(campaign.folder, number, tuple(stale), lines)


def _stale(campaign: Campaign, keys: dict[str, str], until: str) -> tuple[str, ...]:
    """Steps to be done, up to `until`: the first that is not finished as things stand, and all that use it."""
    wanted = STEPS[: STEPS.index(until) + 1]
    fresh = takewhile(lambda name: campaign.store.finished_step(name, key=keys[name]) is not None, wanted)
    return wanted[len(tuple(fresh)) :]


def _do(work: Work, name: str, number: int, key: str) -> None:
    """Do one step and record it as finished once its files are there."""
    campaign, started = work.campaign, time.monotonic()
    folder = campaign.round_folder(number)
    folder.mkdir(parents=True, exist_ok=True)
    step = campaign.store.start_step(number, name, key=key, config=campaign.config.to_dict())
    files: tuple[Path, ...] = ()
    if name == "check":
        _note_inputs(campaign, work.inputs)
    elif name == "train":
        train(work)
        files = tuple(work.places.values())
    elif name == "perturb":
        perturb(work)
        files = tuple(found.place for found in work.perturbed.values())
    elif name == "evaluate":
        files = evaluate(work, number)
    elif name == "propose":
        files = choose(work, number)
    else:
        files = (write_report(review(campaign, work.inputs, number), folder / "report.html"),)
    stamp = folder / f"{name}.json"
    write_json(stamp, _stamp(work, name, key) | {"seconds": round(time.monotonic() - started, 1)})
    paths = [campaign.relative(path) for path in (stamp, *files)]
    campaign.store.finish_step(step, outputs={"/".join(Path(path).parts[-2:]): path for path in paths})


def _stamp(work: Work, name: str, key: str) -> dict[str, Any]:
    """What every step's output carries."""
    inputs = work.inputs
    return {
        "step": name,
        "key": key,
        "version": __version__,
        "seed": work.campaign.config.train.seed,
        "data_digest": inputs.cells.digest,
        "model_digest": inputs.model.digest,
        "vocabulary_digest": inputs.model.vocabulary.digest,
        "lines": inputs.lines() if name == "check" else [],
        "models": models_of(work),
        "n_edits": sum(len(found.shifts) for found in work.perturbed.values()),
        "spent": {arm.title: list(found.lines) for arm, found in work.perturbed.items()},
    }


def step_keys(campaign: Campaign, inputs: Inputs) -> dict[str, str]:
    """Key of each step as things stand: the hash of all that decides its result."""
    config = campaign.config.to_dict()
    perturbed = [digest for entry in campaign.config.perturbed for digest in digests_of(entry)]
    options = [options_of(entry) for entry in campaign.config.perturbed]
    keys = {"check": inputs.key}
    where = {"model": "", "vocabulary": ""}  # `check` knows what they hold
    keys["train"] = step_key(
        "train",
        config={"train": config["train"] | where, "perturbed": options},
        inputs=perturbed,
        upstream=[keys["check"]],
    )
    keys["perturb"] = step_key("perturb", config=config["perturb"], upstream=[keys["train"]])
    judging = {name: value for name, value in config["evaluate"].items() if name not in FILES}
    keys["evaluate"] = step_key(
        "evaluate",
        config=judging | key_of_screens(campaign.config),
        inputs=annotation_digests(campaign.config.evaluate),
        upstream=[keys["perturb"]],
    )
    for name, before in (("propose", "evaluate"), ("report", "propose")):
        keys[name] = step_key(name, config={}, upstream=[keys[before]])
    return keys


def _note_inputs(campaign: Campaign, inputs: Inputs) -> None:
    path = Path(campaign.config.cells.path)
    size = path.stat().st_size
    campaign.store.add_input(
        Input(str(path), "cells", inputs.cells.digest, size, inputs.cells.n_cells, inputs.cells.n_genes)
    )
    model = Path(campaign.config.train.model)
    weights = sum(file.stat().st_size for file in model.glob("*") if file.is_file())
    campaign.store.add_input(Input(str(model), "model", inputs.model.digest, weights))


def checked(folder: Path | str) -> list[str]:
    """Check a campaign's input again and say what was found."""
    with reading(Path(folder)) as campaign:
        inputs = read_inputs(campaign.config)
    return [*inputs.lines(), *inputs.states.warnings]


def proposals(folder: Path | str, *, on_progress: Progress = quiet) -> pd.DataFrame:
    """Proposals of the current round, made where they are stale; where they are not, nothing is written."""
    folder = Path(folder)
    with reading(folder) as campaign:
        keys = step_keys(campaign, read_inputs(campaign.config))
        made = (
            None
            if _stale(campaign, keys, "propose")
            else campaign.store.last_step("propose", key=keys["propose"])
        )
        number = made.round if made is not None else None
    if number is None:
        number = play(folder, until="propose", on_progress=on_progress).round
    return read_of_round(campaign.round_folder(number), "proposals")


def measured(folder: Path | str, of: str) -> pd.DataFrame:
    """Effects measured in one file of perturbed cells, at gene level, with their folds.

    Parameters
    ----------
    folder
        Campaign folder.
    of
        Where the effects of the file lie, as `folder` in the report of `record` says.
    """
    rows = kept(Path(folder) / of, "effects_all")
    return rows[rows["level"] == "gene"]


def show(folder: Path | str) -> tuple[Path, list[Table], dict[str, Any]]:
    """Path of the last round's report, the same as terminal tables, and its scores."""
    place = latest_round(folder)
    with reading(Path(folder)) as campaign:
        report = review(campaign, read_inputs(campaign.config), int(place.name))
    return place / "report.html", report_tables(report), read_json(place / "scores.json", todo=PLAY_AGAIN)
