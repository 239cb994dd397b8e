"""In-silico scores of every encoder arm: what is trained on what, and what its edits then say."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from world import ARMS, Study

from perturbloop.data.encoding import tokenize
from perturbloop.data.tokens import Tokens
from perturbloop.models.cell_model import CellModel
from perturbloop.models.readout import Readout
from perturbloop.perturb.edit import Target
from perturbloop.perturb.engines import engine_of
from perturbloop.perturb.plan import plan
from perturbloop.schema import Level, NotExpressed, PerturbConfig, TrainConfig, kind_of
from perturbloop.train.classifier import goal_state, state_head, train_frozen
from perturbloop.train.consistency import Aims, aims_of
from perturbloop.train.examples import Examples, closed_loop, open_loop, same_study
from perturbloop.train.fit import fine_tune
from perturbloop.train.linear import train_linear

CELLS_PER_GENE = 10
Labels = Literal["soft", "condition", "call", "true"]


@dataclass(frozen=True)
class Arm:
    """One encoder and the cells that train it."""

    name: str
    level: Level
    k: int = 0
    """Panel genes whose cells are added; 0 = the open loop."""
    panel: str = "hit-enriched"
    labels: Labels = "soft"
    shuffled: bool = False
    unperturbed: bool = False
    """Control cells of the study in place of the perturbed ones."""
    learning_rate: float = 2e-4
    share: float = 0.5
    consistency: float = 0.0
    epochs: int = 3
    accumulate: int = 1
    """Batches of an optimizer step."""
    seed: int = 0
    """Run of the same training."""


RATE = 8e-4
"""Learning rate of the reproduction."""
TUNED = 2e-4
"""Learning rate with the best open loop on other networks (`run.py tune`)."""


Size = Literal["few", "usual", "thorough"]


def arms(size: Size) -> list[Arm]:
    """Arms of a network; the thorough list also varies what decides the gain, the short one keeps the paper's recipe."""
    few = [
        Arm("full-open", "full", learning_rate=RATE),
        Arm("full-closed-20", "full", 20, learning_rate=RATE),
        Arm("frozen-closed-20", "frozen", 20),
    ]
    usual = [
        Arm("full-shuffled-20", "full", 20, shuffled=True, learning_rate=RATE),
        Arm("frozen-shuffled-20", "frozen", 20, shuffled=True),
        Arm("tuned-open", "full", learning_rate=TUNED),
        Arm("tuned-closed-20", "full", 20, learning_rate=TUNED),
        Arm("tuned-shuffled-20", "full", 20, shuffled=True, learning_rate=TUNED),
    ]
    thorough = [
        Arm("lora-open", "lora"),
        Arm("lora-closed-20", "lora", 20),
        Arm("full-closed-10", "full", 10, learning_rate=RATE),
        Arm("full-closed-50", "full", 50, learning_rate=RATE),
        Arm("full-unperturbed-20", "full", 20, unperturbed=True, learning_rate=RATE),
        Arm("full-condition-20", "full", 20, labels="condition", learning_rate=RATE),
        Arm("full-call-20", "full", 20, labels="call", learning_rate=RATE),
        Arm("full-call-shuffled-20", "full", 20, labels="call", shuffled=True, learning_rate=RATE),
        Arm("full-random-20", "full", 20, panel="random", learning_rate=RATE),
        Arm("full-share-15-20", "full", 20, share=0.15, learning_rate=RATE),
        Arm("full-consistency-20", "full", 20, consistency=1.0, learning_rate=RATE),
    ]
    return [*few, *(usual if size != "few" else []), *(thorough if size == "thorough" else [])]


def open_scores(study: Study) -> pd.DataFrame:
    """Frozen encoder and linear control: columns method, kind, gene_id, score, held-out state AUROC."""
    frozen = train_frozen(study.model, study.emb_nd, study.is_resting_n, study.train_n)
    linear = train_linear(study.cells, study.is_resting_n, study.train_n, study.model.vocabulary)
    parts = [
        scores(study, model.model, model.readout).assign(method=name)
        for name, model in (("frozen", frozen), ("linear", linear))
    ]
    return pd.concat(parts)


def arm_scores(study: Study, arm: Arm) -> pd.DataFrame:
    """Train the arm, and score its edits."""
    return scores(study, *trained(study, arm)).assign(method=arm.name)


def trained(study: Study, arm: Arm) -> tuple[CellModel, Readout]:
    """Train the arm on the panel's cells of both kinds."""
    examples, rng = _examples(study, arm)
    config = TrainConfig(
        seed=study.seed + 1000 * arm.seed,
        learning_rate=arm.learning_rate,
        perturbed_share=arm.share,
        consistency=arm.consistency,
        epochs=arm.epochs,
        accumulate=arm.accumulate,
    )
    model: CellModel = study.model
    if arm.level == "frozen":
        rows = [examples.tokens.row(cell) for cell in range(examples.tokens.n_cells)]
        weight_d, bias = state_head(model.embed(rows), examples.label_n, examples.weight_n)
    else:
        aims = _aims(study, arm, examples, rng) if arm.consistency else None
        tuned = fine_tune(study.model, examples, config, level=arm.level, aims=aims)
        model, weight_d, bias = tuned.model, tuned.weight_d, tuned.bias
    goal = np.flatnonzero(study.is_resting_n & study.train_n)
    emb_nd = model.embed([study.tokens.row(cell) for cell in goal])
    return model, Readout(goal_state(emb_nd, np.ones(len(goal), dtype=bool)), weight_d, bias)


