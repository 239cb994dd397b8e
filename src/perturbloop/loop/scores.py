"""Both channels, baselines and controls on the same genes: predictions, gains, and what they can show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import cast

import numpy as np
import pandas as pd

from perturbloop.data.gene_sets import GeneSets
from perturbloop.data.splits import trains
from perturbloop.evaluate import kept_by_control, paired_gain, rank_correlation
from perturbloop.evaluate.disjoint import DISJOINT, HELD_OUT
from perturbloop.evaluate.gains import Gain
from perturbloop.evidence.graphs import GeneGraph
from perturbloop.evidence.propagate import combine, propagate, shuffle_effects
from perturbloop.report import GAINS, RANK_CORRELATIONS
from perturbloop.schema import PREDICTIONS, EvaluateConfig, Kind, concat, judges, method

SHUFFLES = 20
"""Shuffles behind the control of the evidence channel."""

COMPARISONS = (
    ("frozen-closed", "frozen", "frozen-shuffled"),
    ("lora-closed", "lora-open", "lora-shuffled"),
    ("full-closed", "full-open", "full-shuffled"),
    ("full-closed", "full-unperturbed", None),
    ("evidence", "frozen", "evidence-shuffled"),
    ("both", "full-open", None),
    ("evidence", "propagation", None),
    ("evidence", "de-propagation", None),
    ("evidence", "de", None),
    ("evidence", "pathway", None),
    ("frozen", "pathway", None),
    ("frozen", "expression", None),
    ("frozen", "full-open", None),
    ("frozen", "linear", None),
)
"""Method, what it is compared with, and the control that tells learning from luck."""


@dataclass(frozen=True)
class Evidence:
    """What the evidence channel reads."""

    graph: GeneGraph
    effects: pd.DataFrame
    """EFFECTS at gene level of one kind, one row a gene, read by all shared genes."""
    fold_of: Mapping[str, int]
    """Fold of every measured target, of this kind or another: how targets are held out is decided once."""


def evidence_of(
    graph: GeneGraph, effects: pd.DataFrame, kind: Kind, *, fold_of: Mapping[str, int]
) -> Evidence:
    """Keep the gene-level effects of one kind; arms are never averaged.

    A gene that several files measured for this kind has one effect: their mean, weighted by precision.
    """
    judging = [judges(modality, kind) for modality in effects["modality"]]
    rows = effects[effects["level"].eq("gene") & pd.Series(judging, index=effects.index, dtype=bool)]
    precision = 1 / rows["se"].clip(lower=1e-9) ** 2
    by_gene = rows.assign(precision=precision, weighted=precision * rows["effect_to_goal"]).groupby("gene_id")
    total = by_gene["precision"].sum()
    once = rows.drop_duplicates("gene_id").set_index("gene_id", drop=False)
    once = once.assign(effect_to_goal=by_gene["weighted"].sum() / total, se=total**-0.5).reset_index(
        drop=True
    )
    return Evidence(graph, once, fold_of)


def propagated(evidence: Evidence, *, without: int, shuffled: np.random.Generator | None = None) -> pd.Series:
    """Spread the effects of the targets that may judge fold `without`; index = genes of the graph."""
    rows = evidence.effects[evidence.effects["gene_id"].isin(trains(evidence.fold_of, without=without))]
    if shuffled is not None:
        rows = shuffle_effects(rows, shuffled)
    table = propagate(
        evidence.graph,
        rows["gene_id"].to_numpy(object),
        rows["effect_to_goal"].to_numpy(float),
        rows["se"].to_numpy(float),
    )
    return pd.Series(table["score"].to_numpy(float), index=table["gene_id"].to_numpy(object))


def evidence_predictions(
    base: pd.DataFrame, evidence: Evidence, *, kind: Kind, rng: np.random.Generator
) -> pd.DataFrame:
    """Propagation alone, with the in-silico score, with DE, with the closed-loop encoder, and shuffled.

    Parameters
    ----------
    base
        PREDICTIONS rows of `frozen`, `de` and, where it ran, `full-closed`.
    evidence
        Effects and graph.
    kind
        The kind the effects belong to.
    rng
        Shuffles the effects of the control.
    """
    parts = []
    folds = sorted({-1, *(fold for fold in evidence.fold_of.values() if fold >= 0)})
    for fold in folds:
        true = propagated(evidence, without=fold)
        shuffled = propagated(evidence, without=fold, shuffled=rng)
        partners = (
            ("propagation", None, true),
            ("evidence", _scores(base, "frozen", kind, -1), true),
            ("evidence-shuffled", _scores(base, "frozen", kind, -1), shuffled),
            ("de-propagation", _scores(base, "de", kind, -1), true),
            ("both", _scores(base, "full-closed", kind, fold), true),
        )
        for name, partner, spread in partners:
            if partner is not None and partner.empty:
                continue
            score = spread if partner is None else together(partner, spread)
            parts.append(_rows(name, kind, fold, score))
    return concat(PREDICTIONS, parts)


def together(partner: pd.Series, spread: pd.Series) -> pd.Series:
    """Z + z on the genes that the partner scores."""
    combined = combine(partner.to_numpy(float), spread.reindex(partner.index).to_numpy(float))
    return pd.Series(combined, index=partner.index)


def gains(
    predictions: pd.DataFrame,
    judged: pd.DataFrame,
    evidence: Mapping[Kind, Evidence],
    *,
    config: EvaluateConfig,
    gene_sets: GeneSets | None = None,
) -> pd.DataFrame:
    """Paired gains of each channel with what its control keeps of them; with gene sets once more on pathway-disjoint targets.

    Returns
    -------
    Table `report.GAINS`.
    """
    rows = []
    for kind, (targets, sets) in product(evidence, _targets(gene_sets)):
        here = predictions[predictions["kind"] == kind]
        known = set(here["method"])
        compare = partial(paired_gain, effects=judged, kind=kind, gene_sets=sets)
        for name, against, control in COMPARISONS:
            if {name, against} - known:
                continue
            gain = compare(here, method=name, reference=against, config=config)
            kept = _kept(here, evidence[kind], gain.value, against, control, kind, config, compare)
            control_gain, share, sentence = kept
            rows.append(
                {
                    "method": name,
                    "against": against,
                    "kind": kind,
                    "gain": gain.value,
                    "ci_low": gain.ci_low,
                    "ci_high": gain.ci_high,
                    "n_genes": gain.n_genes,
                    "n_hits": gain.n_hits,
                    "control": control or "",
                    "control_gain": control_gain,
                    "kept_share": share,
                    "sentence": sentence,
                    "delong_low": gain.delong_low,
                    "delong_high": gain.delong_high,
                    "pvalue": gain.pvalue,
                    "targets": targets,
                }
            )
    return pd.DataFrame(rows, columns=GAINS.names)


def _targets(gene_sets: GeneSets | None) -> list[tuple[str, GeneSets | None]]:
    return [(HELD_OUT, None), *([(DISJOINT, gene_sets)] if gene_sets is not None else [])]


def _kept(
    here: pd.DataFrame,
    evidence: Evidence,
    gain: float,
    against: str,
    control: str | None,
    kind: Kind,
    config: EvaluateConfig,
    compare: Callable[..., Gain],
) -> tuple[float, float, str]:
    """Gain of the control over the same reference; for the evidence channel the mean over many shuffles."""
    if control is None or control not in set(here["method"]):
        return np.nan, np.nan, ""
    if control != "evidence-shuffled":
        value = compare(here, method=control, reference=against, config=_quick(config)).value
        kept = kept_by_control(gain, value)
        return value, kept.share, kept.sentence
    rng = np.random.default_rng([config.seed, 3])
    base = here[here["method"].isin(["frozen"])]
    values = []
    for _ in range(SHUFFLES):
        table = evidence_predictions(base, evidence, kind=kind, rng=rng)
        both = pd.concat([base, table[table["method"] == control]])
        values.append(compare(both, method=control, reference=against, config=_quick(config)).value)
    value = float(np.mean(values))
    kept = kept_by_control(gain, value)
    return value, kept.share, f"{kept.sentence} Mean of {SHUFFLES} shuffles, sd {np.std(values, ddof=1):.3f}."


def _quick(config: EvaluateConfig) -> EvaluateConfig:
    """Only the value is used, so one bootstrap sample is enough."""
    return replace(config, bootstrap=1)


def correlations(predictions: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of every loop method's full ranking with the open loop of round 0.

    Returns
    -------
    Table `report.RANK_CORRELATIONS`.
    """
    rows = []
    kinds = earlier.loc[earlier["method"] == "frozen", "kind"].unique()
    for (name, kind), _ in predictions[predictions["fold"] == -1].groupby(["method", "kind"], sort=False):
        if method(str(name)).role != "loop" or kind not in kinds:
            continue
        found = rank_correlation(
            predictions, earlier, method=str(name), reference="frozen", kind=cast("Kind", kind)
        )
        says = "differs from round 0"
        if name == "frozen":
            says = "the open loop itself: the same by design"
        elif found.rho > 0.999:
            says = "the same order as round 0: nothing was learnt"
        rows.append(
            {"method": name, "kind": kind, "rho": found.rho, "n_genes": found.n_genes, "sentence": says}
        )
    return pd.DataFrame(rows, columns=RANK_CORRELATIONS.names)


def _scores(predictions: pd.DataFrame, name: str, kind: Kind, fold: int) -> pd.Series:
    rows = predictions[
        predictions["method"].eq(name) & predictions["kind"].eq(kind) & predictions["fold"].eq(fold)
    ]
    return pd.Series(rows["score"].to_numpy(float), index=rows["gene_id"].to_numpy(object))


def _rows(name: str, kind: Kind, fold: int, score: pd.Series) -> pd.DataFrame:
    frame = pd.DataFrame({"gene_id": score.index, "score": score.to_numpy(float)})
    return frame.assign(method=name, kind=kind, fold=fold).dropna(subset=["score"])
