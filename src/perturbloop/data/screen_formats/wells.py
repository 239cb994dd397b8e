"""A readout without cells, one row a well: colonies, a surface marker, a cytokine or qPCR, against control wells of the same replicate."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from perturbloop.data.screen_formats.base import numbers
from perturbloop.data.text_tables import read_table
from perturbloop.errors import InputError, closest, some
from perturbloop.schema import ScreenConfig

VALUES = (
    "value",
    "readout",
    "measurement",
    "count",
    "colonies",
    "mfi",
    "percent",
    "concentration",
    "delta_ct",
    "dct",
    "viability",
    "survival",
    "alive",
)
"""Names a column of measured values may have; one of `--score-column` goes before them."""
ALIVE = 0.7
"""Least viability, as a share of the control wells', of a dose that says something of a gene."""
COLUMNS = {"score": "score", "standard error": "se", "p-value": "pvalue"}
"""Columns of the summary, by role."""


def summarized(
    frame: pd.DataFrame, columns: Mapping[str, str], config: ScreenConfig
) -> tuple[pd.DataFrame, dict[str, str], tuple[str, ...]]:
    r"""Give every compound, or gene, its effect on a readout and the error of it.

    Parameters
    ----------
    frame
        One row a well.
    columns
        Column of each role that is known: `gene` holds the compound or gene.
    config
        Kind of readout, label of the control wells, columns of value, replicate and dose, and a table of viability.

    Returns
    -------
    One row a compound or gene: its label, `score` (log2 of the ratio to the control wells; positive = more), `se`, `pvalue`; the
    columns by role; and what was done, in words.

    Raises
    ------
    InputError
        If a column or control wells are missing, values cannot be compared, or all doses are toxic.

    Notes
    -----
    The effect of a well is :math:`\log_2 v - \overline{\log_2 v}` of the control wells of its replicate (plate, donor); of qPCR, whose
    values are ΔCt, it is the control's mean less the well's, which is the same. Wells of a replicate are averaged; the error is that of
    the mean of the replicates, and p that of a t-test on them. With one replicate, wells stand in their place. Of several doses the
    highest counts at which the share :const:`ALIVE` of the cells lives; a cytokine is read per living cell.
    """
    wells = _wells(frame, columns, config)
    wells, notes = _at_one_dose(wells, config)
    effects = _against_controls(
        wells.assign(value=_logarithm(wells["value"].to_numpy(float), config)), config
    )
    if config.readout == "cytokine":  # what is secreted, by each cell that lives
        effects = effects.assign(effect=effects["effect"] - np.log2(effects["alive"]))
    n = effects["replicate"].nunique()
    one = n == 1
    unit = (
        effects if one else effects.groupby(["label", "replicate"], sort=False)["effect"].mean().reset_index()
    )
    table = _of_labels(unit, columns["gene"])
    between = "between wells, for want of a second replicate: too small" if one else f"between {n} replicates"
    said = (
        f"{config.readout}: {len(effects):,} wells of {len(table):,} labels against {some(config.controls)}; the score is log2 of the "
        f"ratio, its error that {between}"
    )
    return table, {"gene": columns["gene"], **COLUMNS}, (said, *notes)


def _wells(frame: pd.DataFrame, columns: Mapping[str, str], config: ScreenConfig) -> pd.DataFrame:
    """Label, replicate, dose (missing where none is named), value as a logarithm, and whether it is a control."""
    value = config.score_column or next((name for name in frame if name.lower() in VALUES), None)
    missing = [
        ("--score-column", "measured values", value),
        ("--gene-column", "compounds or genes", columns.get("gene")),
    ]
    asked = {"--replicate-column": config.replicate_column, "--dose-column": config.dose_column}
    lost = [f"`{option}`, the column of {what}" for option, what, name in missing if name is None]
    lost += [f"`{option} {name}`" for option, name in asked.items() if name is not None and name not in frame]
    if lost:
        msg = (
            f"`{config.path}` needs a row a well with compound or gene, and value; it has the columns {some(frame.columns, limit=20)}. "
            f"Correct {some(lost)}."
        )
        raise InputError(msg)
    measured = numbers(frame, value, config.path)
    label = frame[columns["gene"]].fillna("").astype(str).str.strip()
    wells = pd.DataFrame(
        {
            "label": label,
            "replicate": frame[config.replicate_column].astype(str) if config.replicate_column else "all",
            "dose": numbers(frame, config.dose_column, config.path),
            "value": measured,
            "is_control": label.isin(config.controls),
        }
    )
    if not wells["is_control"].any():
        msg = (
            f"`--control {' '.join(config.controls)}` must be among the labels of `{config.path}`; they are {some(label.unique())}. "
            f"Did you mean {closest(config.controls[0], label.unique(), limit=1)}?"
        )
        raise InputError(msg)
    return wells[wells["label"].ne("") & wells["value"].notna()]


