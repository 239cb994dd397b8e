"""Both channels, baselines and controls on the same genes: predictions, gains, and what they can show."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd

from perturbloop.data.splits import trains
from perturbloop.evaluate import kept_by_control, paired_gain, rank_correlation
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
) -> pd.DataFrame:
    """Paired gains of each channel with what its control keeps of them.

    Returns
    -------
    Table `report.GAINS`.
    """
    rows = []
    for kind in evidence:
        here = predictions[predictions["kind"] == kind]
        known = set(here["method"])
        for name, against, control in COMPARISONS:
            if {name, against} - known:
                continue
            gain = paired_gain(here, judged, name, against, kind=kind, config=config)
            kept = _kept(here, judged, evidence[kind], gain.value, name, against, control, kind, config)
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
                }
            )
    return pd.DataFrame(rows, columns=GAINS.names)


def _kept(
    here: pd.DataFrame,
    judged: pd.DataFrame,
    evidence: Evidence,
    gain: float,
    name: str,
    against: str,
    control: str | None,
    kind: Kind,
    config: EvaluateConfig,
) -> tuple[float, float, str]:
    """Gain of the control over the same reference; for the evidence channel the mean over many shuffles."""
    if control is None or control not in set(here["method"]):
        return np.nan, np.nan, ""
    if control != "evidence-shuffled":
        value = paired_gain(here, judged, control, against, kind=kind, config=config).value
        kept = kept_by_control(gain, value)
        return value, kept.share, kept.sentence
    rng = np.random.default_rng([config.seed, 3])
    base = here[here["method"].isin(["frozen"])]
    values = []
    for _ in range(SHUFFLES):
        table = evidence_predictions(base, evidence, kind=kind, rng=rng)
        both = pd.concat([base, table[table["method"] == control]])
        values.append(paired_gain(both, judged, control, against, kind=kind, config=_quick(config)).value)
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
