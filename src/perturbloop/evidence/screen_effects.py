"""A screen as measured effects: its genes in one unit, those that the cells measure and do not express left out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import median_abs_deviation

from perturbloop.errors import InputError, some
from perturbloop.schema import EFFECTS, SCREEN

MOST_ERROR = 1.0
"""Largest standard error of a screen's effect, in spreads of all genes; also of one whose error is not known."""


@dataclass(frozen=True)
class ScreenEffects:
    """Effects of a screen, and what became of its genes."""

    effects: pd.DataFrame
    """Table `EFFECTS`, level gene, fold not yet given (-1): of all genes that teach."""
    outside: frozenset[str]
    """Ensembl ids of those that the cells do not measure: they teach, and judge nothing."""
    spread: float
    """Robust standard deviation of all scores, in the unit of the file: what an effect of 1 is."""
    n_not_expressed: int
    """Genes of the cells that too few cells express: they neither teach nor judge."""
    hits_excluded: tuple[str, ...]
    """Names of the hits among these."""

    @property
    def judged(self) -> pd.DataFrame:
        """Rows of the genes that the cells measure and express: what rankings are judged by."""
        return self.effects[~self.effects["gene_id"].isin(self.outside)]


def effects_of_screen(screen: pd.DataFrame, detection: pd.Series, *, min_detection: float) -> ScreenEffects:
    r"""Turn a screen into effects, positive where what was done moved cells toward the goal.

    Parameters
    ----------
    screen
        Table `SCREEN`.
    detection
        Share of cells that express a gene, the larger of both states; index = Ensembl id. A gene that it lacks was not measured
        in the cells, which says nothing against its hit.
    min_detection
        Genes seen in a smaller share of cells are left out: a screen's hit among them is noise, or acts where these cells
        are not. 0 leaves all in.

    Returns
    -------
    `ScreenEffects`.

    Raises
    ------
    InputError
        If the cells express no gene of the screen, or all scores are the same.

    Notes
    -----
    The unit is 1.4826 times the median absolute deviation of all scores of the file, so that screens of different scales
    can be read side by side; zero stays zero. Most genes do nothing, so that this spread is mostly error: it stands in for
    a standard error that the file does not tell or gives as 0, and bounds one that is read off a p-value.

    Examples
    --------
    >>> screen = pd.DataFrame({name: ["a", "b", "c", "d"] for name in SCREEN.names})
    >>> screen = screen.assign(effect_to_goal=[-3.0, 1.0, -1.0, 1.0], effect=0.0, se=np.nan, hit=False)
    >>> seen = pd.Series([0.5, 0.5, 0.0], index=["a", "b", "c"])
    >>> made = effects_of_screen(screen, seen, min_detection=0.01)
    >>> made.judged["gene_id"].tolist(), sorted(made.outside), made.n_not_expressed
    (['a', 'b'], ['d'], 1)
    """
    rows = SCREEN.checked(screen)
    spread = _spread(rows["effect_to_goal"].to_numpy(dtype=float))
    seen = rows["gene_id"].map(detection).to_numpy(dtype=float)
    outside, expressed = np.isnan(seen), seen >= min_detection
    if not expressed.any():
        msg = (
            f"A screen needs genes that the cells express; of its {len(rows):,} genes none is seen in "
            f"{100 * min_detection:g} % of the cells of either state: {some(rows['gene_name'])}. "
            "Check that both are of one species, or lower `--min-detection`."
        )
        raise InputError(msg)
    excluded, here = rows[~(outside | expressed)], rows[outside | expressed]
    error = here["se"].astype(float)
    effects = here.assign(
        target=here["label"],
        level="gene",
        guide_id="",
        effect_to_goal=here["effect_to_goal"] / spread,
        effect=here["effect"] / spread,
        se=(error.where(error > 0) / spread).clip(upper=MOST_ERROR).fillna(MOST_ERROR),
        n_cells=0,
        n_guides=here["n_reagents"],
        n_replicates=0,
        own_gene_in_readout=False,
        fold=-1,
    )
    return ScreenEffects(
        EFFECTS.checked(effects),
        frozenset(rows.loc[outside, "gene_id"]),
        spread,
        len(excluded),
        tuple(excluded.loc[excluded["hit"].astype(bool), "gene_name"]),
    )


def _spread(score_g: np.ndarray) -> float:
    """Robust standard deviation; the plain one where more than half of the scores are the same."""
    spread = float(median_abs_deviation(score_g, scale="normal")) or float(np.std(score_g))
    if not spread:
        msg = f"Scores of a screen must differ; all {score_g.size:,} are {score_g[0]:g}. Name another column with `--score-column`."
        raise InputError(msg)
    return spread
