"""What the commands do on a campaign folder."""

import dataclasses
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from perturbloop.design.trials import told, untold
from perturbloop.errors import InputError, StoreError, closest, some
from perturbloop.loop.arms import cost_of_arm
from perturbloop.loop.folder import (
    CampaignFolder,
    create_campaign,
    kept,
    open_campaign,
    refuse_taken,
    working,
)
from perturbloop.loop.inputs import Inputs, inputs_of, read_inputs
from perturbloop.loop.last import latest_round as latest_round
from perturbloop.loop.last import show as show
from perturbloop.loop.recorded import record as record_file
from perturbloop.loop.recorded import remeasure, unjudged
from perturbloop.loop.steps import STEPS, Work, do, note_inputs, score_part, step_keys
from perturbloop.perturb.shards import Part
from perturbloop.perturb.workers import shared_by
from perturbloop.report import gate_failure
from perturbloop.schema import CampaignConfig, Recorded, RecordedFile, name_of
from perturbloop.store.files import undone
from perturbloop.store.remote import shown

if TYPE_CHECKING:
    from perturbloop.perturb.cost import Cost

NAMES = tuple(step.name for step in STEPS)


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


def init(folder: Path | str, config: CampaignConfig, *, store: str = "sqlite") -> Inputs:
    """Check the input and make a campaign folder; nothing is made where the check fails.

    Parameters
    ----------
    folder, config
        Folder to make, and all options.
    store
        Where the ledger is kept: `sqlite`, a file of the folder, or the address of a PostgreSQL database.
    """
    folder = Path(folder)
    refuse_taken(folder, store)  # before any work
    with undone(folder / "tokens"):
        inputs = read_inputs(config, tokens_in=folder / "tokens", keeps=True)
    create_campaign(folder, inputs.config, store=store)
    with working(folder) as campaign:
        note_inputs(campaign, inputs)
    return inputs


def record(folder: Path | str, entry: RecordedFile, *, replace: bool = False) -> tuple[Recorded, bool]:
    """Keep what was measured, in cells or by a screen, and freeze what is held out.

    Parameters
    ----------
    folder
        Campaign folder.
    entry
        The file and how it is read.
    replace
        Whether it may take the place of what was recorded of this file, or under this name, in another way.

    Returns
    -------
    What was recorded, and whether it is new.

    Raises
    ------
    InputError
        If it would replace something that was recorded.
    """
    folder = Path(folder)
    with working(folder) as campaign:
        before = campaign.same_place(entry)
        if before not in (None, entry) and not replace:
            changed = [name for name, value in vars(entry).items() if value != getattr(before, name)]
            msg = (
                f"Each file, or name of a screen, is recorded once; `{name_of(entry)}` is recorded with other options: "
                f"{some(changed)}. Type `--replace` to put this in its place, or `perturbloop unrecord {folder} {name_of(entry)}` "
                "to take it back."
            )
            raise InputError(msg)
        inputs = inputs_of(campaign)
        campaign, recorded, new = record_file(campaign, inputs, entry)
        remeasure(campaign, inputs)  # what it is judged with is measured once, and kept
        trials, effects = campaign.store.trials(), kept(folder / recorded.folder, "effects_all")
        campaign.store.save_trials(told(trials, effects, source=name_of(entry), when=datetime.now(UTC)))
        return dataclasses.replace(recorded, judging=unjudged(campaign, inputs)), new


def unrecord(folder: Path | str, name: str) -> list[str]:
    """Take a recorded file back: the next round is played without it. Returns what to tell.

    Parameters
    ----------
    folder
        Campaign folder.
    name
        Name of a screen, or of a file of perturbed cells, as `status` lists them.

    Raises
    ------
    InputError
        If nothing of that name, or more than one file, is recorded.
    """
    with working(Path(folder)) as campaign:
        entries = campaign.config.recorded
        found = [entry for entry in entries if name in (name_of(entry), entry.path)]
        if len(found) != 1:
            known = [entry.path if len(found) > 1 else name_of(entry) for entry in found or entries]
            msg = (
                f"One recorded file is taken back; {len(found)} {'are' if len(found) != 1 else 'is'} named {name!r}. "
                f"Recorded are {some(known)}. Name one of them."
            )
            raise InputError(msg)
        campaign.without_recorded(found[0])
        campaign.store.save_trials(untold(campaign.store.trials(), name_of(found[0]), when=datetime.now(UTC)))
    return [
        f"Taken back: {name_of(found[0])}. What it held out stays held out, should it be recorded again.",
        f"Next: perturbloop play {folder}",
    ]


def relocate(
    folder: Path | str, *, cells: Path | str | tuple[str, ...] | None = None, model: Path | str | None = None
) -> list[str]:
    """Say where moved cells or a moved model are now. Returns what to tell.

    Parameters
    ----------
    folder
        Campaign folder.
    cells
        The same file of cells at its new place; all of them in order where there are several.
    model
        The same folder of a model at its new place.

    Raises
    ------
    InputError
        If the cells or the model are other ones than those that the campaign was made with.
    """
    if cells is None and model is None:
        msg = "Name what was moved: `--cells FILE`, `--model FOLDER`, or both; neither came. Add one."
        raise InputError(msg)
    with working(Path(folder)) as campaign:
        config = campaign.config
        if cells is not None:
            where = cells if isinstance(cells, tuple) else str(cells)
            config = replace(config, cells=replace(config.cells, path=where))
        if model is not None:
            config = replace(config, train=replace(config.train, model=str(Path(model).resolve())))
        inputs = read_inputs(config)
        now = {"cells": inputs.cells.digest, "model": inputs.view.digest}
        before = {entry.role: entry.digest for entry in campaign.store.inputs() if entry.role in now}
        other = [role for role, digest in before.items() if digest != now[role]]
        if other:
            msg = (
                f"What was moved must be what the campaign was made with; the {' and the '.join(other)} found there hold something "
                f"else (hash {now[other[0]]}, not {before[other[0]]}). Name the right place, or make a campaign with `perturbloop "
                "init`."
            )
            raise InputError(msg)
        campaign.with_config(inputs.config)
        note_inputs(campaign, inputs)
    return [f"Found again: {', '.join(role for role, path in (('cells', cells), ('model', model)) if path)}."]


