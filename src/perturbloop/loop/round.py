"""A round, judged: from what the edits did to ranking, scoreboard, gains and the facts that its report needs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from perturbloop import __version__
from perturbloop.compat.goal_state import goal_state_stats, write_goal_state_csv
from perturbloop.data.splits import trains
from perturbloop.evaluate import (
    baselines,
    de_isp,
    differential,
    gate,
    positives,
    power,
    recognize,
    scoreboard,
    static_pathway,
    strata,
)
from perturbloop.evaluate.calls import with_pool_padj
from perturbloop.evaluate.comparisons import correlations, gains
from perturbloop.evaluate.controls import Recognized
from perturbloop.evidence.channel import (
    Evidence,
    Networks,
    evidence_of,
    evidence_predictions,
    networks_of,
    posterior_table,
)
from perturbloop.evidence.kernels import gene_set_kernel, vector_kernel
from perturbloop.loop.arms import Arm
from perturbloop.loop.folder import CampaignFolder
from perturbloop.loop.inputs import Inputs
from perturbloop.loop.recorded import Outcomes, keep_in_round
from perturbloop.perturb.ranking import by_posterior, completed, covariates, predictions_of, rank, with_null
from perturbloop.report.facts import Judged, RoundFacts, Stimulus
from perturbloop.schema import (
    GAINS,
    METRICS,
    POSTERIOR,
    PREDICTIONS,
    RANK_CORRELATIONS,
    RANKING,
    STRATA,
    Kind,
    RecordedCells,
    Verdict,
    concat,
    failure,
)
from perturbloop.store import step_key
from perturbloop.store.files import read_table, whole, write_json, write_table

if TYPE_CHECKING:
    from perturbloop.loop.execute import Perturbed

DEFAULT, WITHOUT_MODEL = "posterior", "posterior-alone"
"""Method of the default ranking once targets were measured; and where the open loop failed its control gate."""


def evaluate_round(
    campaign: CampaignFolder,
    inputs: Inputs,
    outcomes: Outcomes | None,
    perturbed: "Mapping[Arm, Perturbed]",
    models: Mapping[Arm, Mapping[str, float]],
    folder: Path,
) -> Iterator[Path]:
    """Write ranking, predictions, metrics, gains and facts of a round; the files.

    Parameters
    ----------
    campaign, inputs, outcomes
        The campaign, its cells and model, and what was measured.
    perturbed
        What the edits of each arm did.
    models
        Per arm, `heldout_auroc` and `n_train` of its state model.
    folder
        Folder of the round.
    """
    config, rng = campaign.config, np.random.default_rng(campaign.config.evaluate.seed)
    rankings = {
        arm: pd.concat([rank_arm(arm, found, kind, inputs) for kind in arm.kinds])
        for arm, found in perturbed.items()
    }
    opened = next(arm for arm in perturbed if arm.method == "frozen")
    frozen, edits = rankings[opened], perturbed[opened]
    de = differential_of(inputs, campaign.folder)
    found = recognize(de, inputs.cells.gene_names)
    base = _base(inputs, rankings, de, found, rng)
    verdicts = _gate(inputs, frozen, models[opened]["heldout_auroc"], found)
    default = WITHOUT_MODEL if failure(verdicts) else DEFAULT
    evidence = _evidence(inputs, outcomes, de)
    parts = [evidence_predictions(base, entry, kind=kind, rng=rng) for kind, entry in evidence.items()]
    predictions = concat(PREDICTIONS, [base, *parts])
    called = _with_calls(inputs, predictions, rankings, perturbed) if outcomes else predictions
    posterior, skills = _posteriors(inputs, frozen, evidence, default)
    tables = {
        "ranking": completed(_default(frozen, predictions, posterior, evidence, default), de),
        "predictions": predictions,
        **_judge(inputs, outcomes, predictions, called, evidence),
        "posterior": posterior,
        "rank_correlations": _moved(predictions, folder),
        "de": de,
    }
    if edits.estimates is not None:
        tables["estimates"] = edits.estimates
    for name, table in tables.items():
        yield _written(folder / f"{name}.parquet", table)
    if outcomes is not None:
        yield from keep_in_round(outcomes, folder)
    if edits.estimates is None:  # the published tool's table says nothing of screened shifts
        yield from _write_published(edits.shifts, inputs, folder)
    campaign.store.save_scores(int(folder.name), tables["metrics"])
    facts = RoundFacts(
        config=config,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        source=inputs.cells.source,
        **inputs.digests,
        vocabulary=inputs.vocabulary.version,
        design=inputs.states.design,
        n_start=int((~inputs.states.is_goal_n).sum()),
        n_goal=int(inputs.states.is_goal_n.sum()),
        check_lines=tuple(inputs.lines()),
        warnings=inputs.states.warnings,
        model_lines=inputs.view.lines,
        models={arm.title: dict(model) for arm, model in models.items()},
        full_rankings=tuple(arm.title for arm in models if arm.fold < 0),
        verdicts=verdicts,
        default=default if evidence else "frozen",
        network_skill=skills,
        stimulus=_stimulus(found),
        judged=_judged(outcomes, seed=config.evaluate.seed),
        gene_sets=inputs.annotations.gene_sets.lines()[0] if inputs.annotations.gene_sets else "",
        pydeseq2=config.evaluate.de == "rank-sum" or find_spec("pydeseq2") is not None,
    )
    yield facts.save(folder)
    yield _sidecar(folder / "scores.json", facts, outcomes, tables)


def rank_arm(arm: Arm, found: "Perturbed", kind: Kind, inputs: Inputs) -> pd.DataFrame:
    """Table RANKING of one arm whose edits are made, by its own score.

    Parameters
    ----------
    arm, found
        The arm, and what its edits did.
    kind
        Which edits.
    inputs
        Start cells, and options.
    """
    config = inputs.config
    return rank(
        found.shifts,
        inputs.states.start,
        inputs.vocabulary,
        kind=kind,
        donor_n=inputs.start_donor_n,
        null_genes=config.perturb.null_genes,
        fdr=config.evaluate.fdr,
        estimates=found.estimates,
        essential=inputs.annotations.essential,
    )


def differential_of(inputs: Inputs, folder: Path) -> pd.DataFrame:
    """Differential expression of goal against start cells, kept in the campaign's folder once made."""
    states, config = inputs.states, inputs.config.evaluate
    options = {"de": config.de, "seed": config.seed, "pydeseq2": find_spec("pydeseq2") is not None}
    path = folder / "de" / f"{step_key('de', config=options, inputs=[inputs.key])}.parquet"
    if not path.is_file():
        table = differential(
            states.cells, states.is_goal_n, donor_n=states.donor_n, by=config.de, seed=config.seed
        )
        write_table(path, table)
    return read_table(path)