def skip_scores(study: Study) -> pd.DataFrame:
    """Frozen encoder, genes raised only in cells that express them, as published runs over all genes do."""
    frozen = train_frozen(study.model, study.emb_nd, study.is_resting_n, study.train_n)
    return scores(study, frozen.model, frozen.readout, not_expressed="skip").assign(method="frozen-skip")


def scores(
    study: Study,
    model: CellModel,
    readout: Readout,
    *,
    not_expressed: NotExpressed = "insert",
    cells_per_gene: int = CELLS_PER_GENE,
    number: str = "logit_shift",
) -> pd.DataFrame:
    """Mean shift of every gene toward the other state; activation puts genes in where they are not expressed."""
    parts = []
    for state, modality in ARMS:
        kind = kind_of(modality)
        start_n = ~study.is_resting_n if state == "stimulated" else study.is_resting_n
        tokens = study.tokens.select(np.flatnonzero(start_n))
        config = PerturbConfig(
            kinds=(kind,), cells_per_gene=cells_per_gene, not_expressed=not_expressed, seed=study.seed
        )
        edits = plan(tokens, study.model.vocabulary, config)
        engine = engine_of(model, readout, study.cells.select(start_n))
        shifts = engine.shifts(tokens, edits)
        toward = 1.0 if state == "stimulated" else -1.0  # the head's goal is rest
        score = toward * shifts.groupby("gene_id")[number].mean().reindex(study.cells.gene_ids)
        parts.append(pd.DataFrame({"kind": kind, "gene_id": score.index, "score": score.to_numpy()}))
    return pd.concat(parts)


def _examples(study: Study, arm: Arm) -> tuple[Examples, np.random.Generator]:
    rng = np.random.default_rng([study.seed, 23])
    train = study.tokens.select(study.train_n)
    unperturbed = open_loop(train, study.is_resting_n[study.train_n], max_cells=4000, rng=rng)
    if not arm.k:
        return unperturbed, rng
    tokens, label_n, target_n, is_control_n = _cells_of_both_kinds(study, arm)
    if arm.unperturbed:
        return same_study(
            unperturbed,
            tokens,
            label_n,
            is_control_n,
            most=int((target_n != "").sum()),
            share=arm.share,
            rng=rng,
        ), rng
    training = study.panels[arm.panel][: arm.k]
    return closed_loop(
        unperturbed,
        tokens,
        label_n,
        target_n,
        training=training,
        held_out=set(study.cells.gene_ids) - set(training),
        share=arm.share,
        rng=rng,
        shuffled=arm.shuffled,
    ), rng


def _cells_of_both_kinds(study: Study, arm: Arm) -> tuple[Tokens, np.ndarray, np.ndarray, np.ndarray]:
    rows, labels, targets, controls = [], [], [], []
    for state, modality in ARMS:
        kind = kind_of(modality)
        perturbed = study.studies[kind]
        tokens = tokenize(perturbed.cells, study.model.vocabulary)
        rows += [tokens.row(cell) for cell in range(tokens.n_cells)]
        target_n = np.array([perturbed.target_ids.get(name, "") for name in perturbed.target_n], dtype=object)
        targets.append(target_n)
        controls.append(perturbed.is_control_n)
        at_rest = float(state == "resting")
        if arm.labels == "condition":
            labels.append(np.full(len(target_n), at_rest))
        elif arm.labels == "call":
            hit = study.truth(state, kind)["hit"]
            called_n = np.array([gene != "" and bool(hit[gene]) for gene in target_n])
            labels.append(np.where(called_n, 1 - at_rest, at_rest))
        else:
            labels.append((study.true_labels if arm.labels == "true" else study.labels)[kind])
    has_cls = study.model.vocabulary.has_cls
    return (
        Tokens.of_rows(rows, has_cls=has_cls),
        np.concatenate(labels),
        np.concatenate(targets),
        np.concatenate(controls),
    )


def _aims(study: Study, arm: Arm, examples: Examples, rng: np.random.Generator) -> Aims:
    """Knocked-down control cells of the stimulated study should land where the knocked-down cells are."""
    _, modality = ARMS[0]
    perturbed = study.studies[kind_of(modality)]
    words = study.model.vocabulary
    controls = tokenize(perturbed.cells.select(perturbed.is_control_n), words)
    known = [gene for gene in examples.spent if gene in words.position]
    edit_of = {gene: Target(int(words.tokens[words.position[gene]]), "delete") for gene in known}
    return aims_of(examples, controls, edit_of, limit=words.max_length, rng=rng)
