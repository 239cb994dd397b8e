"""Effects of different sources in one unit, so that none shadows or outshouts another."""

import numpy as np
import pandas as pd

LARGEST = 8.0
"""Largest effect of a source, in errors of its genes: one gene must not set the scale of all."""


def in_one_unit(rows: pd.DataFrame) -> pd.DataFrame:
    r"""Bring effects of cells and of screens to one unit where both are there; of one sort they keep theirs.

    Parameters
    ----------
    rows
        Gene-level EFFECTS rows of one kind: of cells in standard deviations of the controls (`n_cells` > 0), of screens in robust standard
        deviations of all their genes (`n_cells` = 0).

    Returns
    -------
    The same rows; of two sorts, effects and errors are divided by the median error of their sort: the unit is then what is noise
    there, and an effect beyond `LARGEST` of it counts as that large, as it always does in a screen.

    Notes
    -----
    Control standard deviations and a screen's spread measure different things: a knock-out that moves cells by 0.5 of the first is no
    weaker than a guide that is enriched by 5 of the second. Both tell noise, which is what they have in common. The assumption a reviewer would
    attack: an effect of so many errors means the same in both.

    Examples
    --------
    >>> rows = pd.DataFrame({"effect_to_goal": [0.5, 0.1, 4.0, 1.0], "se": [0.1, 0.1, 1.0, 1.0], "n_cells": [60, 60, 0, 0]})
    >>> in_one_unit(rows)["effect_to_goal"].tolist()
    [5.0, 1.0, 4.0, 1.0]
    """
    of_cells = rows["n_cells"].gt(0)
    effect, se = rows["effect_to_goal"].astype(float), rows["se"].astype(float)
    unit = pd.Series(1.0, index=rows.index)
    mixed = of_cells.any() and not of_cells.all()
    if mixed:
        for sort in (of_cells, ~of_cells):
            unit[sort] = max(float(np.nanmedian(se[sort])), 1e-9)
    limit = pd.Series(np.where(mixed | ~of_cells, LARGEST, np.inf), index=rows.index)
    return rows.assign(effect_to_goal=(effect / unit).clip(-limit, limit), se=se / unit)
