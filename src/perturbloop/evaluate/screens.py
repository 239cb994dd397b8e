"""How well one screen finds the hits of another: what the noise of screens leaves to any ranking."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import pandas as pd

from perturbloop.errors import InputError, some
from perturbloop.evaluate.metrics import auroc
from perturbloop.schema import Modality, Recorded, RecordedScreen, ScreenConfig, raising_sign


@dataclass(frozen=True)
class Ceiling:
    """How well the scores of one screen find the hits of another."""

    regulators: Literal["positive", "negative"]
    """positive: raising the gene's product moves cells toward the goal; negative: away from it."""
    auroc: float
    """Probability that a hit scores above another gene; NaN without a hit or without another gene."""
    n_hits: int
    n_genes: int


def ceiling(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    detection: pd.Series | None = None,
    min_detection: float = 0.01,
) -> tuple[Ceiling, ...]:
    """How well one replicate's scores find the hits of another: no ranking can be expected to agree better.

    Parameters
    ----------
    first
        Table `SCREEN` of one donor or replicate, whose scores rank.
    second
        The same of another, whose hits are to be found.
    detection
        Share of the user's cells that express a gene, index = Ensembl id; genes below `min_detection`, or unknown to the
        cells, are left out. `None` leaves out none.
    min_detection
        Least share of cells.

    Returns
    -------
    The positive and the negative regulators, among the genes of `second`; those that `first` lacks rank last. Ask both ways:
    the donors need not be equally good.

    Raises
    ------
    InputError
        If the two are of different modalities: two arms are no replicates.

    Notes
    -----
    Hits of the other sign stay in as other genes. The noise of `second` is in the number as well as that of `first`: the truth
    behind both can be found better than this.

    Examples
    --------
    >>> rows = {"gene_id": list("abc"), "modality": "crispri", "effect_to_goal": [-2.0, 0.1, 1.5], "effect": [2.0, -0.1, -1.5]}
    >>> screen = pd.DataFrame(rows).assign(hit=[True, False, True])
    >>> [(found.regulators, found.auroc) for found in ceiling(screen, screen)]
    [('positive', 1.0), ('negative', 1.0)]
    """
    sign = raising_sign(_same_modality(first, second))
    if detection is not None:
        second = second[second["gene_id"].map(detection).ge(min_detection)]
    score_of = pd.Series(first["effect_to_goal"].to_numpy(float), index=first["gene_id"].to_numpy(object))
    score_n, effect_n = second["gene_id"].map(score_of).to_numpy(float), second["effect"].to_numpy(float)
    hit_n = second["hit"].to_numpy(bool)
    sides: dict[Literal["positive", "negative"], int] = {"positive": 1, "negative": -1}
    found = []
    for regulators, side in sides.items():
        wanted_n = hit_n & (side * effect_n > 0)
        value = auroc(wanted_n, np.nan_to_num(side * sign * score_n, nan=-np.inf))
        found.append(Ceiling(regulators, value, int(wanted_n.sum()), len(second)))
    return tuple(found)


def _same_modality(first: pd.DataFrame, second: pd.DataFrame) -> Modality:
    known = list(dict.fromkeys([*first["modality"], *second["modality"]]))
    if len(known) != 1:
        msg = (
            f"Replicates must be of one modality; these are {some(known)}. "
            "Compare screens of the same arm: knock-down is not the reverse of activation."
        )
        raise InputError(msg)
    return cast("Modality", str(known[0]))


def ceiling_line(
    name: str,
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    detection: pd.Series | None,
    min_detection: float,
) -> list[str]:
    """Say in words what `ceiling` finds; nothing where there is nothing to find.

    Parameters
    ----------
    name
        Name of the first screen.
    first, second, detection, min_detection
        As in `ceiling`.
    """
    found = ceiling(first, second, detection=detection, min_detection=min_detection)
    says = [
        f"{one.regulators} regulators with AUROC {one.auroc:.2f} ({one.n_hits} hits)"
        for one in found
        if not np.isnan(one.auroc)
    ]
    return [
        f"ceiling: the scores of {name} find its {' and '.join(says)} among {found[0].n_genes:,} genes; no ranking can be expected "
        "to agree better"
    ] * bool(says)


def with_ceiling(
    recorded: Recorded,
    screens: Mapping[str, pd.DataFrame],
    entries: Iterable[ScreenConfig],
    *,
    detection: pd.Series | None,
) -> Recorded:
    """Of several screens of one modality, say how well each other finds the hits of this one, among the genes it is judged on.

    Parameters
    ----------
    recorded
        What was read of a file; one of cells is returned as it is.
    screens
        Table `SCREEN` of each, by name.
    entries
        How each is read.
    detection
        As in `ceiling`.
    """
    if not isinstance(recorded, RecordedScreen):
        return recorded
    entry_of = {one.name: one for one in entries}
    least = entry_of[recorded.name].min_detection
    lines = [
        line
        for name, other in screens.items()
        if name != recorded.name and entry_of[name].modality == recorded.modality
        for line in ceiling_line(
            name, other, screens[recorded.name], detection=detection, min_detection=least
        )
    ]
    return replace(recorded, lines=(*recorded.lines, *lines))