def networks(inputs: Inputs, de: pd.DataFrame) -> Networks:
    """Which genes are alike: in the user's own cells, to the encoder, and by gene sets where a file was named."""
    known = inputs.annotations.gene_sets
    embeddings = inputs.view.model.gene_embeddings()
    others = [vector_kernel("gene embeddings", inputs.vocabulary.gene_ids, embeddings)]
    return networks_of(inputs.states, de, [*others, *([gene_set_kernel(known)] if known else [])])


def _base(
    inputs: Inputs,
    rankings: Mapping[Arm, pd.DataFrame],
    de: pd.DataFrame,
    found: tuple[Recognized, ...],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """PREDICTIONS of every arm and of the baselines that know no effect."""
    config, sets = inputs.config, inputs.annotations.gene_sets
    others = baselines(
        inputs.cells,
        inputs.states.is_goal_n,
        kinds=config.perturb.kinds,
        rng=rng,
        de=de,
        gene_sets=sets,
        pathway=static_pathway(config.evaluate.pathway, found, gene_sets=sets),
    )
    own = [predictions_of(table, method=arm.method, fold=arm.fold) for arm, table in rankings.items()]
    base = concat(PREDICTIONS, [*own, others])
    return concat(PREDICTIONS, [base, de_isp(base)])


def _gate(
    inputs: Inputs, ranking: pd.DataFrame, auroc: float, found: tuple[Recognized, ...]
) -> tuple[Verdict, ...]:
    """Judge the open loop of a round by its controls."""
    config = inputs.config
    named, cells = config.evaluate.positive_controls, config.cells
    known = positives(named, found, inputs.cells.gene_names, start=cells.start, goal=cells.goal)
    negative, fdr = config.evaluate.negative_controls, config.evaluate.fdr
    return gate(ranking, heldout_auroc=auroc, positive=known, named_negative=negative, fdr=fdr)


def _evidence(inputs: Inputs, outcomes: Outcomes | None, de: pd.DataFrame) -> dict[Kind, Evidence]:
    if outcomes is None:
        return {}
    known, seed = networks(inputs, de), inputs.config.evaluate.seed
    kinds: list[Kind] = [kind for kind in inputs.config.perturb.kinds if kind in outcomes.kinds]
    return {
        kind: evidence_of(known, outcomes.effects, kind, fold_of=outcomes.fold_of, seed=seed)
        for kind in kinds
    }


def _judge(
    inputs: Inputs,
    outcomes: Outcomes | None,
    predictions: pd.DataFrame,
    called: pd.DataFrame,
    evidence: Mapping[Kind, Evidence],
) -> dict[str, pd.DataFrame]:
    """Tables that judge the methods; empty where nothing was measured."""
    if outcomes is None:
        return {table.name: pd.DataFrame(columns=table.names) for table in (METRICS, GAINS, STRATA)}
    known, config, judged = inputs.annotations, inputs.config.evaluate, outcomes.judged
    level = predictions[predictions["method"] == "expression"].drop_duplicates("gene_id")
    expression = dict(zip(level["gene_id"], level["score"], strict=True))
    return {
        "metrics": scoreboard(called, judged, config=config, gene_sets=known.gene_sets),
        "gains": gains(predictions, judged, evidence, config=config, gene_sets=known.gene_sets),
        "strata": strata(predictions, judged, expression=expression, essential=known.essential),
    }


def _with_calls(
    inputs: Inputs,
    predictions: pd.DataFrame,
    rankings: Mapping[Arm, pd.DataFrame],
    perturbed: "Mapping[Arm, Perturbed]",
) -> pd.DataFrame:
    """Put the columns beside the predictions that the rules of a call need, for every method that can have them.

    The published rule reads the shifts of single cells, which only encoders have, and only where the edits were exact.
    """
    config, start = inputs.config.perturb, inputs.states.start
    shifts = next(found.shifts for arm, found in perturbed.items() if arm.method == "frozen")
    by_kind = {kind: covariates(shifts[shifts["kind"] == kind], start) for kind in config.kinds}
    beside = with_null(predictions, by_kind, null_genes=config.null_genes)
    pooled = [
        with_pool_padj(table, perturbed[arm].shifts, token_of=inputs.vocabulary.token_of)
        .assign(method=arm.method, fold=arm.fold)
        .filter(["method", "fold", "gene_id", "kind", "pool_padj", "shift_to_goal"])
        for arm, table in rankings.items()
        if perturbed[arm].estimates is None
    ]
    return beside.merge(pd.concat(pooled), how="left") if pooled else beside


def _moved(predictions: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """How far the rankings moved since round 0."""
    first = folder.parent / "000" / "predictions.parquet"
    if first.parent == folder or not first.is_file():
        return pd.DataFrame(columns=RANK_CORRELATIONS.names)
    todo = "An earlier round cannot be made anew. Delete it: rank correlations with that round are then left out."
    return correlations(predictions, read_table(first, todo=todo))


def _posteriors(
    inputs: Inputs, frozen: pd.DataFrame, evidence: Mapping[Kind, Evidence], default: str
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Table POSTERIOR of all kinds that were measured, and the skill of each network by kind."""
    names = dict(zip(inputs.cells.gene_ids, inputs.cells.gene_names, strict=True))
    tables: list[pd.DataFrame] = []
    skills: dict[str, dict[str, float]] = {}
    for kind, entry in evidence.items():
        if not entry.enough:
            continue
        scored = frozen[frozen["kind"].eq(kind) & frozen["benefit"].notna()]
        insilico = scored.set_index("gene_id")["benefit"] * float(default == DEFAULT)
        table, skills[kind] = posterior_table(entry, insilico, kind, names)
        tables.append(table)
    return concat(POSTERIOR, tables), skills


def _default(
    frozen: pd.DataFrame,
    predictions: pd.DataFrame,
    posterior: pd.DataFrame,
    evidence: Mapping[Kind, Evidence],
    default: str,
) -> pd.DataFrame:
    """Rank by the posterior where enough targets of a kind were measured, else by the open loop."""
    parts = []
    full = predictions[predictions["method"].eq(default) & predictions["fold"].eq(-1)]
    for kind, rows in frozen.groupby("kind", sort=False):
        score = full[full["kind"].eq(kind)]
        if score.empty:  # too few genes were measured
            parts.append(rows)
            continue
        spent = trains(evidence[cast("Kind", kind)].fold_of, without=-1)
        score_of = dict(zip(score["gene_id"], score["score"], strict=True))
        learnt = posterior[posterior["kind"].eq(kind)]
        parts.append(by_posterior(rows, score_of, learnt, spent=spent, with_model=default == DEFAULT))
    return concat(RANKING, parts)


def _write_published(shifts: pd.DataFrame, inputs: Inputs, folder: Path) -> Iterator[Path]:
    """Write the open loop's shifts as the published tool's goal-state table, for comparison; a file for each kind."""
    words = inputs.vocabulary
    for kind, rows in shifts.groupby("kind"):
        of_goal = pd.DataFrame(
            {"state": "goal", "token": rows["gene_id"].map(words.token_of), "shift": rows["shift_to_goal"]}
        )
        table = goal_state_stats(
            of_goal, goal_state="goal", gene_ids=words.gene_of_token, gene_names=words.names.by_id
        )
        path = folder / f"geneformer_{kind}.csv"
        with whole(path) as beside:
            write_goal_state_csv(table, beside)
        yield path


def _stimulus(found: tuple[Recognized, ...]) -> Stimulus | None:
    if not found:
        return None
    best = found[0]
    return Stimulus(
        title=best.control.title,
        raised_in=best.raised_in,
        found=best.found,
        n_measured=best.n_measured,
        pathway=best.control.pathway,
        other=best.control.other,
    )


def _judged(outcomes: Outcomes | None, *, seed: int) -> tuple[Judged, ...]:
    """Per modality, what so many held-out hits can tell."""
    if outcomes is None:
        return ()
    rows = outcomes.judged[outcomes.judged["level"].eq("gene") & outcomes.judged["fold"].ge(0)]
    said = []
    for modality, group in rows.groupby("modality"):
        n_hits = int((group["hit"].astype(bool) & group["effect_to_goal"].gt(0)).sum())
        says = power(n_hits, len(group), rng=np.random.default_rng(seed)).sentence
        said.append(Judged(modality=str(modality), n_genes=len(group), n_hits=n_hits, sentence=says))
    return tuple(said)


def _sidecar(
    path: Path, facts: RoundFacts, outcomes: Outcomes | None, tables: Mapping[str, pd.DataFrame]
) -> Path:
    """Write the scores and what made them, for machines."""
    recorded = outcomes.recorded if outcomes else ()
    rows = {
        name: tables[name].astype(object).where(tables[name].notna(), None).to_dict("records")
        for name in ("metrics", "gains", "rank_correlations")
    }
    tree: dict[str, Any] = {
        "config": facts.config.to_dict(),
        "data_digest": facts.data_digest,
        "model_digest": facts.model_digest,
        "vocabulary_digest": facts.vocabulary_digest,
        "seed": facts.config.train.seed,
        "models": facts.models,
        "gate": [asdict(verdict) for verdict in facts.verdicts],
        "label_sources": {one.source: one.label_source for one in recorded if isinstance(one, RecordedCells)},
        **rows,
        "default": facts.default,
        "network_skill": facts.network_skill,
    }
    write_json(path, tree)
    return path


def _written(path: Path, table: pd.DataFrame) -> Path:
    write_table(path, table)
    return path
