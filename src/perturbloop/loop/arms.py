"""The arms of a round: each is one state model and the edits it scores."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from perturbloop.data.splits import trains
from perturbloop.data.tokens import Tokens
from perturbloop.loop.inputs import Inputs
from perturbloop.loop.training import TrainingCells, Variant, train_level
from perturbloop.models.linear import Linear
from perturbloop.perturb.collect import precision_of, run_plan
from perturbloop.perturb.cost import Cost, NoiseFloor, cost, noise_floor
from perturbloop.perturb.engine import Engine
from perturbloop.perturb.engines import engine_of
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.fast import PASSES_PER_SCREEN, RANDOM_SHARE, fast_shifts
from perturbloop.perturb.plan import Plan, plan
from perturbloop.perturb.readout import Readout
from perturbloop.schema import Kind, Level, PerturbConfig
from perturbloop.store import step_key
from perturbloop.store.files import own, write_json
from perturbloop.train.checkpoint import load_state_model, save_state_model
from perturbloop.train.classifier import StateModel, train_frozen
from perturbloop.train.linear import train_linear

Progress = Callable[[str, int, int], None]
OPEN = ("frozen", "linear")
"""Methods of every round: they know nothing of perturbed cells."""
VARIANTS: dict[Level, tuple[Variant, ...]] = {
    "frozen": ("closed", "shuffled"),
    "lora": ("open", "closed", "shuffled"),
    "full": ("open", "closed", "shuffled", "unperturbed"),
}
"""Arms of each level in a fold; `frozen` itself is the open loop of its level."""
RANKED: tuple[Variant, ...] = ("open", "closed")
"""Variants that rank all genes as well; the others are controls and only judged."""


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
    def level(self) -> str:
        """What of the model is trained: frozen, lora, full, or linear."""
        return self.method.partition("-")[0]

    @property
    def variant(self) -> str:
        """Which cells train it; '' for the methods of every round."""
        return self.method.partition("-")[2]

    @property
    def title(self) -> str:
        """Name for a progress bar."""
        return self.method if self.fold < 0 else f"{self.method}, fold {self.fold}"


def open_arms(kinds: tuple[Kind, ...]) -> list[Arm]:
    """Arms of the open loop: the frozen encoder, and the linear control that shows what the encoder adds."""
    return [Arm("frozen", kinds=kinds), Arm("linear", kinds=kinds)]


def closed_arms(
    fold_of: Mapping[str, int],
    kinds: tuple[Kind, ...],
    levels: Collection[Level],
    *,
    with_cells: frozenset[str] | None = None,
) -> list[Arm]:
    """Arms of the representation channel: open and closed loop of each level, and their controls.

    Only the kinds that were measured are scored. A fold's model never sees the cells of its targets. All are judged on the
    same targets, edited in the same cells. The frozen level costs no fine-tuning and is always there. Of targets that only
    a screen measured (not `with_cells`) no cell can train, and those held out are judged where they are among the reference
    genes; where a fold has no target with cells to train on, the closed loop and its shuffled control are left out of all
    folds: what cannot be judged everywhere must not rank either.
    """
    cells = frozenset(fold_of) if with_cells is None else with_cells
    arms = []
    folds = sorted({-1, *fold_of.values()})
    taught = all(trains(fold_of, without=fold) & cells for fold in folds)
    for fold in folds:
        training = trains(fold_of, without=fold) & cells
        held_out = frozenset(gene for gene, other in fold_of.items() if other == fold and fold >= 0) & cells
        for level, variants in VARIANTS.items():
            if level != "frozen" and level not in levels:
                continue
            for variant in variants:
                learns = variant in ("closed", "shuffled")
                if (fold >= 0 or variant in RANKED) and (taught or not learns):
                    seen = training if learns else frozenset()
                    arms.append(Arm(f"{level}-{variant}", fold, seen, held_out, kinds))
    return arms


def train_arm(
    arm: Arm, inputs: Inputs, cells: TrainingCells | None, folder: Path, on_progress: Progress
) -> StateModel:
    """Load the arm's state model, or train and save it."""
    place = model_place(arm, inputs, cells, folder)
    found = load_state_model(place, base=inputs.model)
    if found is not None:
        return found
    if arm.method == "frozen":
        on_progress("train frozen head", 0, 1)
        trained = train_frozen(inputs.model, inputs.emb_nd, inputs.states.is_goal_n, inputs.states.train_n)
    elif arm.method == "linear":
        states = inputs.states
        trained = train_linear(states.cells, states.is_goal_n, states.train_n, inputs.model.vocabulary)
    else:
        if cells is None:
            msg = f"arm {arm.method} needs perturbed cells"
            raise ValueError(msg)
        trained = train_level(
            cells,
            cast("Level", arm.level),
            cast("Variant", arm.variant),
            training=arm.training,
            held_out=arm.held_out,
            on_step=lambda step, steps: on_progress(f"train {arm.title}", step, steps),
        )
    card = {
        "method": arm.method,
        "fold": arm.fold,
        "spent": sorted(arm.training),
        "key": model_key(arm, inputs, cells),
    }
    save_state_model(trained, place, base=inputs.model, card=card)
    return trained


