"""Points of a learning curve: what one ranking says of the held-out targets, and the mean over draws of a panel."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy import stats

from perturbloop.errors import DesignError, some
from perturbloop.evaluate.held_out import Truth, judge, rankings_by_fold
from perturbloop.evaluate.metrics import average_precision
from perturbloop.schema import CURVE_MEANS, METHODS, Kind, Level
from perturbloop.stats.delong import auroc_interval
from perturbloop.store import step_key

LEVEL = 0.95
"""Coverage of the intervals."""

LEVELS, EVIDENCE = "levels", "evidence"
"""Points that hold several methods: those that know no effect, and those of the evidence channel."""


@dataclass(frozen=True)
class Point:
    """One panel of measured genes, and what learns from it."""

    kind: Kind
    method: str
    """`levels`, `evidence`, or an arm of the representation channel such as `full-closed`."""
    panel: str = ""
    """How the genes were drawn; '' with none."""
    seed: int = 0
    """Number of the draw."""
    genes: tuple[str, ...] = ()
    """Measured genes, Ensembl ids, in the order they were drawn."""

    @property
    def k(self) -> int:
        """Number of measured genes."""
        return len(self.genes)

    @property
    def title(self) -> str:
        """Name for a progress bar."""
        return f"{self.kind}, {self.panel or 'no'} panel, k = {self.k}"

    def key(self, ground_key: str) -> str:
        """Hash of all that decides the point."""
        config = {name: getattr(self, name) for name in ("kind", "method", "panel", "seed")}
        return step_key(
            "curve",
            config=config | {"genes": list(self.genes), "methods": list(methods_at(self.method))},
            upstream=[ground_key],
        )


def methods_at(point: str) -> tuple[str, ...]:
    """Methods that a point scores: `levels`, `evidence`, or those beside an arm; in the order of their lines.

    >>> methods_at("levels"), methods_at("full-closed")
    (('frozen', 'de', 'expression', 'chance'), ('both',))
    """
    found = [entry for entry in METHODS if entry.curve == point]
    return tuple(entry.name for entry in sorted(found, key=lambda entry: entry.line or len(METHODS)))


def point_rows(rows: pd.DataFrame, truth: Truth, *, method: str) -> list[dict[str, Any]]:
    """Judge one ranking by the held-out hits toward the goal.

    Parameters
    ----------
    rows
        PREDICTIONS rows of one method and kind; of a method that used effects those made without the held-out targets.
    truth
        Held-out targets.
    method
        Name of the method.

    Returns
    -------
    AUROC with DeLong's interval and average precision without one, as columns `metric` to `n_hits` of CURVES. All held-out
    targets count; those without a score rank last.
    """
    place_n = np.nan_to_num(judge(rankings_by_fold(rows, truth, method=method), truth).place_n, nan=-1.0)
    area = auroc_interval(truth.toward_n, place_n, level=LEVEL)
    counts = {"n_genes": truth.gene_ids.size, "n_hits": int(truth.toward_n.sum())}
    precision = average_precision(truth.toward_n, place_n)
    return [
        {"metric": "auroc", "value": area.value, "ci_low": area.low, "ci_high": area.high} | counts,
        {"metric": "average_precision", "value": precision, "ci_low": np.nan, "ci_high": np.nan} | counts,
    ]


def curve_means(curves: pd.DataFrame) -> pd.DataFrame:
    r"""Mean of each point over the draws of its panel.

    Parameters
    ----------
    curves
        CURVES rows.

    Returns
    -------
    Table CURVE_MEANS.

    Notes
    -----
    The interval of a mean over n draws is :math:`\bar x \pm t_{n-1}\, s / \sqrt{n}`, cut to 0 to 1: it says how much the choice
    of the panel matters, and takes the held-out genes as given. Large panels of a small pool overlap, so it is too narrow where
    k comes near the number of genes that panels are drawn from.

    Examples
    --------
    >>> row = {"kind": "delete", "method": "posterior", "panel": "random", "k": 20, "metric": "auroc", "n_genes": 50, "n_hits": 5}
    >>> draws = [row | {"seed": seed, "value": value, "ci_low": 0.5, "ci_high": 0.9} for seed, value in enumerate((0.6, 0.8))]
    >>> found = curve_means(pd.DataFrame(draws)).iloc[0]
    >>> float(round(found["value"], 2)), int(found["n_draws"]), found["interval"]
    (0.7, 2, 'panels')
    """
    by = ["kind", "method", "panel", "k", "metric"]
    rows = [
        dict(zip(by, name, strict=True)) | _mean(part)
        for name, part in curves.groupby(by, sort=False, dropna=False)
    ]
    return CURVE_MEANS.checked(pd.DataFrame(rows, columns=CURVE_MEANS.names))


def _mean(draws: pd.DataFrame) -> dict[str, Any]:
    value = draws["value"].astype(float)
    counts = {"n_genes": int(draws["n_genes"].iloc[0]), "n_hits": int(draws["n_hits"].iloc[0])}
    found = {"value": value.mean(), "sd": value.std(), "n_draws": len(value)} | counts
    if len(value) == 1:
        low, high = float(draws["ci_low"].iloc[0]), float(draws["ci_high"].iloc[0])
        return found | {"ci_low": low, "ci_high": high, "interval": "" if np.isnan(low) else "genes"}
    half = stats.t.ppf((1 + LEVEL) / 2, len(value) - 1) * found["sd"] / np.sqrt(len(value))
    low, high = np.clip([found["value"] - half, found["value"] + half], 0, 1)
    return found | {"ci_low": low, "ci_high": high, "interval": "" if np.isnan(half) else "panels"}


def largest_panels(points: Sequence[Point]) -> dict[str, dict[str, list[list[str]]]]:
    """Of each kind and panel, the genes of the largest panel of each draw."""
    found: dict[tuple[str, str, int], list[str]] = {}
    for point in points:
        place = (point.kind, point.panel, point.seed)
        if point.panel and point.k > len(found.get(place, ())):
            found[place] = list(point.genes)
    tree: dict[str, dict[str, list[list[str]]]] = {}
    for (kind, how, _), genes in found.items():
        tree.setdefault(kind, {}).setdefault(how, []).append(genes)
    return tree


def levels_of(asked: Collection[str]) -> tuple[Level, ...]:
    """Levels to train, the frozen one first where there is any."""
    known = get_args(Level)
    unknown = [level for level in asked if level not in known]
    if unknown:
        msg = f"`levels` must be among {some(known)}; {some(unknown)} came. Correct it, or give none for the evidence channel alone."
        raise DesignError(msg)
    return tuple(level for level in known if asked and (level in asked or level == "frozen"))
