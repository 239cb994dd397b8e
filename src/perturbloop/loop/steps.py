"""The steps of a round: a record each. `play` walks them, the ledger checks their outputs, the docs list them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perturbloop import __version__, progress
from perturbloop.design.ask import beside_chance
from perturbloop.design.known import Known, read_known
from perturbloop.evaluate.judgeable import judgeable
from perturbloop.loop.arms import Arm, closed_arms, open_arms
from perturbloop.loop.folder import CampaignFolder
from perturbloop.loop.inputs import Inputs
from perturbloop.loop.recorded import Outcomes, read_outcomes
from perturbloop.loop.round import evaluate_round
from perturbloop.report import compose, gate_failure, render, write_ranking
from perturbloop.schema import (
    CampaignConfig,
    DesignConfig,
    EvaluateConfig,
    TrainConfig,
    file_fields,
    options_of,
)
from perturbloop.store import Input, step_key
from perturbloop.store.campaign_file import digests_of
from perturbloop.store.files import size_of, write_json, write_table, write_text

if TYPE_CHECKING:
    from perturbloop.perturb.run import Perturbed
    from perturbloop.perturb.shards import Part
    from perturbloop.train.classifier import StateModel


@dataclass
class Work:
    """A round in progress: what its steps hand to the next; everything in it can be read back from the folder."""

    campaign: CampaignFolder
    inputs: Inputs
    models: "dict[Arm, StateModel]" = field(default_factory=dict)
    places: dict[Arm, Path] = field(default_factory=dict)
    """Folders of the models."""
    perturbed: "dict[Arm, Perturbed]" = field(default_factory=dict)

    @cached_property
    def outcomes(self) -> Outcomes | None:
        """What was measured so far."""
        return read_outcomes(self.campaign, self.inputs)

    @cached_property
    def arms(self) -> list[Arm]:
        """Arms of this round."""
        config, outcomes = self.campaign.config, self.outcomes
        arms = open_arms(config.perturb.kinds)
        if outcomes is None:
            return arms
        kinds = tuple(kind for kind in config.perturb.kinds if kind in outcomes.kinds_of_cells)
        judged = any(judgeable(outcomes.judged, kind).comparable for kind in kinds)
        teaches = self.inputs.view.reads == "tokens" and (judged or config.train.closed_loop == "always")
        if not kinds or not teaches:
            return arms
        with_cells = outcomes.with_cells
        return [*arms, *closed_arms(outcomes.fold_of, kinds, config.train.levels, with_cells=with_cells)]


@dataclass(frozen=True)
class Step:
    """One step of a round."""

    name: str
    """Also the word of its command."""
    after: str
    """The step whose result it uses; '' for the first."""
    decides: Callable[[CampaignConfig, Inputs], dict[str, Any]]
    """Options, and hashes of files, that decide its result beside the step before."""
    run: Callable[[Work, Path], tuple[Path, ...]]
    """Does it: the round in progress and the round's folder in, the files and folders that it made out."""
    outputs: tuple[str, ...]
    """What it leaves in the folder of a round, beside the JSON file of its name; a star where it depends on the options."""


def _check(work: Work, folder: Path) -> tuple[Path, ...]:
    note_inputs(work.campaign, work.inputs)
    return ()


def _train(work: Work, folder: Path) -> tuple[Path, ...]:
    from perturbloop.loop.arms import model_place
    from perturbloop.loop.execute import (  # torch is loaded where a model is needed, and not before
        train_arm,
        training_cells,
    )

    missing = [arm for arm in work.arms if arm not in work.models]
    cells = None
    if any(arm.record.channel != "open" for arm in missing):  # a screen alone brings no cells
        cells = training_cells(work.campaign, work.inputs)
    for arm in missing:
        examples = cells.perturbed.digest if cells is not None else ""
        work.places[arm] = model_place(arm, work.inputs, examples, work.campaign.folder / "models")
        work.models[arm] = train_arm(arm, work.inputs, cells, work.campaign.folder)
    return tuple(work.places.values())


