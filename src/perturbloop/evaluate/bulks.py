"""Summed cells, which differential expression compares: pseudobulks of donors, or metacells of alike cells."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from perturbloop.data.cells import Cells
from perturbloop.errors import StateError

LEAST_REPLICATES = 3
"""Fewest pseudobulks of each state, or pairs of them, that are tested as replicates."""
LEAST_CELLS = 10
"""Fewest cells of a pseudobulk; smaller ones are left out, since their sums are mostly noise."""
METACELLS = 10
"""Metacells of each state …"""
CELLS_PER_METACELL = 5
"""… fewer where they would hold fewer cells than this on average."""
LEAST_COUNTS = 10
"""Genes with fewer counts in all pseudobulks together, or in too many metacells of the paper, are not tested."""
PAPER_UMI, PAPER_SHARE, PAPER_LEAST = 160_000, 0.85, 2
"""Of the paper: UMI of a metacell, share of the metacells in which a gene needs 10 counts; and the fewest metacells of a state."""
COMPONENTS = 20
"""Principal components that metacells are made on."""


@dataclass(frozen=True, eq=False)
class Bulks:
    """Summed cells: what is compared."""

    counts_rg: Float[np.ndarray, "r g"]
    """Summed raw counts, pseudobulks or metacells × genes."""
    is_goal_r: Bool[np.ndarray, " r"]
    """Whether each is of the goal state."""
    pair_r: Shaped[np.ndarray, " r"] | None
    """Donor that joins two of them; `None` where they are not paired."""
    test: str
    """The test in words, for table and report."""
    least_share: float = 0.0
    """A gene needs 10 counts in this share of the sums to be tested; with 0, in all of them together."""

    @property
    def tested_g(self) -> Bool[np.ndarray, " g"]:
        """Genes with counts enough to be tested."""
        if not self.least_share:
            return np.asarray(self.counts_rg.sum(axis=0) >= LEAST_COUNTS)
        return np.asarray((self.counts_rg >= LEAST_COUNTS).mean(axis=0) >= self.least_share)


def pseudobulks(cells: Cells, is_goal_n: Bool[np.ndarray, " n"], donor_n: Shaped[np.ndarray, " n"]) -> Bulks:
    """Sum the counts of each donor and state; the donor is the replicate.

    Pseudobulks of fewer than ten cells are left out. Where at least three donors have both states they are paired, and donors
    with one state are left out.

    Parameters
    ----------
    cells
        Start and goal cells, raw counts.
    is_goal_n
        Whether a cell is in the goal state.
    donor_n
        Donor of each cell.

    Returns
    -------
    `Bulks`: summed counts per donor and state.
    """
    start, goal = _donors(is_goal_n, donor_n)
    paired = len(start & goal) >= LEAST_REPLICATES
    if paired:
        start = goal = start & goal
    name_n = donor_n.astype(str)
    kept_n = np.where(is_goal_n, np.isin(name_n, sorted(goal)), np.isin(name_n, sorted(start)))
    key = pd.DataFrame({"donor": donor_n[kept_n].astype(str), "goal": is_goal_n[kept_n]})
    groups = key.groupby(["donor", "goal"], sort=True)
    counts_rg = cells.select(kept_n).summed(groups.ngroup().to_numpy(int))
    rows = pd.DataFrame(list(groups.groups), columns=["donor", "goal"])
    is_goal_r, pair_r = rows["goal"].to_numpy(bool), rows["donor"].to_numpy(object)
    n_goal = int(is_goal_r.sum())
    what = f"{n_goal} donors, paired" if paired else f"{n_goal} goal and {len(rows) - n_goal} start donors"
    return Bulks(counts_rg, is_goal_r, pair_r if paired else None, f"PyDESeq2 on pseudobulks of {what}")


def metacells(cells: Cells, is_goal_n: Bool[np.ndarray, " n"], *, seed: int) -> Bulks:
    """Sum the counts of alike cells of a state: about ten groups each, by k-means on principal components.

    Parameters
    ----------
    cells
        Start and goal cells, raw counts.
    is_goal_n
        Whether a cell is in the goal state.
    seed
        Start of the solver and of k-means.

    Returns
    -------
    `Bulks`: summed counts per metacell, unpaired.

    Notes
    -----
    Metacells are parts of one sample, not replicates. They take out the noise of single cells, so that effects can be
    ranked; their spread is that between kinds of cells, not between donors, and the p-values are not to be believed.
    """
    k = n_metacells(is_goal_n)
    counts_rg, is_goal_r = _summed(cells, is_goal_n, (k, k), seed)
    n_goal = int(is_goal_r.sum())
    test = (
        f"PyDESeq2 on {n_goal} goal and {is_goal_r.size - n_goal} start metacells, which are no replicates: its p-values are not "
        "to be believed, only the order of the genes"
    )
    return Bulks(counts_rg, is_goal_r, None, test)


def metacells_of_paper(cells: Cells, is_goal_n: Bool[np.ndarray, " n"], *, seed: int) -> Bulks:
    """Sum the counts of alike cells of a state to metacells of about 160,000 UMI, as Pershad et al. did :cite:`pershad2025`.

    Parameters
    ----------
    cells
        Start and goal cells, raw counts.
    is_goal_n
        Whether a cell is in the goal state.
    seed
        Start of the solver and of k-means.

    Returns
    -------
    `Bulks`: summed counts per metacell, unpaired; only genes with 10 counts or more in 85 % of them are tested.

    Raises
    ------
    StateError
        If a state has fewer than 320,000 UMI, which make two metacells.

    Notes
    -----
    The paper groups the cells with the package metacells, whose default depth this is; here k-means on principal components makes
    as many groups as there are 160,000 UMI. Metacells of one donor are no replicates: the test is pseudoreplicated.
    """
    counts_rg, is_goal_r = _summed(cells, is_goal_n, n_of_paper(cells, is_goal_n), seed)
    n_goal = int(is_goal_r.sum())
    test = (
        f"pseudoreplicated, as Pershad et al. 2025: PyDESeq2 on {n_goal} goal and {is_goal_r.size - n_goal} start metacells of about "
        f"{PAPER_UMI:,} UMI, which are no replicates: its p-values are not to be believed"
    )
    return Bulks(counts_rg, is_goal_r, None, test, PAPER_SHARE)


def n_of_paper(cells: Cells, is_goal_n: Bool[np.ndarray, " n"]) -> tuple[int, int]:
    """Metacells of about 160,000 UMI that the start, and the goal cells make; fewer than two of a state are refused.

    Parameters
    ----------
    cells
        Start and goal cells, raw counts.
    is_goal_n
        Whether a cell is in the goal state.
    """
    start, goal = cells.summed(is_goal_n.astype(int)).sum(axis=1)
    if min(start, goal) < PAPER_LEAST * PAPER_UMI:
        msg = (
            f"`--de pershad2025` needs {PAPER_LEAST * PAPER_UMI:,} UMI in each state, for {PAPER_LEAST} metacells of {PAPER_UMI:,}; there "
            f"are {goal:,.0f} in the goal and {start:,.0f} in the start cells. Take `--de auto`, or raise `--max-cells` if there are more."
        )
        raise StateError(msg)
    return int(start // PAPER_UMI), int(goal // PAPER_UMI)


def n_replicates(is_goal_n: np.ndarray, donor_n: np.ndarray) -> int:
    """Donors of the state that has fewer."""
    return min(len(donors) for donors in _donors(is_goal_n, donor_n))


def n_metacells(is_goal_n: np.ndarray) -> int:
    """Metacells of each state that these cells make."""
    n_goal = int(is_goal_n.sum())
    return min(METACELLS, min(n_goal, is_goal_n.size - n_goal) // CELLS_PER_METACELL)


def _donors(is_goal_n: np.ndarray, donor_n: np.ndarray) -> tuple[set[str], set[str]]:
    """Donors with enough cells of the start, and of the goal state."""
    start, goal = (
        pd.Series(donor_n[state_n].astype(str)).value_counts() for state_n in (~is_goal_n, is_goal_n)
    )
    return {*start.index[start >= LEAST_CELLS]}, {*goal.index[goal >= LEAST_CELLS]}


def _summed(
    cells: Cells, is_goal_n: np.ndarray, counts: tuple[int, int], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of groups of alike cells of a state, so many of the start and of the goal at most; and which are of the goal."""
    log_ng = cells.log_normalized()
    group_n = np.zeros(is_goal_n.size, dtype=int)
    for state, before in ((False, 0), (True, counts[0])):
        group_n[is_goal_n == state] = _alike(log_ng[is_goal_n == state], counts[state], seed) + before
    used, group_n = np.unique(group_n, return_inverse=True)
    return cells.summed(group_n), used >= counts[0]


def _alike(log_ng: sparse.csr_matrix, k: int, seed: int) -> Int[np.ndarray, " n"]:
    """Group of each cell, 0 to k - 1."""
    n_components = min(COMPONENTS, min(log_ng.shape) - 1)
    emb_nd = PCA(n_components, svd_solver="arpack", random_state=seed).fit_transform(log_ng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct cells than groups: fewer groups
        return KMeans(k, n_init=1, random_state=seed).fit_predict(emb_nd).astype(int)
