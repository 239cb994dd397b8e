"""The arms of a round: each is one state model and the edits it scores."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from perturbloop.data.cells import Cells
from perturbloop.data.splits import trains
from perturbloop.data.tokens import Tokens, tokenize
from perturbloop.loop.inputs import Inputs, embed
from perturbloop.perturb.collect import precision_of, run_plan, write_text
from perturbloop.perturb.cost import Cost, NoiseFloor, cost, noise_floor
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.fast import PASSES_PER_SCREEN, RANDOM_SHARE, fast_shifts
from perturbloop.perturb.plan import Plan, plan
from perturbloop.perturb.readout import Readout
from perturbloop.schema import Kind, PerturbConfig
from perturbloop.store import step_key
from perturbloop.train.checkpoint import load_state_model, save_state_model
from perturbloop.train.classifier import StateModel, goal_state, heldout_auroc, train_frozen
from perturbloop.train.examples import closed_loop, open_loop
from perturbloop.train.fit import fine_tune

Progress = Callable[[str, int, int], None]


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
    def title(self) -> str:
        """Name for a progress bar."""
        return self.method if self.fold < 0 else f"{self.method}, fold {self.fold}"


@dataclass(frozen=True)
class PerturbedExamples:
    """Perturbed cells of all recorded files, cut to the genes that every file measures."""

    cells: tuple[Cells, ...]
    target_n: np.ndarray
    """Ensembl id of each cell's target, '' for controls and unmapped targets."""
    label_n: np.ndarray
    """Probability of the goal state."""
    gene_ids: np.ndarray
    """Genes that all files and the state cells measure."""
    digest: str
    """Hash of files and labels."""
    hits: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """All genes that the cells under a target hit, where they are more than the target: those of compounds."""


def open_arms(kinds: tuple[Kind, ...]) -> list[Arm]:
    """Arms of the open loop."""
    return [Arm("frozen", kinds=kinds)]


def closed_arms(
    fold_of: Mapping[str, int], kinds: tuple[Kind, ...], *, with_cells: frozenset[str] | None = None
) -> list[Arm]:
    """Arms of the representation channel: open and closed full fine-tuning, and the shuffled control.

    Only the kinds that were measured are scored. A fold's model never sees the cells of its targets. The three are
    judged on the same targets, edited in the same cells. Of targets that only a screen measured (not `with_cells`) no
    cell can train, and those held out are judged where they are among the reference genes.
    """
    cells = frozenset(fold_of) if with_cells is None else with_cells
    training = trains(fold_of, without=-1) & cells
    arms = [Arm("full-open", kinds=kinds), Arm("full-closed", -1, training, kinds=kinds)]
    for fold in sorted({fold for fold in fold_of.values() if fold >= 0}):
        held_out = frozenset(gene for gene, other in fold_of.items() if other == fold) & cells
        training = trains(fold_of, without=fold) & cells
        arms.append(Arm("full-open", fold, frozenset(), held_out, kinds))
        arms += [Arm(method, fold, training, held_out, kinds) for method in ("full-closed", "full-shuffled")]
    return arms


def train_arm(
    arm: Arm, inputs: Inputs, perturbed: PerturbedExamples | None, folder: Path, on_progress: Progress
) -> StateModel:
    """Load the arm's state model, or train and save it."""
    key = model_key(arm, inputs, perturbed)
    place = folder / "models" / f"{arm.method}-{key}"
    found = load_state_model(place, base=inputs.model)
    if found is not None:
        return found
    if arm.method == "frozen":
        on_progress("train frozen head", 0, 1)
        trained = train_frozen(inputs.model, inputs.emb_nd, inputs.states.is_goal_n, inputs.states.train_n)
    else:
        if perturbed is None:
            msg = f"arm {arm.method} needs perturbed cells"
            raise ValueError(msg)
        trained = _fine_tuned(arm, inputs, perturbed, on_progress)
    card = {"method": arm.method, "fold": arm.fold, "spent": sorted(arm.training), "key": key}
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


def start_tokens(inputs: Inputs) -> Tokens:
    """Encoded start cells: those that are edited."""
    return inputs.tokens.select(np.flatnonzero(~inputs.states.is_goal_n))


def is_fast(arm: Arm, config: PerturbConfig) -> bool:
    """Whether the arm is screened: only where every gene is wanted does a screen save anything."""
    return config.engine == "fast" and arm.fold < 0