def _perturb(work: Work, folder: Path) -> tuple[Path, ...]:
    from perturbloop.loop.execute import run_of_arm

    _train(work, folder)
    for arm in work.arms:
        if arm not in work.perturbed:
            run = run_of_arm(arm, work.models[arm], work.inputs, work.campaign.folder)
            work.perturbed[arm] = run.scored()
    return tuple(found.place for found in work.perturbed.values())


def score_part(work: Work, part: "Part") -> tuple[int, int, int]:
    """Write a part of the shards of all arms, whose models are there: shards in all, the part's, and those that were missing."""
    from perturbloop.loop.execute import run_of_arm

    _train(work, work.campaign.folder)
    n_all = n_own = n_made = 0
    for arm in work.arms:
        run = run_of_arm(arm, work.models[arm], work.inputs, work.campaign.folder)
        here, own, made = run.score_part(part, first=n_all)
        n_all, n_own, n_made = n_all + here, n_own + own, n_made + made
    return n_all, n_own, n_made


def _evaluate(work: Work, folder: Path) -> tuple[Path, ...]:
    _perturb(work, folder)
    progress.tell("judge", 0, 1)
    auroc = {
        arm: {"heldout_auroc": trained.heldout_auroc, "n_train": trained.n_train}
        for arm, trained in work.models.items()
    }
    files = tuple(evaluate_round(work.campaign, work.inputs, work.outcomes, work.perturbed, auroc, folder))
    progress.tell("judge", 1, 1)
    return files


def known_of(campaign: CampaignFolder, inputs: Inputs, number: int, design: DesignConfig) -> Known:
    """What an evaluated round knows when a batch is asked for; nothing is written.

    Parameters
    ----------
    campaign, inputs, number, design
        The campaign, its cells and model, the round, and the options of the batch.
    """
    folder = campaign.round_folder(number)
    return read_known(
        folder,
        campaign.config,
        design,
        states=inputs.states,
        names=inputs.names,
        annotations=inputs.annotations,
        textbook=inputs.textbook,
        trials=campaign.store.trials(),
        gate=gate_failure(folder),
    )


def _propose(work: Work, folder: Path) -> tuple[Path, ...]:
    """Write the batch that the campaign's options ask for beside one drawn at random, and the trials so far, for the report."""
    campaign, number, design = work.campaign, int(folder.name), work.campaign.config.design
    known = known_of(campaign, work.inputs, number, design)
    tables = {"proposals": beside_chance(known, design, seed=number), "trials": known.trials}
    for name, table in tables.items():
        write_table(folder / f"{name}.parquet", table)
    campaign.store.save_proposals(number, tables["proposals"])
    return tuple(folder / f"{name}.parquet" for name in tables)


def _report(work: Work, folder: Path) -> tuple[Path, ...]:
    report, page = compose(folder), folder / "report.html"
    write_text(page, render(report))
    return (page, *write_ranking(report, folder))


def _decides_train(config: CampaignConfig, inputs: Inputs) -> dict[str, Any]:
    where = dict.fromkeys(file_fields(TrainConfig), "")  # `check` knows what they hold
    recorded = [[options_of(entry), digests_of(entry)] for entry in config.perturbed]
    return {"train": config.to_dict()["train"] | where, "perturbed": recorded}


def _decides_evaluate(config: CampaignConfig, inputs: Inputs) -> dict[str, Any]:
    where = dict.fromkeys(file_fields(EvaluateConfig), "")
    screens = [[options_of(entry), digests_of(entry)] for entry in config.screen]
    judging = config.to_dict()["evaluate"] | where
    return {"evaluate": judging, "screens": screens, "annotations": inputs.annotations.digests}


def _decides_propose(config: CampaignConfig, inputs: Inputs) -> dict[str, Any]:
    where = dict.fromkeys(file_fields(DesignConfig), "")
    files = digests_of(config.design)
    return {"design": config.to_dict()["design"] | where, "files": files, "told": inputs.told}


