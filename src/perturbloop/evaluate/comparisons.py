"""What each channel gains over its reference, and what of that its control keeps."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import cast, get_args

import numpy as np
import pandas as pd

from perturbloop.data.gene_sets import GeneSets
from perturbloop.evaluate.disjoint import DISJOINT, HELD_OUT, pathway_disjoint
from perturbloop.evaluate.gains import Contest, kept_by_control, places, rank_correlation
from perturbloop.evaluate.held_out import held_out
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
    for kind, entry in evidence.items():
        here, truth = predictions[predictions["kind"] == kind], held_out(judged, kind)
        known, contest = set(here["method"]), Contest(here, truth, kind=kind, config=config)
        controls: dict[str, list[np.ndarray]] = {}
        kept_of = {HELD_OUT: None} | (
            {} if gene_sets is None else {DISJOINT: pathway_disjoint(truth, judged, gene_sets)}
        )
        for (targets, kept_n), (name, against, control) in product(kept_of.items(), comparisons()):
            if {name, against} - known:
                continue
            gain = contest.gain(name, against, kept_n)
            control_gain, share = np.nan, np.nan
            sentence = Judgeable(kind, gain.n_genes, gain.n_hits).sentence
            if control in known and not sentence:  # it is only made where it could be told from its method
                if control not in controls:
                    controls[control] = _places(contest, here, entry, control, against, config)
                reference_n = contest.place(against)
                control_gain, share, sentence = _kept(
                    gain.value,
                    [contest.difference(place_n, reference_n, kept_n) for place_n in controls[control]],
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


def _places(
    contest: Contest,
    here: pd.DataFrame,
    evidence: Evidence,
    control: str,
    against: str,
    config: EvaluateConfig,
) -> list[np.ndarray]:
    """Place of each target by a control; by one of the evidence channel, once for each shuffle of the effects.

    These controls are cheap enough to be the mean of many shuffles.
    """
    if method(control).channel != "evidence":
        return [contest.place(control)]
    rng, kind = stream(config.seed, "shuffled effects", control), contest.kind
    base = here[here["method"].isin(["frozen", method(control).partner, against])]
    shuffles = (
        evidence_predictions(base, evidence, kind=kind, rng=rng, methods=[control])
        for _ in range(n_shuffles(evidence))
    )
    return [places(rows, contest.truth, method=control) for rows in shuffles]


def _kept(gain: float, control_gains: list[float]) -> tuple[float, float, str]:
    """Gain of the control over the same reference, its share, and both in words; the mean where it was made several times."""
    value = float(np.mean(control_gains))
    kept = kept_by_control(gain, value)
    if len(control_gains) == 1:
        return value, kept.share, kept.sentence
    spread = np.std(control_gains, ddof=1)
    return (
        value,
        kept.share,
        f"{kept.sentence} Mean of {len(control_gains)} shuffles, sd {spread:.3f}.",
    )


def correlations(predictions: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of every loop method's full ranking with the open loop of round 0.

    Returns
    -------
    Table `RANK_CORRELATIONS`.
    """
    rows = []
    opened = earlier[earlier["method"] == "frozen"]
    kinds = opened["kind"].unique()
    for (name, kind), full in predictions[predictions["fold"] == -1].groupby(["method", "kind"], sort=False):
        if method(str(name)).role != "loop" or kind not in kinds:
            continue
        found = rank_correlation(full, opened, method=str(name), reference="frozen", kind=cast("Kind", kind))
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