@dataclass(frozen=True)
class Perturbed:
    """What an arm's edits did."""

    shifts: pd.DataFrame
    """Table `SHIFTS`."""
    estimates: pd.DataFrame | None
    """Table `ESTIMATES` of the fast engine."""
    lines: tuple[str, ...]
    """What was spent, and the noise of the arithmetic."""
    place: Path
    """Folder of the shards."""


def start_tokens(inputs: Inputs) -> Tokens:
    """Encoded start cells: those that are edited."""
    return inputs.tokens.select(np.flatnonzero(~inputs.states.is_goal_n))


def is_fast(arm: Arm, config: PerturbConfig) -> bool:
    """Whether the arm is screened: only where every gene is wanted, by an encoder, does a screen save anything."""
    return config.engine == "fast" and arm.fold < 0 and arm.method != "linear"


def plan_arm(arm: Arm, inputs: Inputs, tokens: Tokens) -> Plan:
    """List the arm's edits; for the fast engine, all of the cells it screens."""
    config = replace(inputs.config.perturb, kinds=arm.kinds)
    words = inputs.model.vocabulary
    if is_fast(arm, config):
        drawn = np.random.default_rng([config.seed, 2]).permutation(tokens.n_cells)[: config.screen_cells]
        everything = plan(tokens, words, replace(config, cells_per_gene=tokens.n_cells, not_expressed="skip"))
        kept = everything.edits[everything.edits["cell"].isin(drawn)].reset_index(drop=True)
        return replace(everything, edits=kept)
    if arm.method not in OPEN and arm.fold < 0:
        config = replace(config, cells_per_gene=min(config.cells_per_gene, config.full_cells_per_gene))
    wanted = None if arm.fold < 0 else [*sorted(arm.held_out), *reference_genes(inputs, tokens, config)]
    return plan(tokens, words, config, gene_ids=wanted)


def perturb_arm(
    arm: Arm,
    trained: StateModel,
    inputs: Inputs,
    folder: Path,
    on_progress: Progress,
    *,
    workers: int = 0,
) -> Perturbed:
    """Score the arm's edits in the start cells; shards that exist are reused."""
    config = inputs.config.perturb
    tokens = start_tokens(inputs)
    edits = plan_arm(arm, inputs, tokens)
    key = step_key("edits", config={"plan": edits.digest}, inputs=[inputs.key])
    fast = is_fast(arm, config)
    if fast:
        key = step_key("fast", config={"top": config.top, "width": config.width}, inputs=[key])
    place = folder / "shifts" / trained.digest / key
    precision = precision_of(place, config.precision, trained.model.device)
    engine = engine_of(
        trained.model,
        trained.readout,
        inputs.states.start,
        precision=precision,
        batch_tokens=config.batch_tokens,
    )
    title = f"perturb, {arm.title}"
    noise = _noise(place, engine, tokens, edits)
    if fast and isinstance(engine, ExactEngine):
        found = fast_shifts(
            engine,
            tokens,
            edits,
            place,
            config=config,
            workers=workers,
            on_edits=lambda part, done, total: on_progress(f"{title}: {part}", done, total),
        )
        return Perturbed(found.shifts, found.estimates, (found.line(), noise), place)
    shifts = run_plan(
        engine,
        tokens,
        edits,
        place,
        workers=workers,
        on_edits=lambda done, total: on_progress(title, done, total),
    )
    return Perturbed(shifts, None, (f"exact engine: {len(shifts):,} passes", noise), place)


