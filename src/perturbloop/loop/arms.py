"""The arms of a round: each is one state model and the edits it scores. Nothing here loads a model."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from perturbloop.data.splits import trains
from perturbloop.loop.inputs import Inputs
from perturbloop.perturb.cost import Cost, cost_of_edits, rate_path
from perturbloop.perturb.plan import Plan, plan, reference_genes
from perturbloop.schema import METHODS, Kind, Level, Method, PerturbConfig, method
from perturbloop.schema.training import deciding
from perturbloop.store import step_key


@dataclass(frozen=True)
class Arm:
    """One state model of a round, and which genes it scores."""

    method: str
    """Name in `schema.METHODS`."""
    fold: int = -1
    """-1 = full ranking; k >= 0 = judged on fold k."""
    training: frozenset[str] = frozenset()
    """Targets whose perturbed cells train it."""
    held_out: frozenset[str] = frozenset()
    """Targets it is judged on."""
    kinds: tuple[Kind, ...] = ()
    """Edits it scores."""

    @property
    def record(self) -> Method:
        """What is trained, on which cells, and whether measured ones are among them."""
        return method(self.method)

    @property
    def title(self) -> str:
        """Name for a progress bar."""
        return self.method if self.fold < 0 else f"{self.method}, fold {self.fold}"


def open_arms(kinds: tuple[Kind, ...]) -> list[Arm]:
    """Arms of the open loop: the frozen encoder, and the linear control that shows what the encoder adds."""
    return [Arm(entry.name, kinds=kinds) for entry in METHODS if entry.channel == "open"]


def closed_arms(
    fold_of: Mapping[str, int],
    kinds: tuple[Kind, ...],
    levels: Collection[Level],
    *,
    with_cells: frozenset[str] | None = None,
) -> list[Arm]:
    """Arms of the representation channel: open and closed loop of each level, and their controls.

    Only the kinds that were measured are scored. A fold's model never sees the cells of its targets. All are judged on the
    same targets, edited in the same cells; controls rank no genome. The frozen level costs no fine-tuning and is always there. Of targets that only
    a screen measured (not `with_cells`) no cell can train, and those held out are judged where they are among the reference
    genes; where a fold has no target with cells to train on, the closed loop and its shuffled control are left out of all
    folds: what cannot be judged everywhere must not rank either.

    Parameters
    ----------
    fold_of
        Fold of each measured gene, by Ensembl id: -1 = it trains, k >= 0 = it is held out in fold k.
    kinds
        Edits to score: those of the campaign that were measured in cells.
    levels
        What is trained beside the frozen level.
    with_cells
        Genes that were hit in perturbed cells; all of `fold_of` by default.
    """
    cells = frozenset(fold_of) if with_cells is None else with_cells
    arms = []
    trained = [
        entry for entry in METHODS if entry.channel == "representation" and entry.level in {"frozen", *levels}
    ]
    folds = sorted({-1, *fold_of.values()})
    taught = all(trains(fold_of, without=fold) & cells for fold in folds)
    for fold in folds:
        training = trains(fold_of, without=fold) & cells
        held_out = frozenset(gene for gene, other in fold_of.items() if other == fold and fold >= 0) & cells
        for entry in trained:
            if (fold >= 0 or entry.role == "loop") and (taught or not entry.uses_effects):
                seen = training if entry.uses_effects else frozenset()
                arms.append(Arm(entry.name, fold, seen, held_out, kinds))
    return arms


def is_fast(arm: Arm, config: PerturbConfig) -> bool:
    """Whether the arm is screened: only where every gene is wanted, by an encoder, does a screen save anything."""
    return config.engine == "fast" and arm.fold < 0 and arm.method != "linear"


def plan_arm(arm: Arm, inputs: Inputs) -> Plan:
    """List the arm's edits; for the fast engine, all of the cells it screens."""
    config = replace(inputs.config.perturb, kinds=arm.kinds)
    words, tokens = inputs.vocabulary, inputs.start_tokens
    if is_fast(arm, config):
        drawn = np.random.default_rng([config.seed, 2]).permutation(tokens.n_cells)[: config.screen_cells]
        everything = plan(tokens, words, replace(config, cells_per_gene=tokens.n_cells, not_expressed="skip"))
        kept = everything.edits[everything.edits["cell"].isin(drawn)].reset_index(drop=True)
        return replace(everything, edits=kept)
    if arm.record.channel != "open" and arm.fold < 0:
        config = replace(config, cells_per_gene=min(config.cells_per_gene, config.full_cells_per_gene))
    wanted = None if arm.fold < 0 else (*sorted(arm.held_out), *reference_genes(tokens, words, config))
    if (config, wanted) not in inputs.plans:  # arms of a fold share theirs
        inputs.plans[config, wanted] = plan(tokens, words, config, gene_ids=wanted)
    return inputs.plans[config, wanted]


def cost_of_arm(arm: Arm, inputs: Inputs, shifts: Path) -> Cost:
    """What the arm's edits would cost; of the fast engine the screen and its random check, not what they will ask for.

    Parameters
    ----------
    arm
        What would be edited.
    inputs
        Start cells, and the sizes of the model.
    shifts
        Where the campaign keeps its shifts; the time is told where edits were made before.
    """
    config, linear = inputs.config.perturb, arm.method == "linear"
    return cost_of_edits(
        plan_arm(arm, inputs).edits,
        inputs.start_tokens,
        None if linear else inputs.view.shape,
        inputs.states.start.restrict(inputs.known_genes).counts_ng if linear else None,
        batch_tokens=config.batch_tokens,
        fast=is_fast(arm, config),
        rate=rate_path(shifts, linear=linear),
    )


def model_place(arm: Arm, inputs: Inputs, examples: str, models: Path) -> Path:
    """Folder of an arm's state model, named by what decides it.

    Parameters
    ----------
    arm, inputs, examples
        As of `model_key`.
    models
        Where the campaign keeps its state models.
    """
    return models / f"{arm.method}-{model_key(arm, inputs, examples)}"


def model_key(arm: Arm, inputs: Inputs, examples: str) -> str:
    """Hash of everything that decides an arm's state model; arms trained on the same cells share one.

    Parameters
    ----------
    arm
        The arm.
    inputs
        Cells and foundation model.
    examples
        Digest of the perturbed cells and their labels; '' where no arm reads any.
    """
    config = deciding(inputs.config.train, arm.record) | {"training": sorted(arm.training)}
    digests = [examples] if examples and arm.record.channel != "open" else []
    return step_key("train", config=config, inputs=[inputs.key, *digests])
