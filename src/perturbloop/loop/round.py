"""A round, judged: from what the edits did to ranking, scoreboard, gains and the facts that its report needs."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from perturbloop import __version__
from perturbloop.compat.goal_state import write_goal_states
from perturbloop.data.states import mixtures
from perturbloop.evaluate import (
    baselines,
    de_isp,
    differential,
    gate,
    pathway_scales,
    positives,
    recognize,
    scoreboard,
    static_pathway,
    strata,
)
from perturbloop.evaluate.calls import Shifted, with_calls
from perturbloop.evaluate.comparisons import gains, moved_since_first
from perturbloop.evaluate.controls import Recognized, stimulus_of
from perturbloop.evaluate.judgeable import spared_lines
from perturbloop.evaluate.power import judged_targets
from perturbloop.evidence.channel import Evidence, Networks, evidence_of, evidence_predictions, networks_of
from perturbloop.evidence.expression import expression_of, sets_of
from perturbloop.evidence.kernels import vector_kernel
from perturbloop.evidence.ranking import posteriors, ranked
from perturbloop.loop.arms import Arm
from perturbloop.loop.folder import CampaignFolder
from perturbloop.loop.inputs import Inputs
from perturbloop.loop.recorded import Outcomes, keep_in_round
from perturbloop.perturb.ranking import completed, covariates, predictions_of, rank
from perturbloop.report.facts import RoundFacts, write_scores
from perturbloop.schema import (
    GAINS,
    METRICS,
    PREDICTIONS,
    STRATA,
    WITH_MODEL,
    WITHOUT_MODEL,
    Kind,
    Verdict,
    concat,
    failure,
)
from perturbloop.store import step_key
from perturbloop.store.files import read_table, write_table

if TYPE_CHECKING:
    from perturbloop.perturb.run import Perturbed


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
    with_model = not failure(verdicts)
    evidence = _evidence(inputs, outcomes, de, found, passed=with_model)
    parts = [evidence_predictions(base, entry, kind=kind, rng=rng) for kind, entry in evidence.items()]
    predictions = concat(PREDICTIONS, [base, *parts])
    names = dict(zip(inputs.cells.gene_ids, inputs.cells.gene_names, strict=True))
    posterior, shares = posteriors(frozen, evidence, names, with_model=with_model)
    ranking = ranked(frozen, predictions, posterior, evidence, with_model=with_model)
    tables = {
        "ranking": completed(ranking, de),
        "predictions": predictions,
        **_judge(inputs, outcomes, predictions, rankings, perturbed, evidence),
        "posterior": posterior,
        "rank_correlations": moved_since_first(predictions, folder),
        "de": de,
        "expression": expression_of(inputs.states, config.cells),
        "sets": sets_of(inputs.annotations.gene_sets, inputs.cells.gene_ids),
    }
    if edits.estimates is not None:
        tables["estimates"] = edits.estimates
    for name, table in tables.items():
        yield _written(folder / f"{name}.parquet", table)
    if outcomes is not None:
        yield from keep_in_round(outcomes, folder)
    if edits.estimates is None:  # the published tool's table says nothing of screened shifts
        yield from write_goal_states(edits.shifts, inputs.vocabulary, folder)
    campaign.store.save_scores(int(folder.name), tables["metrics"])
    trained = any(arm.record.channel != "open" for arm in perturbed)
    spared = [] if outcomes is None or trained else spared_lines(outcomes.judged, outcomes.kinds_of_cells)
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
        check_lines=(*inputs.lines(), *inputs.background.lines),
        warnings=(*inputs.left_out, *mixtures(inputs.states, config.cells), *inputs.states.warnings, *spared),
        model_lines=inputs.view.lines,
        models={arm.title: dict(model) for arm, model in models.items()},
        full_rankings=tuple(arm.title for arm in models if arm.fold < 0),
        verdicts=verdicts,
        default=(WITH_MODEL if with_model else WITHOUT_MODEL) if evidence else "frozen",
        network_share=shares,
        collections=tuple(one.to_dict() for one in inputs.annotations.collections),
        stimulus=stimulus_of(found),
        judged=judged_targets(outcomes.judged, seed=config.evaluate.seed) if outcomes else (),
        gene_sets=inputs.annotations.gene_sets.lines()[0] if inputs.annotations.gene_sets else "",
        pydeseq2=config.evaluate.de == "rank-sum" or find_spec("pydeseq2") is not None,
    )
    yield facts.save(folder)
    yield write_scores(facts, outcomes.recorded if outcomes else (), tables, folder)


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


def networks(
    inputs: Inputs, de: pd.DataFrame, found: tuple[Recognized, ...] = (), effects: pd.DataFrame | None = None
) -> Networks:
    """Which genes are alike, in the user's own cells, to the encoder and by collections; and which may act more than others.

    Parameters
    ----------
    inputs, de, found, effects
        Cells, options and model; differential expression; what the states were recognized as; what was measured.
    """
    asked, sets, known = inputs.config.evaluate.pathway, inputs.annotations.gene_sets, inputs.background
    pathway = pathway_scales(inputs.cells, static_pathway(asked, found, gene_sets=sets))
    vectors = inputs.view.model.gene_embeddings()
    learned = vector_kernel("gene embeddings", inputs.vocabulary.gene_ids, vectors)
    return networks_of(inputs.states, de, [learned, *known.kernels], [*known.scales, *pathway], effects)


def _base(
    inputs: Inputs,
    rankings: Mapping[Arm, pd.DataFrame],
    de: pd.DataFrame,
    found: tuple[Recognized, ...],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """PREDICTIONS of every arm and of the baselines that know no effect."""
    config, sets, known = inputs.config, inputs.annotations.gene_sets, inputs.background
    others = baselines(
        inputs.cells,
        inputs.states.is_goal_n,
        kinds=config.perturb.kinds,
        rng=rng,
        de=de,
        gene_sets=sets,
        pathway=static_pathway(config.evaluate.pathway, found, gene_sets=sets),
        lineage_g=None if known.lineage is None else known.lineage.score_g,
        degree_g=known.degree_g,
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


def _evidence(
    inputs: Inputs,
    outcomes: Outcomes | None,
    de: pd.DataFrame,
    found: tuple[Recognized, ...],
    *,
    passed: bool,
) -> dict[Kind, Evidence]:
    if outcomes is None:
        return {}
    known, seed = networks(inputs, de, found, outcomes.effects), inputs.config.evaluate.seed
    kinds: list[Kind] = [kind for kind in inputs.config.perturb.kinds if kind in outcomes.kinds]
    return {
        kind: evidence_of(known, outcomes.effects, kind, fold_of=outcomes.fold_of, seed=seed, passed=passed)
        for kind in kinds
    }


def _judge(
    inputs: Inputs,
    outcomes: Outcomes | None,
    predictions: pd.DataFrame,
    rankings: Mapping[Arm, pd.DataFrame],
    perturbed: "Mapping[Arm, Perturbed]",
    evidence: Mapping[Kind, Evidence],
) -> dict[str, pd.DataFrame]:
    """Tables that judge the methods; empty where nothing was measured."""
    if outcomes is None:
        return {table.name: pd.DataFrame(columns=table.names) for table in (METRICS, GAINS, STRATA)}
    known, config, judged = inputs.annotations, inputs.config.evaluate, outcomes.judged
    edits, start = inputs.config.perturb, inputs.states.start
    shifts = next(found.shifts for arm, found in perturbed.items() if arm.method == "frozen")
    called = with_calls(
        predictions,
        {kind: covariates(shifts[shifts["kind"] == kind], start) for kind in edits.kinds},
        [
            Shifted(arm.method, arm.fold, rankings[arm], found.shifts)
            for arm, found in perturbed.items()
            if found.estimates is None
        ],
        null_genes=edits.null_genes,
        token_of=inputs.vocabulary.token_of,
    )
    level = predictions[predictions["method"] == "expression"].drop_duplicates("gene_id")
    expression = dict(zip(level["gene_id"], level["score"], strict=True))
    return {
        "metrics": scoreboard(called, judged, config=config, gene_sets=known.gene_sets),
        "gains": gains(predictions, judged, evidence, config=config, gene_sets=known.gene_sets),
        "strata": strata(predictions, judged, expression=expression, essential=known.essential),
    }


def _written(path: Path, table: pd.DataFrame) -> Path:
    write_table(path, table)
    return path
