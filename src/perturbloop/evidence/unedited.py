"""Cells of a knockout arm that were never edited: they sit with the controls, on an axis that never saw their donor."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import norm

from perturbloop.data.knockout import knocked_out
from perturbloop.data.states import StateCells
from perturbloop.errors import InputError
from perturbloop.evidence.axis import AT_A_LOOK, readouts, scores, state_score_of
from perturbloop.evidence.escape import LEAST_CELLS, LEAST_GAP
from perturbloop.evidence.matching import over_donors
from perturbloop.schema import CellsConfig, is_knockout

CALLED = 0.5
"""Probability of being unedited from which a cell is counted and, on request, excluded."""
_STEPS = 500


@dataclass(frozen=True)
class Unedited:
    """How many cells of a knockout arm were never edited, and which."""

    share: float
    """Estimated share, 0 to 1; missing where the two kinds of cells cannot be told apart."""
    low: float
    """Lower end of its 95 % interval over donors; missing with one donor."""
    high: float
    probability_n: Float[np.ndarray, " n"]
    """Probability of being unedited, one for each cell of the arm, in order; missing where it has no score."""

    @property
    def called_n(self) -> Bool[np.ndarray, " n"]:
        """Whether a cell is rather unedited than edited."""
        return np.nan_to_num(self.probability_n) > CALLED


def unedited_of(states: StateCells, *, unread: Collection[str] = ()) -> Unedited:
    """Find the unedited cells of the start state.

    Parameters
    ----------
    states
        Start cells, a knockout, and goal cells, its controls.
    unread
        Genes that the axis may not read: the one that is knocked out, whose RNA a frameshift may leave as it is.
    """
    score, donor_n = state_score_of(states, states.cells.gene_ids, unread=unread, strength=AT_A_LOOK)
    own_n = np.full(states.cells.n_cells, "all", dtype=object) if states.donor_n is None else states.donor_n
    by_donor = dict(readouts(score, donor_n, sorted(set(own_n))))
    score_n = scores(states.cells, own_n, by_donor, levels=np.ones(1))[:, 0]
    return like_controls(score_n, states.is_goal_n, own_n)


def like_controls(
    score_n: Float[np.ndarray, " n"], is_control_n: Bool[np.ndarray, " n"], donor_n: np.ndarray
) -> Unedited:
    r"""Share of knockout cells that stand where control cells stand, and the probability of each.

    Parameters
    ----------
    score_n
        Logit of the control state of each cell, by a classifier of other donors; missing where there is none.
    is_control_n
        Whether a cell is a control rather than of the knockout arm.
    donor_n
        Donor of each cell.

    Notes
    -----
    Scores are taken less the mean of the donor's control cells (of all controls, where the donor has none) in their standard
    deviation :math:`s`. Knockout cells are a mixture :math:`\pi N(0, 1) + (1 - \pi) N(m, v)` whose first part is fixed by the controls; the other
    three numbers are fitted by expectation-maximization to all donors, :math:`\pi` then once more to each. Nothing is told where m
    is nearer than 1.5 standard deviations. The assumption a reviewer would attack: a knockout that does little to some edited cells
    looks like cells that were never edited, so that the share is an upper bound.
    """
    known_n = np.isfinite(score_n)
    place_n = _standardized(score_n, is_control_n & known_n, donor_n)
    knocked = ~is_control_n
    place, donors = place_n[knocked], donor_n[knocked]
    fitted = np.isfinite(place)
    nothing = Unedited(np.nan, np.nan, np.nan, np.full(len(place), np.nan))
    if min(int(fitted.sum()), int((is_control_n & known_n).sum())) < LEAST_CELLS:
        return nothing
    share, center, spread = _mixture(place[fitted])
    if -center < LEAST_GAP * max(spread, 1.0):
        return nothing
    near, far = norm.pdf(place), norm.pdf(place, center, spread)
    share_of = {
        donor: _share(near[own], far[own], share)
        for donor in set(donors)
        if (own := fitted & (donors == donor)).any()
    }
    prior = np.array([share_of.get(donor, share) for donor in donors])
    probability_n = np.where(place > 0, 1.0, 1 / (1 + (1 - prior) * far / np.maximum(prior * near, 1e-300)))
    _, low, high = over_donors(np.array(list(share_of.values()), dtype=float))
    return Unedited(share, max(low, 0.0), high, np.where(fitted, probability_n, np.nan))


def without_unedited(states: StateCells, config: CellsConfig) -> StateCells:
    """State cells without the unedited ones, where that is asked for, and with a word on it; else as they are.

    Parameters
    ----------
    states
        Start and goal cells.
    config
        Names of the states, and what is to be done.

    Raises
    ------
    InputError
        If unedited cells are to be excluded, and the start state is no knockout or they cannot be told apart.
    """
    if config.unedited is None:
        return states
    if not is_knockout(config.start):
        msg = (
            f"`--unedited exclude` looks for unedited cells in a knockout, by its name; the start state is '{config.start}'. Call it a "
            "knockout (such as 'RUNX1-KO') in the file, or leave the option out."
        )
        raise InputError(msg)
    found = unedited_of(states, unread={knocked_out(config.start, states.cells)})
    if np.isnan(found.share):
        msg = (
            f"Unedited cells must stand apart from the '{config.start}' cells to be excluded; on an axis that never saw their donor the two "
            "overlap, or cells are too few. Leave `--unedited exclude` out."
        )
        raise InputError(msg)
    kept_n = states.is_goal_n.copy()
    kept_n[~states.is_goal_n] = ~found.called_n
    left = f"{int(found.called_n.sum()):,} of {len(found.called_n):,} are left out (`--unedited exclude`)."
    return states.select(kept_n, f"{said_of(found, config)}; {left}")


def unedited_lines(states: StateCells, config: CellsConfig) -> tuple[str, ...]:
    """Say how many cells of a knockout look unedited; nothing where the start state is none, or they are left out already.

    Parameters
    ----------
    states
        Start and goal cells.
    config
        Names of the states.
    """
    if config.unedited is not None or not is_knockout(config.start):
        return ()
    found = unedited_of(states, unread={knocked_out(config.start, states.cells)})
    if np.isnan(found.share):
        return (said_of(found, config),)
    left = f"{int(found.called_n.sum()):,} of {len(found.called_n):,} cells"
    return (f"{said_of(found, config)}; they are kept, `--unedited exclude` leaves out {left}",)


def said_of(found: Unedited, config: CellsConfig) -> str:
    """Say how many cells look unedited, or that it cannot be told."""
    if np.isnan(found.share):
        return (
            f"unedited cells of '{config.start}' cannot be told apart: on an axis that never saw their donor its cells and the controls "
            "overlap, or cells are too few"
        )
    doubt = (
        ""
        if np.isnan(found.high)
        else f" (95 % over donors: {100 * found.low:.0f} to {100 * found.high:.0f} %)"
    )
    return f"about {100 * found.share:.0f} % of the '{config.start}' cells{doubt} sit with '{config.goal}' cells, as unedited cells do"


def _standardized(score_n: np.ndarray, control_n: np.ndarray, donor_n: np.ndarray) -> np.ndarray:
    """Scores less the mean of the own donor's controls, in standard deviations of controls within donors."""
    donors = sorted(set(donor_n))
    mean_of = {
        donor: score_n[own].mean() for donor in donors if (own := control_n & (donor_n == donor)).sum() >= 2
    }
    centered_n = score_n - np.array([mean_of.get(donor, score_n[control_n].mean()) for donor in donor_n])
    return centered_n / max(float(centered_n[control_n].std()), 1e-9)


def _mixture(place_n: np.ndarray) -> tuple[float, float, float]:
    """Share of N(0, 1) in cells, and mean and standard deviation of the rest."""
    share, center, spread = 0.1, float(np.quantile(place_n, 0.4)), 1.0
    for _ in range(_STEPS):
        near, far = share * norm.pdf(place_n), (1 - share) * norm.pdf(place_n, center, spread)
        own_n = near / np.maximum(near + far, 1e-300)
        rest_n = 1 - own_n
        share, center = float(own_n.mean()), float(np.average(place_n, weights=rest_n + 1e-12))
        spread = max(float(np.sqrt(np.average((place_n - center) ** 2, weights=rest_n + 1e-12))), 0.1)
    return share, center, spread


def _share(near: np.ndarray, far: np.ndarray, share: float) -> float:
    """Share of the first part in some cells, both parts given."""
    for _ in range(_STEPS):
        share = float((share * near / np.maximum(share * near + (1 - share) * far, 1e-300)).mean())
    return share
