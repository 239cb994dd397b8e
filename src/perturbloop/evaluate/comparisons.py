"""What each channel gains over its reference, and what of that its control keeps."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import cast, get_args

import numpy as np
import pandas as pd

from perturbloop.data.gene_sets import GeneSets
from perturbloop.evaluate import kept_by_control, paired_gain, rank_correlation
from perturbloop.evaluate.disjoint import DISJOINT, HELD_OUT
from perturbloop.evaluate.gains import Gain
from perturbloop.evaluate.judgeable import Judgeable
from perturbloop.evidence.channel import Evidence, evidence_predictions, n_shuffles
from perturbloop.schema import GAINS, METHODS, RANK_CORRELATIONS, EvaluateConfig, Kind, method
from perturbloop.schema.methods import Channel
from perturbloop.stats.streams import stream
from perturbloop.store.files import read_table


def comparisons() -> list[tuple[str, str, str]]:
    """Method, what it is compared with, and the control that tells learning from luck ('' for none): what learnt first.

    >>> comparisons()[:2]
    [('frozen-closed', 'frozen', 'frozen-shuffled'), ('lora-closed', 'lora-open', 'lora-shuffled')]
    """
    channels = get_args(Channel)
    return [
        (entry.name, against, "" if number else entry.control)
        for entry in sorted(METHODS, key=lambda entry: channels.index(entry.channel))
        for number, against in enumerate(entry.against)
    ]


def gains(
    predictions: pd.DataFrame,
    judged: pd.DataFrame,
    evidence: Mapping[Kind, Evidence],
    *,
    config: EvaluateConfig,
    gene_sets: GeneSets | None = None,
) -> pd.DataFrame:
    """Paired gains of each channel with what its control keeps of them; with gene sets once more on pathway-disjoint targets.

    Parameters
    ----------
    predictions
        PREDICTIONS rows of all methods.
    judged
        EFFECTS rows that judge.
    evidence
        By kind, what the controls of the evidence channel are shuffled from.
    config
        Bootstrap samples and seed.
    gene_sets
        Pathways and complexes; with them every comparison is made a second time, on the `pathway-disjoint` targets.

    Returns
    -------
    Table `GAINS`. Where the targets cannot tell methods apart (fewer than two hits, or two others) no control is shuffled, and
    `sentence` says why.
    """
    rows = []
    dealt: dict[tuple[Kind, str], list[pd.DataFrame]] = {}
    for kind, (targets, sets) in product(evidence, _targets(gene_sets)):
        here = predictions[predictions["kind"] == kind]
        known = set(here["method"])
        compare = partial(paired_gain, effects=judged, kind=kind, gene_sets=sets)
        for name, against, control in comparisons():
            if {name, against} - known:
                continue
            gain = compare(here, method=name, reference=against, config=config)
            control_gain, share = np.nan, np.nan
            sentence = Judgeable(kind, gain.n_genes, gain.n_hits).sentence
            if not sentence:  # a control is only made where it could be told from its method
                if (
                    control in known
                    and method(control).channel == "evidence"
                    and (kind, control) not in dealt
                ):
                    dealt[kind, control] = _shuffles(here, evidence[kind], control, against, kind, config)
                shuffles = dealt.get((kind, control), [])
                control_gain, share, sentence = _kept(
                    here, shuffles, gain.value, against, control, config, compare
                )
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
                    "control": control,
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


def _shuffles(
    here: pd.DataFrame, evidence: Evidence, control: str, against: str, kind: Kind, config: EvaluateConfig
) -> list[pd.DataFrame]:
    """Predictions of a control of the evidence channel, one table per shuffle of the effects, beside those of its reference.

    These controls are cheap enough to be the mean of many shuffles.
    """
    rng = stream(config.seed, "shuffled effects", control)
    base = here[here["method"].isin(["frozen", method(control).partner, against])]
    return [
        pd.concat([base, evidence_predictions(base, evidence, kind=kind, rng=rng, methods=[control])])
        for _ in range(n_shuffles(evidence))
    ]


def _kept(
    here: pd.DataFrame,
    shuffles: list[pd.DataFrame],
    gain: float,
    against: str,
    control: str,
    config: EvaluateConfig,
    compare: Callable[..., Gain],
) -> tuple[float, float, str]:
    """Gain of the control over the same reference; for the evidence channel the mean over many shuffles."""
    if control not in set(here["method"]):
        return np.nan, np.nan, ""
    values = [
        compare(table, method=control, reference=against, config=_quick(config)).value
        for table in shuffles or [here]
    ]
    value = float(np.mean(values))
    kept = kept_by_control(gain, value)
    if not shuffles:
        return value, kept.share, kept.sentence
    return (
        value,
        kept.share,
        f"{kept.sentence} Mean of {len(values)} shuffles, sd {np.std(values, ddof=1):.3f}.",
    )


def _quick(config: EvaluateConfig) -> EvaluateConfig:
    """Only the value is used, so one bootstrap sample is enough."""
    return replace(config, bootstrap=1)


def correlations(predictions: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of every loop method's full ranking with the open loop of round 0.

    Returns
    -------
    Table `RANK_CORRELATIONS`.
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


def moved_since_first(predictions: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """How far the rankings moved since round 0, table RANK_CORRELATIONS; empty in round 0.

    Parameters
    ----------
    predictions
        PREDICTIONS rows of a round.
    folder
        Folder of that round.
    """
    first = folder.parent / "000" / "predictions.parquet"
    if first.parent == folder or not first.is_file():
        return pd.DataFrame(columns=RANK_CORRELATIONS.names)
    todo = "An earlier round cannot be made anew. Delete it: rank correlations with that round are then left out."
    return correlations(predictions, read_table(first, todo=todo))