def play(folder: Path | str, *, until: str = "report", **shared: Any) -> Played:
    """Do every step of a round that is stale, up to `until`; with nothing new no round is opened.

    A step's key is the hash of its config, its inputs and the keys before it. A step with a finished record of that
    key and its files in place is not done again; shards and models are shared by all rounds.

    Parameters
    ----------
    folder
        Campaign folder.
    until
        Last step: check, train, perturb, evaluate, propose or report.
    shared
        `workers`, `cluster` and `store` of `perturb.workers.shared_by`: who else makes the in-silico edits.

    Raises
    ------
    StoreError
        If the folder is no campaign or another process works in it.
    """
    if until not in NAMES:
        msg = f"A step is one of {', '.join(NAMES)}; it is {until!r}. Did you mean {closest(until, NAMES)}?"
        raise StoreError(msg)
    with shared_by(**shared, home=folder), working(Path(folder)) as campaign:
        inputs = inputs_of(campaign)
        remeasure(campaign, inputs)
        return _play(Work(campaign, inputs), until)


def _play(work: Work, until: str) -> Played:
    campaign, store = work.campaign, work.campaign.store
    keys = step_keys(campaign.config, work.inputs)
    stale = _stale(campaign, keys, until)
    # Tables belong to the round that began to evaluate them: what is missing of them, or only comes after, is made there.
    evaluated = store.last_step("evaluate", key=keys["evaluate"])
    if evaluated is not None:
        number = evaluated.round
    elif stale:
        number = store.open_round().number
    else:
        number = max((step.round for step in store.steps()), default=0)
    for step in STEPS:
        if step.name in stale:
            do(step, work, number, keys[step.name])
    if until == NAMES[-1] and (stale or store.rounds()[number].finished is None):
        store.finish_round(number)
    if not stale:
        return Played(campaign.folder, number, (), ("Nothing is new: every step is up to date.",))
    failed = (
        gate_failure(campaign.round_folder(number)) if "evaluate" in NAMES[: NAMES.index(until) + 1] else ""
    )
    spent = [found.lines for arm, found in work.perturbed.items() if arm.method == "frozen"]
    lines = (*([failed] if failed else []), *(spent[0] if spent else ()))
    return Played(campaign.folder, number, stale, lines)


def perturb_part(folder: Path | str, part: str, *, store: str = "") -> list[str]:
    """Score one part of the edits of the next round, beside other parts, on this or other machines. Returns what to tell.

    The ledger is only read: shards are all that is written, and a `play` collects them. Parts may run in any order, or again.

    Parameters
    ----------
    folder
        Campaign folder whose state models are trained.
    part
        `I/N`: the shards of the I-th of N parts.
    store
        Where the shards go too, for machines without a common disk: as of `perturb.workers.shared_by`.

    Raises
    ------
    StoreError
        If a state model is to be trained first: parts that know nothing of each other would each train it.
    """
    asked = Part.parse(part)
    with shared_by(store=store, home=folder), open_campaign(Path(folder)) as campaign:
        work = Work(campaign, inputs_of(campaign))
        if _stale(campaign, step_keys(campaign.config, work.inputs), "train"):
            msg = (
                f"A part needs the trained state models; in `{folder}` they are missing or stale. Run `perturbloop train {folder}` "
                "once, then the parts."
            )
            raise StoreError(msg)
        said = asked.line(*score_part(work, asked))
    return [said, f"When all parts are done: perturbloop play {folder}{store and f' --store {shown(store)}'}"]


def _stale(campaign: CampaignFolder, keys: dict[str, str], until: str) -> tuple[str, ...]:
    """Steps to be done, up to `until`: the first that is not finished as things stand, and all that use it."""
    wanted = NAMES[: NAMES.index(until) + 1]
    fresh = takewhile(lambda name: campaign.store.finished_step(name, key=keys[name]) is not None, wanted)
    return wanted[len(tuple(fresh)) :]


def stale_steps(campaign: CampaignFolder) -> tuple[str, ...]:
    """Steps that the next `play` does as things stand."""
    return _stale(campaign, step_keys(campaign.config, inputs_of(campaign)), NAMES[-1])


def dry_run(folder: Path | str) -> "dict[str, Cost]":
    """Cost of the in-silico edits of the next round, by state model; nothing is trained, perturbed or written."""
    with open_campaign(Path(folder)) as campaign:
        inputs = inputs_of(campaign)
        shifts = campaign.folder / "shifts"
        return {arm.title: cost_of_arm(arm, inputs, shifts) for arm in Work(campaign, inputs).arms}


def checked(folder: Path | str) -> list[str]:
    """Check a campaign's input again and say what was found."""
    with open_campaign(Path(folder)) as campaign:
        inputs = inputs_of(campaign)
    return [*inputs.cautions(), *inputs.lines()]


def measured(folder: Path | str, of: str) -> pd.DataFrame:
    """Effects measured in one file of perturbed cells, at gene level, with their folds.

    Parameters
    ----------
    folder
        Campaign folder.
    of
        Where the effects of the file lie, as `folder` of what `record` returns says.
    """
    return kept(Path(folder) / of, "effects_all").query("level == 'gene'")