def cost_of_arm(arm: Arm, inputs: Inputs) -> Cost:
    """What the arm's edits would cost; of the fast engine the screen and its random check, not what they will ask for."""
    tokens = start_tokens(inputs)
    edits = plan_arm(arm, inputs, tokens).edits
    config = inputs.config.perturb
    passes_n = np.bincount(edits["cell"].to_numpy(int), minlength=tokens.n_cells).astype(float)
    if is_fast(arm, config):
        screened = edits[["cell", "kind"]].drop_duplicates()
        passes = screened["kind"].map(lambda kind: PASSES_PER_SCREEN.get(kind, 0.0))
        passes_n = np.bincount(screened["cell"].to_numpy(int), passes, minlength=tokens.n_cells)
        verified_n = RANDOM_SHARE * np.bincount(edits["cell"].to_numpy(int), minlength=tokens.n_cells)
        passes_n = passes_n + verified_n
    words = inputs.model.vocabulary
    model = Linear(inputs.cells.gene_ids, words) if arm.method == "linear" else inputs.model
    anything = np.ones(model.dim, dtype=np.float32)  # the cost does not depend on what is read
    engine = engine_of(
        model, Readout(anything, anything, 0.0), inputs.states.start, batch_tokens=config.batch_tokens
    )
    return cost(engine, tokens, passes_n=passes_n)


def _noise(place: Path, engine: Engine, tokens: Tokens, edits: Plan) -> str:
    """Noise of the arithmetic, measured once in a run."""
    note = place / "noise.json"
    if not note.is_file():
        write_json(note, asdict(noise_floor(engine, tokens, edits)))
    with own(note):
        return NoiseFloor(**json.loads(note.read_text())).line()


def reference_genes(inputs: Inputs, tokens: Tokens, config: PerturbConfig) -> list[str]:
    """Draw the genes that stand for all others in a fold, by seed, among those the start cells express."""
    gene_of = inputs.model.vocabulary.gene_of_token
    expressed = sorted(gene_of[token] for token in np.unique(tokens.tokens_nt).tolist() if token in gene_of)
    rng = np.random.default_rng([config.seed, 1])
    return [expressed[place] for place in rng.permutation(len(expressed))[: config.reference_genes]]


def model_place(arm: Arm, inputs: Inputs, cells: TrainingCells | None, folder: Path) -> Path:
    """Folder of an arm's state model, named by what decides it."""
    return folder / "models" / f"{arm.method}-{model_key(arm, inputs, cells)}"


def model_key(arm: Arm, inputs: Inputs, cells: TrainingCells | None) -> str:
    """Hash of everything that decides an arm's state model; arms trained on the same cells share one."""
    config = inputs.config.to_dict()["train"] | {"model": "", "vocabulary": "", "method": arm.method}
    config = {name: value for name, value in config.items() if name not in _without_part(arm)}
    digests = [cells.perturbed.digest] if cells is not None and arm.method not in OPEN else []
    return step_key(
        "train", config=config | {"training": sorted(arm.training)}, inputs=[inputs.key, *digests]
    )


def _without_part(arm: Arm) -> set[str]:
    """Options that have no part in an arm's state model."""
    tuning = {"epochs", "batch_tokens"}
    options = {"levels"}
    if arm.variant not in ("closed", "shuffled"):
        options |= {"consistency"}
    if arm.method in OPEN:
        options |= {"perturbed_share", "max_cells"}
    rates = {"full": {"learning_rate"}, "lora": {"lora_learning_rate", "lora_rank"}}
    for level, rate in rates.items():
        options |= rate if arm.level != level else set()
    return options | (tuning | {"consistency"} if arm.level not in rates else set())