def plan_arm(arm: Arm, inputs: Inputs, tokens: Tokens) -> Plan:
    """List the arm's edits; for the fast engine, all of the cells it screens."""
    config = replace(inputs.config.perturb, kinds=arm.kinds)
    words = inputs.model.vocabulary
    if is_fast(arm, config):
        drawn = np.random.default_rng([config.seed, 2]).permutation(tokens.n_cells)[: config.screen_cells]
        everything = plan(tokens, words, replace(config, cells_per_gene=tokens.n_cells, not_expressed="skip"))
        kept = everything.edits[everything.edits["cell"].isin(drawn)].reset_index(drop=True)
        return replace(everything, edits=kept)
    if arm.method != "frozen" and arm.fold < 0:
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
    engine = ExactEngine(
        trained.model, trained.readout, precision=precision, batch_tokens=config.batch_tokens
    )
    title = f"perturb, {arm.title}"
    noise = _noise(place, engine, tokens, edits)
    if fast:
        found = fast_shifts(
            engine,
            tokens,
            edits,
            place,
            config=config,
            workers=workers,
            on_edits=lambda part, done, total: on_progress(f"{title}: {part}", done, total),
        )
        return Perturbed(found.shifts, found.estimates, (found.line(), noise))
    shifts = run_plan(
        engine,
        tokens,
        edits,
        place,
        workers=workers,
        on_edits=lambda done, total: on_progress(title, done, total),
    )
    return Perturbed(shifts, None, (f"exact engine: {len(shifts):,} passes", noise))


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
    anything = np.ones(inputs.model.dim, dtype=np.float32)  # the cost does not depend on what is read
    engine = ExactEngine(inputs.model, Readout(anything, anything, 0.0), batch_tokens=config.batch_tokens)
    return cost(engine, tokens, passes_n=passes_n)


def _noise(place: Path, engine: ExactEngine, tokens: Tokens, edits: Plan) -> str:
    """Noise of the arithmetic, measured once in a run."""
    note = place / "noise.json"
    if not note.is_file():
        write_text(note, json.dumps(asdict(noise_floor(engine, tokens, edits))))
    return NoiseFloor(**json.loads(note.read_text())).line()


def reference_genes(inputs: Inputs, tokens: Tokens, config: PerturbConfig) -> list[str]:
    """Draw the genes that stand for all others in a fold, by seed, among those the start cells express."""
    gene_of = inputs.model.vocabulary.gene_of_token
    expressed = sorted(gene_of[token] for token in np.unique(tokens.tokens_nt).tolist() if token in gene_of)
    rng = np.random.default_rng([config.seed, 1])
    return [expressed[place] for place in rng.permutation(len(expressed))[: config.reference_genes]]


def model_key(arm: Arm, inputs: Inputs, perturbed: PerturbedExamples | None) -> str:
    """Hash of everything that decides an arm's state model; arms trained on the same cells share one."""
    config = inputs.config.to_dict()["train"] | {"model": "", "vocabulary": "", "method": arm.method}
    digests = [perturbed.digest] if perturbed is not None and arm.method != "frozen" else []
    return step_key(
        "train", config=config | {"training": sorted(arm.training)}, inputs=[inputs.key, *digests]
    )


def _fine_tuned(arm: Arm, inputs: Inputs, perturbed: PerturbedExamples, on_progress: Progress) -> StateModel:
    """Fine-tune on cells cut to the shared genes, so that panel and state cannot be confounded."""
    config, states = inputs.config.train, inputs.states
    rng = np.random.default_rng([config.seed, 2])
    words = inputs.model.vocabulary
    cut = tokenize(inputs.cells.restrict(perturbed.gene_ids), words)
    examples = open_loop(
        cut.select(states.train_n), states.is_goal_n[states.train_n], max_cells=config.max_cells, rng=rng
    )
    if arm.training:
        rows = [tokenize(cells.restrict(perturbed.gene_ids), words) for cells in perturbed.cells]
        tokens = Tokens.of_rows(
            [part.row(n) for part in rows for n in range(part.n_cells)], has_cls=cut.has_cls
        )
        examples = closed_loop(
            examples,
            tokens,
            perturbed.label_n,
            perturbed.target_n,
            training=arm.training,
            held_out=arm.held_out,
            hits=perturbed.hits,
            share=config.perturbed_share,
            rng=rng,
            shuffled=arm.method == "full-shuffled",
        )
    model, weight_d, bias = fine_tune(
        inputs.model,
        examples,
        config,
        on_step=lambda step, steps, _: on_progress(f"train {arm.title}", step, steps),
    )
    # The edits are made in whole cells, so goal state and check are read from whole cells too.
    emb_nd = embed(model, inputs.tokens)
    goal_d = goal_state(emb_nd, states.is_goal_n & states.train_n)
    readout = Readout(goal_d, weight_d, bias)
    auroc = heldout_auroc(readout, emb_nd, states.is_goal_n, states.train_n)
    return StateModel(model, readout, auroc, len(examples.label_n))
