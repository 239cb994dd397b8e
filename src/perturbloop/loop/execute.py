"""What an arm does: its state model is trained, its edits are scored. Models and shards that exist are read."""

import hashlib
from pathlib import Path
from typing import cast

import numpy as np

from perturbloop import progress
from perturbloop.data.perturbed import read_perturbed
from perturbloop.data.spending import edits_of, training_targets
from perturbloop.evidence.labels import refuse_labels_of_truth, training_labels
from perturbloop.evidence.score import shared_genes
from perturbloop.loop.arms import Arm, cost_of_arm, is_fast, model_key, model_place, plan_arm
from perturbloop.loop.folder import CampaignFolder
from perturbloop.loop.inputs import Inputs
from perturbloop.perturb.collect import precision_of
from perturbloop.perturb.cost import how_long, rate_path
from perturbloop.perturb.engines import engine_of
from perturbloop.perturb.kept import kept_in
from perturbloop.perturb.probe import note_rate
from perturbloop.perturb.run import Run
from perturbloop.schema import Level, Variant
from perturbloop.store import step_key
from perturbloop.store.campaign_file import digests_of
from perturbloop.train.checkpoint import load_state_model, save_state_model
from perturbloop.train.classifier import StateModel, train_frozen
from perturbloop.train.linear import train_linear
from perturbloop.train.sources import PerturbedExamples, TrainingCells, train_level


def training_cells(campaign: CampaignFolder, inputs: Inputs) -> TrainingCells:
    """State cells and recorded cells, as the levels train on them."""
    return TrainingCells(
        inputs.states, inputs.view, inputs.config.train, perturbed_examples(campaign, inputs)
    )


def perturbed_examples(campaign: CampaignFolder, inputs: Inputs) -> PerturbedExamples:
    """Read the perturbed cells again, label them by the source that was asked for, and find the shared genes."""
    config, states, names = campaign.config, inputs.states, inputs.names
    shared, files, digests = inputs.cells.gene_ids, [], []
    hits: dict[str, frozenset[str]] = {}
    columns: dict[str, list[np.ndarray]] = {"label": [], "target": [], "control": [], "kind": []}
    for entry in config.perturbed:
        refuse_labels_of_truth(entry, config.screen)  # a screen may have been recorded since
        perturbed, _ = read_perturbed(entry, names=names, start=config.cells.start)
        target_n, hit = training_targets(states.cells, perturbed, campaign.fold_of)
        columns["label"].append(training_labels(perturbed, states, config.cells, names=names))
        columns["target"].append(target_n)
        columns["control"].append(perturbed.is_control_n)
        columns["kind"].append(edits_of(perturbed))
        hits |= {gene: hits.get(gene, frozenset()) | genes for gene, genes in hit.items()}
        here = set(shared_genes(states.cells, perturbed.cells))
        shared = np.array([gene for gene in shared if gene in here], dtype=object)
        digests += [perturbed.cells.digest, *digests_of(entry)[1:]]  # a table of targets decides too
        files.append(perturbed.cells)
    label_n, *named = (np.concatenate(parts) for parts in columns.values())
    target_n, is_control_n, kind_n = named
    said = ["\n".join(map(str, column_n)) for column_n in (*named, np.round(label_n, 4))]
    digest = step_key(
        "examples",
        config={"columns": [hashlib.sha256(text.encode()).hexdigest() for text in said]},
        inputs=digests,
    )
    return PerturbedExamples(tuple(files), target_n, label_n, shared, digest, is_control_n, kind_n, hits=hits)


def train_arm(arm: Arm, inputs: Inputs, cells: TrainingCells | None, folder: Path) -> StateModel:
    """Load the arm's state model, or train and save it.

    Parameters
    ----------
    arm
        What is trained, on which targets.
    inputs
        State cells and foundation model.
    cells
        State cells and recorded cells, for the arms that need them.
    folder
        Campaign folder.
    """
    examples = cells.perturbed.digest if cells is not None else ""
    place, model = model_place(arm, inputs, examples, folder / "models"), inputs.view.model
    found = load_state_model(place, base=model)
    if found is not None:
        return found
    title, states = f"train {arm.title}", inputs.states
    progress.tell(title, 0, 1)
    if arm.method == "frozen":
        trained = train_frozen(model, inputs.view.emb_nd, states.is_goal_n, states.train_n)
    elif arm.method == "linear":
        trained = train_linear(states.cells, states.is_goal_n, states.train_n, inputs.vocabulary)
    else:
        if cells is None:
            msg = f"arm {arm.method} needs perturbed cells"
            raise ValueError(msg)
        level, variant = cast("Level", arm.record.level), cast("Variant", arm.record.variant)
        trained = train_level(
            cells, level, variant, training=arm.training, held_out=arm.held_out, title=title
        )
    key = model_key(arm, inputs, examples)
    card = {"method": arm.method, "fold": arm.fold, "spent": sorted(arm.training), "key": key}
    save_state_model(trained, place, base=model, card=card)
    return trained


def run_of_arm(arm: Arm, trained: StateModel, inputs: Inputs, folder: Path) -> Run:
    """List the arm's edits and what scores them; their shards are named by all that decides them, and reused.

    Parameters
    ----------
    arm
        What is edited.
    trained
        Its state model.
    inputs
        State cells.
    folder
        Campaign folder.
    """
    config, edits, shifts = inputs.config.perturb, plan_arm(arm, inputs), folder / "shifts"
    key = step_key("edits", config={"plan": edits.digest}, inputs=[inputs.key])
    fast = is_fast(arm, config)
    key = step_key("fast", config={"top": config.top, "width": config.width}, inputs=[key]) if fast else key
    place = shifts / trained.digest / key
    precision = precision_of(place, config.precision, trained.model.device)
    kept = kept_in(folder / "encoded", edits, trained.model, cells=inputs.key, precision=precision)
    engine = engine_of(
        trained.model,
        trained.readout,
        inputs.states.start,
        precision=precision,
        batch_tokens=config.batch_tokens,
        kept=kept if arm.record.level == "frozen" else None,
    )
    note_rate(rate_path(shifts, linear=arm.method == "linear"), engine, inputs.start_tokens)
    title = f"perturb, {arm.title}{how_long(cost_of_arm(arm, inputs, shifts))}"
    return Run(engine, inputs.start_tokens, edits, place, config, title, fast)
