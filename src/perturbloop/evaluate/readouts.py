"""Truth by readout: the held-out genes of each screen by itself, and of all screens of a kind together."""

import pandas as pd

from perturbloop.evaluate.held_out import Truth, held_out
from perturbloop.schema import EFFECTS, Kind, judges

ANY_SCREEN = "any screen"
"""Name of the union in column `targets` of METRICS."""


def of_screen(name: str) -> str:
    """Name of one screen's targets in column `targets` of METRICS.

    >>> of_screen("IL-2")
    'screen IL-2'
    """
    return f"screen {name}"


def by_readout(effects: pd.DataFrame, kind: Kind) -> dict[str, Truth]:
    """Held-out genes as each screen of a kind has them, and their union: one target a gene, a hit where it is one in any screen.

    Parameters
    ----------
    effects
        EFFECTS rows; those of a screen name it in the column `screen`.
    kind
        delete and inhibit are judged by screens that lower a gene, overexpress and activate by those that raise it.

    Returns
    -------
    Truth by the name in column `targets` of METRICS, the union last; empty where fewer than two screens judge the kind.

    Notes
    -----
    A union has more hits than any of its screens, and so another prevalence: its PPV is not theirs. A gene that is a hit toward the
    goal in one screen and away from it in another counts as both.
    """
    rows = EFFECTS.checked(effects).query("level == 'gene'")
    judging = rows["modality"].map(lambda name: judges(name, kind)).astype(bool)
    rows = rows[judging & rows["screen"].fillna("").ne("")]
    names = list(dict.fromkeys(rows["screen"]))
    if len(names) < 2:
        return {}
    alone = {of_screen(name): held_out(rows[rows["screen"] == name], kind) for name in names}
    return alone | {ANY_SCREEN: _union(held_out(rows, kind))}


def _union(truth: Truth) -> Truth:
    """One target a gene, a hit where any of its rows is one."""
    table = pd.DataFrame({"fold": truth.fold_n, "toward": truth.toward_n, "away": truth.away_n})
    found = table.groupby(truth.gene_ids, sort=False).max()
    return Truth(
        found.index.to_numpy(object),
        found["fold"].to_numpy(int),
        found["toward"].to_numpy(bool),
        found["away"].to_numpy(bool),
    )
