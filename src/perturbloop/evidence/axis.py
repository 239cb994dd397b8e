"""The axis from the start state (disease) to the goal (control), read in the cells of a donor by a classifier of the other donors."""

from collections.abc import Collection, Iterator

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse

from perturbloop.data.cell_cycle import G2M_GENES, S_GENES
from perturbloop.data.cells import Cells, log_normalized
from perturbloop.data.states import StateCells
from perturbloop.evidence.score import LEAST_SHARED, Readout, StateScore, fit_state_score
from perturbloop.stats.streams import stream

LEVELS = 0.8 ** np.arange(11)
"""Shares of its counts at which a cell is also read, from all to a tenth: between them scores are interpolated."""
AT_A_LOOK = 1e-3
"""scikit-learn's C of checks, which choose none: they look at the cells and measure nothing."""
MOST_TRAINED = 6_000
"""Most state cells that train: more make the axis no better, and checks slower."""


def state_score_of(
    states: StateCells, gene_ids: np.ndarray, *, unread: Collection[str] = (), strength: float | None = None
) -> tuple[StateScore, np.ndarray | None]:
    """The state score on these genes but the cell cycle's, fitted on at most `MOST_TRAINED` cells; and the donor of each of these.

    Parameters
    ----------
    states
        Start and goal cells.
    gene_ids
        Genes that both files measure.
    unread
        Genes that it may not read either: the one knocked out, and those that compounds hit.
    strength
        scikit-learn's C; chosen by cross-validation where none is given.
    """
    cycle = S_GENES | G2M_GENES
    name_of = dict(zip(states.cells.gene_ids, states.cells.gene_names, strict=True))
    kept = [gene for gene in gene_ids if gene not in unread and name_of[gene] not in cycle]
    genes = np.array(kept if len(kept) >= LEAST_SHARED else gene_ids, dtype=object)
    rows_n = _some_of(states)
    cells, is_goal_n, train_n = states.cells.select(rows_n), states.is_goal_n[rows_n], states.train_n[rows_n]
    score = fit_state_score(cells, is_goal_n, train_n, genes, strength=strength)
    return score, None if states.donor_n is None else states.donor_n[rows_n]


def readouts(
    score: StateScore, state_donor_n: np.ndarray | None, donors: Collection[str]
) -> Iterator[tuple[str, Readout]]:
    """For each donor, the readout fitted without the state cells of this donor.

    Parameters
    ----------
    score
        The state score of all donors.
    state_donor_n
        Donor of each of its cells; without any, all donors have the readout of the training cells.
    donors
        Donors whose cells are to be read; one without state cells is read by all state donors.
    """
    everybody = (
        score.trained_on(np.ones(score.state.n_cells, dtype=bool))
        if state_donor_n is not None
        else score.readout
    )
    for donor in donors:
        others_n = None if state_donor_n is None else state_donor_n != donor
        if others_n is None or others_n.all():
            yield donor, everybody
        elif _both(score.is_goal_n[others_n]):
            yield donor, score.trained_on(others_n)


def scores(
    cells: Cells, donor_n: np.ndarray, by_donor: dict[str, Readout], *, levels: Float[np.ndarray, " l"]
) -> Float[np.ndarray, "n l"]:
    """Logit of the goal state of each cell, by the readout of its donor, as if only a share of its counts had been sequenced.

    Parameters
    ----------
    cells
        Raw counts.
    donor_n
        Donor of each cell.
    by_donor
        Readout of each donor; cells of others have no score.
    levels
        Shares of the counts; 1 = all.

    Notes
    -----
    A count is kept with the probability `level` (binomial thinning), which gives what sequencing so much less deeply gives.
    """
    score_nl = np.full((cells.n_cells, len(levels)), np.nan)
    rng = stream(0, "thinned counts")
    for donor, readout in by_donor.items():
        rows_n = np.flatnonzero(donor_n == donor)
        own, start = cells.select(rows_n).restrict(readout.gene_ids), 0
        for counts_ng in own.blocks():
            stop = start + counts_ng.shape[0]
            for place, level in enumerate(levels):
                thin_ng = thinned(counts_ng, float(level), rng)
                score_nl[rows_n[start:stop], place] = (
                    log_normalized(thin_ng) @ readout.weight_g + readout.intercept
                )
            start = stop
    return score_nl


def gap_of_states(score: StateScore, state_donor_n: np.ndarray | None) -> float:
    """Distance from the start to the goal state in logits, in state cells of each donor read by the others; 0 where there is none.

    Parameters
    ----------
    score
        The state score of all donors.
    state_donor_n
        Donor of each of its cells; without any, the held-out cells are read.
    """
    if state_donor_n is None:
        rows_n, logit_n = ~score.train_n, score.readout.score(score.state.select(~score.train_n))
    else:
        by_donor = dict(readouts(score, state_donor_n, sorted(set(state_donor_n))))
        rows_n = np.isin(state_donor_n, list(by_donor))
        logit_n = scores(score.state, state_donor_n, by_donor, levels=np.ones(1))[rows_n, 0]
    is_goal_n = score.is_goal_n[rows_n]
    return float(logit_n[is_goal_n].mean() - logit_n[~is_goal_n].mean()) if _both(is_goal_n) else 0.0


def thinned(counts_ng: sparse.csr_matrix, level: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Keep each count with this probability.

    Parameters
    ----------
    counts_ng
        Raw counts.
    level
        Share of the counts that is kept, 0 to 1; 1 changes nothing.
    rng
        Draws which.
    """
    if level >= 1:
        return counts_ng
    thin_ng = counts_ng.copy()
    thin_ng.data = rng.binomial(counts_ng.data.astype(np.int64), level).astype(counts_ng.dtype)
    return thin_ng


def _both(is_goal_n: Bool[np.ndarray, " n"]) -> bool:
    return min(int(is_goal_n.sum()), int((~is_goal_n).sum())) >= 2


def _some_of(states: StateCells) -> np.ndarray:
    """Positions of at most `MOST_TRAINED` state cells, as many of each state, donor and side as there is room for."""
    n_cells = states.cells.n_cells
    if n_cells <= MOST_TRAINED:
        return np.arange(n_cells)
    group_n = np.char.add(states.group_n.astype(str), states.train_n.astype(str))
    names, code_n = np.unique(group_n, return_inverse=True)
    order_n = stream(0, "state cells of the axis").permutation(n_cells)
    room = MOST_TRAINED // len(names)
    return np.sort(np.concatenate([order_n[code_n[order_n] == code][:room] for code in range(len(names))]))
