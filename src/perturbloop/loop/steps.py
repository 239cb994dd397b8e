"""Every step of a round, each a function from what is recorded to what is written."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from perturbloop.data.splits import trains
from perturbloop.design.propose import propose
from perturbloop.evaluate import (
    Verdict,
    baselines,
    de_isp,
    differential,
    failure,
    gate,
    positives,
    recognize,
    scoreboard,
    static_pathway,
    strata,
)
from perturbloop.evaluate.calls import with_pool_padj
from perturbloop.evaluate.controls import Recognized
from perturbloop.loop.arms import (
    OPEN,
    Arm,
    Perturbed,
    Progress,
    closed_arms,
    model_place,
    open_arms,
    perturb_arm,
    train_arm,
)
from perturbloop.loop.evidence import (
    Evidence,
    evidence_of,
    evidence_predictions,
    networks_of,
    posterior_table,
)
from perturbloop.loop.folder import Campaign, read_of_round
from perturbloop.loop.inputs import Inputs
from perturbloop.loop.outcomes import Outcomes, keep_in_round, perturbed_examples
from perturbloop.loop.ranking import covariates, predictions_of, rank, with_null, with_score
from perturbloop.loop.scores import correlations, gains
from perturbloop.loop.training import TrainingCells
from perturbloop.perturb.interop import write_goal_state_csv
from perturbloop.report import GAINS, RANK_CORRELATIONS
from perturbloop.schema import (
    EFFECTS,
    METRICS,
    POSTERIOR,
    PREDICTIONS,
    PROPOSALS,
    RANKING,
    STRATA,
    Kind,
    concat,
)
from perturbloop.stats.geneformer import goal_state_stats
from perturbloop.store.files import read_table, whole, write_json, write_table
from perturbloop.train.classifier import StateModel

DEFAULT, WITHOUT_MODEL = "posterior", "posterior-alone"
"""Method of the default ranking once targets were measured; and where the open loop failed its control gate."""

STEPS = ("check", "train", "perturb", "evaluate", "propose", "report")


@dataclass
class Work:
    """A round in progress: what its steps hand to the next; everything in it can be read back from the folder."""

    campaign: Campaign
    inputs: Inputs
    outcomes: Outcomes | None
    on_progress: Progress
    models: dict[Arm, StateModel] = field(default_factory=dict)
    places: dict[Arm, Path] = field(default_factory=dict)
    """Folders of the models."""
    perturbed: dict[Arm, Perturbed] = field(default_factory=dict)
    workers: int = 0

    @property
    def frozen(self) -> Perturbed:
        """Edits of the open loop."""
        return next(found for arm, found in self.perturbed.items() if arm.method == "frozen")

    @property
    def arms(self) -> list[Arm]:
        """Arms of this round."""
        arms = open_arms(self.campaign.config.perturb.kinds)
        if self.outcomes is None:
            return arms
        measured = self.outcomes.kinds_of_cells
        kinds = tuple(kind for kind in self.campaign.config.perturb.kinds if kind in measured)
        if not kinds:
            return arms
        levels, with_cells = self.campaign.config.train.levels, self.outcomes.with_cells
        return [*arms, *closed_arms(self.outcomes.fold_of, kinds, levels, with_cells=with_cells)]


def train(work: Work) -> None:
    """Train or load the state model of every arm."""
    missing = [arm for arm in work.arms if arm not in work.models]
    cells = None
    if any(arm.method not in OPEN for arm in missing):  # a screen alone brings no cells
        cells = TrainingCells(work.inputs, perturbed_examples(work.campaign, work.inputs))
    for arm in missing:
        work.places[arm] = model_place(arm, work.inputs, cells, work.campaign.folder)
        work.models[arm] = train_arm(arm, work.inputs, cells, work.campaign.folder, work.on_progress)


def perturb(work: Work) -> None:
    """Score the edits of every arm; finished shards are read."""
    train(work)
    for arm in work.arms:
        if arm not in work.perturbed:
            work.perturbed[arm] = perturb_arm(
                arm,
                work.models[arm],
                work.inputs,
                work.campaign.folder,
                work.on_progress,
                workers=work.workers,
            )


def evaluate(work: Work, number: int) -> tuple[Path, ...]:
    """Write ranking, predictions, metrics and gains of a round; return the files."""
    perturb(work)
    folder, config = work.campaign.round_folder(number), work.campaign.config
    rankings = {arm: pd.concat([rank_arm(work, arm, kind) for kind in arm.kinds]) for arm in work.arms}
    frozen = next(table for arm, table in rankings.items() if arm.method == "frozen")
    states = work.inputs.states
    de = differential(
        states.cells,
        states.is_goal_n,
        donor_n=states.donor_n,
        by=config.evaluate.de,
        seed=config.evaluate.seed,
    )
    rng = np.random.default_rng(config.evaluate.seed)
    found = recognize(de, states.cells.gene_names)
    base = concat(
        PREDICTIONS,
        [
            *(predictions_of(table, method=arm.method, fold=arm.fold) for arm, table in rankings.items()),
            baselines(
                states.cells,
                states.is_goal_n,
                kinds=config.perturb.kinds,
                rng=rng,
                de=de,
                gene_sets=work.inputs.annotations.gene_sets,
                pathway=static_pathway(
                    config.evaluate.pathway, found, gene_sets=work.inputs.annotations.gene_sets
                ),
            ),
        ],
    )
    base = concat(PREDICTIONS, [base, de_isp(base)])
    verdicts = _gate(work, frozen, found)
    default = WITHOUT_MODEL if failure(verdicts) else DEFAULT
    evidence = _evidence(work, de)
    parts = [evidence_predictions(base, entry, kind=kind, rng=rng) for kind, entry in evidence.items()]
    predictions = concat(PREDICTIONS, [base, *parts])
    ranking = concat(
        RANKING, [_default(frozen, predictions, kind, evidence, default) for kind in config.perturb.kinds]
    )
    judged = work.outcomes.judged if work.outcomes else pd.DataFrame(columns=EFFECTS.names)
    metrics = pd.DataFrame(columns=METRICS.names)
    gained = pd.DataFrame(columns=GAINS.names)
    divided = pd.DataFrame(columns=STRATA.names)
    files: list[Path] = []
    if work.outcomes is not None:
        known = work.inputs.annotations
        metrics = scoreboard(
            _with_calls(work, predictions, rankings, rng),
            judged,
            config=config.evaluate,
            gene_sets=known.gene_sets,
        )
        gained = gains(predictions, judged, evidence, config=config.evaluate, gene_sets=known.gene_sets)
        level = base[base["method"] == "expression"].drop_duplicates("gene_id")
        expression = dict(zip(level["gene_id"], level["score"], strict=True))
        divided = strata(predictions, judged, expression=expression, essential=known.essential)
        files += keep_in_round(work.outcomes, folder)
    moved = pd.DataFrame(columns=RANK_CORRELATIONS.names)
    first = work.campaign.round_folder(0) / "predictions.parquet"
    if number > 0 and first.is_file():
        todo = "An earlier round cannot be made anew. Delete it: rank correlations with that round are then left out."
        moved = correlations(predictions, read_table(first, todo=todo))
    tables = {"ranking": ranking, "predictions": predictions, "metrics": metrics, "gains": gained}
    tables["strata"] = divided
    tables["posterior"], skills = _posteriors(work, frozen, evidence, default)
    if work.frozen.estimates is not None:
        tables["estimates"] = work.frozen.estimates
    for name, table in (tables | {"rank_correlations": moved, "de": de}).items():
        files.append(folder / f"{name}.parquet")
        write_table(files[-1], table)
    if work.frozen.estimates is None:  # the published tool's table says nothing of screened shifts
        files += _write_published(work, folder)
    work.campaign.store.save_scores(number, metrics)
    facts = {"default": default if evidence else "frozen", "network_skill": skills}
    files.append(folder / "scores.json")
    write_json(files[-1], _sidecar(work, metrics, gained, moved, verdicts) | facts)
    return tuple(files)


def _gate(work: Work, ranking: pd.DataFrame, found: tuple[Recognized, ...]) -> tuple[Verdict, ...]:
    """Judge the open loop of a round by its controls."""
    config = work.campaign.config
    known = positives(
        config.evaluate.positive_controls,
        found,
        work.inputs.cells.gene_names,
        start=config.cells.start,
        goal=config.cells.goal,
    )
    frozen = next(trained for arm, trained in work.models.items() if arm.method == "frozen")
    return gate(
        ranking,
        heldout_auroc=frozen.heldout_auroc,
        positive=known,
        named_negative=config.evaluate.negative_controls,
        fdr=config.evaluate.fdr,
    )


def _write_published(work: Work, folder: Path) -> Iterator[Path]:
    """Write the open loop's shifts as the published tool's goal-state table, for comparison; a file for each kind."""
    words = work.inputs.model.vocabulary
    token_of = dict(zip(words.gene_ids, words.tokens, strict=True))
    names = {gene: str(name) for gene, name in zip(words.gene_ids, words.gene_names, strict=True)}
    for kind, rows in work.frozen.shifts.groupby("kind"):
        shifts = pd.DataFrame(
            {"state": "goal", "token": rows["gene_id"].map(token_of), "shift": rows["shift_to_goal"]}
        )
        ids = {int(token): str(gene) for gene, token in token_of.items()}
        table = goal_state_stats(shifts, goal_state="goal", gene_ids=ids, gene_names=names)
        path = folder / f"geneformer_{kind}.csv"
        with whole(path) as beside:
            write_goal_state_csv(table, beside)
        yield path


def models_of(work: Work) -> dict[str, dict[str, float]]:
    """State models of a round by title, and how well each tells held-out unperturbed cells apart."""
    return {
        arm.title: {"heldout_auroc": trained.heldout_auroc, "n_train": trained.n_train}
        for arm, trained in work.models.items()
    }


def choose(work: Work, number: int) -> tuple[Path, ...]:
    """Write the proposals of a round, a greedy batch and a chance batch; return the file."""
    folder, config = work.campaign.round_folder(number), work.campaign.config.evaluate
    ranking = read_of_round(folder, "ranking")
    pool = ranking
    if work.outcomes is not None:  # held-out targets are measured too, so they are no proposals either
        kinds = work.outcomes.kinds
        pool = ranking[ranking["kind"].isin(kinds) & ~ranking["gene_id"].isin(work.outcomes.fold_of)]
    free = int(pool.loc[pool["status"] == "scored", "gene_id"].nunique())
    proposals = pd.DataFrame(columns=PROPOSALS.names)
    if free:
        proposals = propose(
            pool, budget=min(config.budget, free), rng=np.random.default_rng([config.seed, number])
        )
    path = folder / "proposals.parquet"
    write_table(path, proposals)
    work.campaign.store.save_proposals(number, proposals)
    return (path,)


def _with_calls(
    work: Work, predictions: pd.DataFrame, rankings: dict[Arm, pd.DataFrame], rng: np.random.Generator
) -> pd.DataFrame:
    """Put the columns beside the predictions that the rules of a call need, for every method that can have them.

    The published rule reads the shifts of single cells, which only encoders have, and only where the edits were exact.
    """
    config, start = work.campaign.config, work.inputs.states.start
    shifts = work.frozen.shifts
    by_kind = {kind: covariates(shifts[shifts["kind"] == kind], start) for kind in config.perturb.kinds}
    beside = with_null(predictions, by_kind, null_genes=config.perturb.null_genes)
    pooled = [
        with_pool_padj(table, work.perturbed[arm].shifts, rng=rng)
        .assign(method=arm.method, fold=arm.fold)
        .filter(["method", "fold", "gene_id", "kind", "pool_padj", "shift_to_goal"])
        for arm, table in rankings.items()
        if work.perturbed[arm].estimates is None
    ]
    return beside.merge(pd.concat(pooled), how="left") if pooled else beside


def rank_arm(work: Work, arm: Arm, kind: Kind) -> pd.DataFrame:
    """Table RANKING of one arm whose edits are made, by its own score."""
    states, config = work.inputs.states, work.campaign.config
    donor_n = None if states.donor_n is None else states.donor_n[~states.is_goal_n]
    found = work.perturbed[arm]
    return rank(
        found.shifts,
        states.start,
        work.inputs.model.vocabulary,
        kind=kind,
        donor_n=donor_n,
        null_genes=config.perturb.null_genes,
        fdr=config.evaluate.fdr,
        estimates=found.estimates,
        essential=work.inputs.annotations.essential,
    )


def _evidence(work: Work, de: pd.DataFrame) -> dict[Kind, Evidence]:
    if work.outcomes is None:
        return {}
    known, config = networks_of(work.inputs, de), work.campaign.config
    kinds: list[Kind] = [kind for kind in config.perturb.kinds if kind in work.outcomes.kinds]
    effects, fold_of = work.outcomes.effects, work.outcomes.fold_of
    return {
        kind: evidence_of(known, effects, kind, fold_of=fold_of, seed=config.evaluate.seed) for kind in kinds
    }


def _posteriors(
    work: Work, frozen: pd.DataFrame, evidence: dict[Kind, Evidence], default: str
) -> tuple[pd.DataFrame, dict[Kind, dict[str, float]]]:
    """Table POSTERIOR of all kinds that were measured, and the skill of each network by kind."""
    cells = work.inputs.cells
    names = dict(zip(cells.gene_ids, cells.gene_names, strict=True))
    tables: list[pd.DataFrame] = []
    skills: dict[Kind, dict[str, float]] = {}
    for kind, entry in evidence.items():
        if not entry.enough:
            continue
        scored = frozen[frozen["kind"].eq(kind) & frozen["benefit"].notna()]
        insilico = scored.set_index("gene_id")["benefit"] * float(default == DEFAULT)
        table, skills[kind] = posterior_table(entry, insilico, kind, names)
        tables.append(table)
    return concat(POSTERIOR, tables), skills


def _default(
    frozen: pd.DataFrame, predictions: pd.DataFrame, kind: Kind, evidence: dict[Kind, Evidence], default: str
) -> pd.DataFrame:
    """Rank by the posterior where enough targets of this kind were measured, else by the open loop."""
    rows = frozen[frozen["kind"] == kind]
    if kind not in evidence:
        return rows
    full = predictions[
        predictions["method"].eq(default) & predictions["kind"].eq(kind) & predictions["fold"].eq(-1)
    ]
    if full.empty:  # too few genes were measured
        return rows
    spent = trains(evidence[kind].fold_of, without=-1)
    return with_score(rows, dict(zip(full["gene_id"], full["score"], strict=True)), spent=spent)


def _sidecar(
    work: Work,
    metrics: pd.DataFrame,
    gained: pd.DataFrame,
    moved: pd.DataFrame,
    verdicts: tuple[Verdict, ...],
) -> dict[str, object]:
    inputs, config = work.inputs, work.campaign.config
    reports = work.outcomes.reports if work.outcomes else ()
    return {
        "config": config.to_dict(),
        "data_digest": inputs.cells.digest,
        "model_digest": inputs.model.digest,
        "vocabulary_digest": inputs.model.vocabulary.digest,
        "seed": config.train.seed,
        "models": models_of(work),
        "gate": [asdict(verdict) for verdict in verdicts],
        "label_sources": {
            report["source"]: report["label_source"] for report in reports if "label_source" in report
        },
        "metrics": metrics.astype(object).where(metrics.notna(), None).to_dict("records"),
        "gains": gained.astype(object).where(gained.notna(), None).to_dict("records"),
        "rank_correlations": moved.astype(object).where(moved.notna(), None).to_dict("records"),
    }