def _logarithm(measured: np.ndarray, config: ScreenConfig) -> np.ndarray:
    """Values so that a difference of 1 is a twofold change; colonies, which may be none, have half a one added."""
    if config.readout == "qpcr":
        return -measured
    measured = measured + 0.5 if config.readout == "colonies" else measured
    if (measured <= 0).any():
        n = int((measured <= 0).sum())
        msg = (
            f"Values of a {config.readout} must be above 0, since they are compared as ratios; {n:,} of `{config.path}` are not. Write the "
            "limit of detection in their place, or take `--readout qpcr` if they are ΔCt."
        )
        raise InputError(msg)
    return np.log2(measured)


def _at_one_dose(wells: pd.DataFrame, config: ScreenConfig) -> tuple[pd.DataFrame, list[str]]:
    """Wells of each label at its highest dose that lets cells live, with all control wells."""
    alive = _alive(config)
    dose = wells["dose"].fillna(0)
    share = pd.Series(
        [alive.get(key, 1.0) for key in zip(wells["label"].str.lower(), dose, strict=True)], index=wells.index
    )
    told_of = set(zip(wells.loc[~wells["is_control"], "label"], dose[~wells["is_control"]], strict=True))
    living = wells.assign(alive=share)[wells["is_control"] | share.ge(ALIVE)]
    highest = living["dose"].fillna(0).eq(living.groupby("label")["dose"].transform("max").fillna(0))
    kept = living[living["is_control"] | highest]
    toxic = sorted(set(wells.loc[share.lt(ALIVE) & ~wells["is_control"], "label"]))
    if kept["is_control"].all():
        msg = (
            f"A readout needs a dose at which {ALIVE:.0%} of the cells live; of {wells['label'].nunique() - 1:,} compounds of `{config.path}` "
            f"none has one by `{config.viability}`. Add lower doses, or leave `--viability` out and say why."
        )
        raise InputError(msg)
    gone = sorted(set(toxic) - set(kept["label"]))
    notes = (
        [
            f"toxic (under {ALIVE:.0%} of the control's viability) at some doses, which say nothing: {some(toxic)}"
        ]
        if toxic
        else []
    )
    if config.viability and config.readout == "cytokine":
        notes.append("amounts are read per living cell, by the viability")
    if config.viability and (
        lost := sorted({name for name, at in told_of if (name.lower(), at) not in alive})
    ):
        notes.append(f"no viability is told at some doses, which count as alive: {some(lost)}")
    notes += [f"toxic at every dose, so nothing is said of: {some(gone)}"] if gone else []
    others = int((~highest & ~living["is_control"]).sum())
    return kept, [*notes, *([f"{others:,} wells of lower doses left out"] if others else [])]


def _alive(config: ScreenConfig) -> dict[tuple[str, float], float]:
    """Viability of each label and dose as a share of the control's, mean over replicates; empty where none is named."""
    if config.viability is None:
        return {}
    frame = read_table(Path(config.viability))
    named = next(
        (name for name in frame if name.lower() in ("compound", "drug", "name", "gene", "target")), None
    )
    table = replace(config, path=config.viability, viability=None, score_column=None)
    wells = _wells(frame, {"gene": named} if named else {}, table).fillna({"dose": 0.0})
    control = _controls(wells, table)
    ratio = wells["value"] / wells["replicate"].map(control)
    return ratio.groupby([wells["label"].str.lower(), wells["dose"]]).mean().to_dict()


def _against_controls(wells: pd.DataFrame, config: ScreenConfig) -> pd.DataFrame:
    """Wells that are no controls, with `effect`: their value less the mean of the control wells of their replicate."""
    treated = wells[~wells["is_control"]]
    return treated.assign(effect=treated["value"] - treated["replicate"].map(_controls(wells, config)))


def _controls(wells: pd.DataFrame, config: ScreenConfig) -> pd.Series:
    """Mean of the control wells of each replicate; a replicate without any is refused."""
    control = wells[wells["is_control"]].groupby("replicate")["value"].mean()
    alone = sorted(set(wells["replicate"]) - set(control.index))
    if alone:
        msg = (
            f"Every replicate of `{config.path}` needs wells of {some(config.controls)}; these have none: {some(alone)}. Add them, or name "
            "with `--replicate-column` the column of plate or donor within which wells are compared."
        )
        raise InputError(msg)
    return control


def _of_labels(unit: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean of each label, its error, and the p of a t-test against no effect; both missing with one value."""
    found = unit.groupby("label", sort=False)["effect"].agg(["mean", "sem", "size"])
    t = np.divide(
        found["mean"], found["sem"], out=np.full(len(found), np.nan), where=(found["sem"] > 0).to_numpy()
    )
    pvalue = 2 * stats.t.sf(np.abs(t), np.maximum(found["size"] - 1, 1))
    return pd.DataFrame(
        {
            column: found.index,
            "score": found["mean"].to_numpy(),
            "se": found["sem"].to_numpy(),
            "pvalue": pvalue,
        }
    )