STEPS = (
    Step("check", "", lambda config, inputs: {"inputs": inputs.key}, _check, ()),
    Step("train", "check", _decides_train, _train, ()),
    Step("perturb", "train", lambda config, inputs: {"perturb": config.to_dict()["perturb"]}, _perturb, ()),
    Step(
        "evaluate",
        "perturb",
        _decides_evaluate,
        _evaluate,
        (
            "ranking.parquet",
            "predictions.parquet",
            "metrics.parquet",
            "gains.parquet",
            "strata.parquet",
            "posterior.parquet",
            "rank_correlations.parquet",
            "de.parquet",
            "expression.parquet",
            "sets.parquet",
            "estimates.parquet*",
            "effects.parquet*",
            "effects_judged.parquet*",
            "recorded.json*",
            "geneformer_KIND.csv*",
            "scores.json",
            "facts.json",
        ),
    ),
    Step(
        "propose",
        "evaluate",
        _decides_propose,
        _propose,
        ("proposals.parquet", "trials.parquet"),
    ),
    Step(
        "report",
        "propose",
        lambda config, inputs: {},
        _report,
        ("report.html", "ranking.csv", "ranking.xlsx"),
    ),
)


def step_names() -> tuple[str, ...]:
    """Names of the steps, in order."""
    return tuple(step.name for step in STEPS)


def step_keys(config: CampaignConfig, inputs: Inputs) -> dict[str, str]:
    """Key of each step as things stand: the hash of all that decides its result.

    Parameters
    ----------
    config
        Options and recorded files.
    inputs
        Cells, model and annotations.
    """
    keys: dict[str, str] = {}
    for step in STEPS:
        before = [keys[step.after]] if step.after else []
        keys[step.name] = step_key(step.name, config=step.decides(config, inputs), upstream=before)
    return keys


def do(step: Step, work: Work, number: int, key: str) -> None:
    """Do one step of a round and record it as finished once its files are there.

    Parameters
    ----------
    step
        What is done.
    work
        The round in progress.
    number
        Number of the round.
    key
        Hash of all that decides the result.
    """
    campaign, started = work.campaign, time.monotonic()
    folder = campaign.round_folder(number)
    folder.mkdir(parents=True, exist_ok=True)
    entry = campaign.store.start_step(number, step.name, key=key, config=campaign.config.to_dict())
    files = step.run(work, folder)
    stamp = folder / f"{step.name}.json"
    n_edits = sum(len(found.shifts) for found in work.perturbed.values())
    facts = {
        "step": step.name,
        "key": key,
        "n_edits": n_edits,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(stamp, stamp_of(campaign.config, work.inputs) | facts | _spent(work))
    paths = [campaign.relative(path) for path in (stamp, *files)]
    campaign.store.finish_step(entry, outputs={"/".join(Path(path).parts[-2:]): path for path in paths})


def stamp_of(config: CampaignConfig, inputs: Inputs) -> dict[str, Any]:
    """What every output carries: the version, the seed, and hashes of cells, model and vocabulary."""
    return {"version": __version__, "seed": config.train.seed, **inputs.digests}


def _spent(work: Work) -> dict[str, Any]:
    return {"spent": {arm.title: list(found.lines) for arm, found in work.perturbed.items()}}


def note_inputs(campaign: CampaignFolder, inputs: Inputs) -> None:
    """Write into the ledger which cells and which model were read."""
    for entry in _inputs(campaign.config, inputs):
        campaign.store.add_input(entry)


def _inputs(config: CampaignConfig, inputs: Inputs) -> Iterator[Input]:
    paths, read, model = config.cells.paths, inputs.cells, config.train.model
    yield Input(", ".join(paths), "cells", read.digest, sum(map(size_of, paths)), read.n_cells, read.n_genes)
    yield Input(model, "model", inputs.view.digest, size_of(model))
