"""Signed differential expression (DE) between the start and the goal cells: the baseline without any model.

Sign: `log2fc` and `z` are positive where the gene is higher in the *goal* cells. As a prediction, a gene that is
higher in the start is one to delete, a gene that is higher in the goal is one to overexpress (`benefit`).
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped
from scipy import sparse, stats

from perturbloop.data.cells import Cells, log_normalized
from perturbloop.errors import StateError
from perturbloop.schema import ACTION, Kind
from perturbloop.stats.correct import benjamini_hochberg

DENSE_VALUES = 4_000_000
"""Values of one dense block; bounds the memory at about 100 MB."""


def signed_de(
    cells: Cells, is_goal_n: Bool[np.ndarray, " n"], *, donor_n: Shaped[np.ndarray, " n"] | None = None
) -> pd.DataFrame:
    r"""Rank-sum test of every gene between goal and start cells; positive = higher in the goal.

    Parameters
    ----------
    cells
        Start and goal cells, nothing else.
    is_goal_n
        True for the goal cells.
    donor_n
        Donor of each cell; with at least two donors per state the donor test stands beside (`donor_de`).

    Returns
    -------
    One row per gene, in the cells' gene order: `gene_id` ENSG00000115415, `log2fc` of mean counts per 10,000
    (1.3), `z` (18.2), `pvalue` two-sided (1e-60), `padj` Benjamini-Hochberg (1e-58); with donors also the columns
    of `donor_de`.

    Raises
    ------
    StateError
        If either state has no cell.

    Notes
    -----
    Wilcoxon rank-sum on log-normalized counts with ties and without continuity correction:
    :math:`z = (R - n_1 \bar r) / \sqrt{n_1 n_0 s_r^2 / n}`, :math:`R` the goal cells' sum of ranks and
    :math:`s_r^2` the variance of all ranks; equal to `scipy.stats.mannwhitneyu`. Cells are taken for independent:
    with few donors the p-values are far too small, and only the order of the genes should be used.

    Examples
    --------
    >>> counts = sparse.csr_matrix(np.array([[5, 5], [6, 4], [0, 9], [1, 9]], dtype=np.float32))
    >>> obs = pd.DataFrame(index=["a", "b", "c", "d"])
    >>> names = np.array(["ENSG01", "ENSG02"], dtype=object)
    >>> de = signed_de(Cells(counts, names, names, obs, "four cells", ""), np.array([True, True, False, False]))
    >>> de["z"].round(2).tolist()
    [1.55, -1.55]
    """
    _require_both(is_goal_n)
    log_ng = cells.log_normalized().tocsc()
    z_g = _rank_sum_z(log_ng, is_goal_n)
    pvalue_g = 2 * stats.norm.sf(np.abs(z_g))
    table = pd.DataFrame(
        {
            "gene_id": cells.gene_ids,
            "log2fc": _log2_ratio(log_ng, is_goal_n),
            "z": z_g,
            "pvalue": pvalue_g,
            "padj": benjamini_hochberg(pvalue_g),
        }
    )
    if donor_n is None or _least_donors(donor_n, is_goal_n) < 2:
        return table
    return table.join(donor_de(cells, is_goal_n, donor_n).drop(columns="gene_id"))


def mean_z(cells: Cells, is_goal_n: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " g"]:
    """Welch's z of every gene's mean log-normalized expression; positive = higher in the goal. Made in a moment, for a first look.

    Parameters
    ----------
    cells
        Start and goal cells, nothing else.
    is_goal_n
        True for the goal cells.

    Examples
    --------
    >>> counts = sparse.csr_matrix(np.array([[5, 5], [6, 4], [0, 9], [1, 9]], dtype=np.float32))
    >>> obs = pd.DataFrame(index=["a", "b", "c", "d"])
    >>> names = np.array(["ENSG01", "ENSG02"], dtype=object)
    >>> cells = Cells(counts, names, names, obs, "four cells", "")
    >>> np.sign(mean_z(cells, np.array([True, True, False, False]))).tolist()
    [1.0, -1.0]
    """
    _require_both(is_goal_n)
    state_n = is_goal_n.astype(int)
    size_s = np.bincount(state_n)[:, None]
    mean_sg, squared_sg = np.split(cells.summed(state_n, of=_and_squares) / size_s, 2, axis=1)
    se_g = np.sqrt((np.maximum(squared_sg - mean_sg**2, 0) / size_s).sum(axis=0))
    return np.divide(mean_sg[1] - mean_sg[0], se_g, out=np.zeros(se_g.size), where=se_g > 0)


def _and_squares(counts_ng: sparse.csr_matrix) -> sparse.csr_matrix:
    """Log-normalized counts, and beside them their squares."""
    log_ng = log_normalized(counts_ng)
    return sparse.csr_matrix(sparse.hstack([log_ng, log_ng.power(2)], format="csr"))


def donor_de(
    cells: Cells, is_goal_n: Bool[np.ndarray, " n"], donor_n: Shaped[np.ndarray, " n"]
) -> pd.DataFrame:
    """T-test between donors' pseudobulks, the donor being the replicate; positive = higher in the goal.

    Parameters
    ----------
    cells
        Start and goal cells, nothing else.
    is_goal_n
        True for the goal cells.
    donor_n
        Donor of each cell.

    Returns
    -------
    One row per gene: `gene_id`, `donor_log2fc` (difference of mean log2 CPM), `donor_t`, `donor_pvalue`,
    `donor_padj` and `donor_test`: `paired-t` where every donor has both states, else `welch-t`.

    Raises
    ------
    StateError
        If a state has fewer than two donors.

    Notes
    -----
    Counts are summed per donor and state; log2 of counts per million plus one. A plain t-test without variance
    sharing between genes: with two or three donors it has next to no power, and is said to be what it is.
    """
    least = _least_donors(donor_n, is_goal_n)
    if least < 2:
        msg = f"A test between donors needs at least 2 donors in each state; one state has {least}. Use `signed_de`."
        raise StateError(msg)
    goal, start = (_pseudobulk(cells, state_n, donor_n) for state_n in (is_goal_n, ~is_goal_n))
    paired = set(goal.index) == set(start.index)
    with np.errstate(divide="ignore", invalid="ignore"):
        if paired:
            test = stats.ttest_rel(goal, start.loc[goal.index], axis=0)
        else:
            test = stats.ttest_ind(goal, start, axis=0, equal_var=False)
    pvalue_g = np.where(np.isnan(test.pvalue), 1.0, test.pvalue)  # no donor differs from another
    return pd.DataFrame(
        {
            "gene_id": cells.gene_ids,
            "donor_log2fc": (goal.mean() - start.mean()).to_numpy(),
            "donor_t": np.where(np.isnan(test.statistic), 0.0, test.statistic),
            "donor_pvalue": pvalue_g,
            "donor_padj": benjamini_hochberg(pvalue_g),
            "donor_test": "paired-t" if paired else "welch-t",
        }
    )


def benefit(de: pd.DataFrame, kind: Kind) -> Float[np.ndarray, " g"]:
    """Read DE as a prediction: positive = deleting (overexpressing) the gene should move cells toward the goal.

    Deleting helps where the gene is higher in the start, overexpressing where it is higher in the goal. That
    takes a consequence for a cause; it is a baseline, not a claim.

    >>> benefit(pd.DataFrame({"z": [2.0, -1.0]}), "delete")
    array([-2.,  1.])
    """
    sign = 1.0 if ACTION[kind] == "activate" else -1.0
    return sign * de["z"].to_numpy(float)


def _require_both(is_goal_n: np.ndarray) -> None:
    n_goal = int(is_goal_n.sum())
    if not 0 < n_goal < is_goal_n.size:
        came = f"{n_goal:,} goal and {is_goal_n.size - n_goal:,} start cells"
        msg = f"Differential expression needs cells of both states; there are {came}. Check the labels."
        raise StateError(msg)


def _rank_sum_z(log_ng: sparse.csc_matrix, is_goal_n: np.ndarray) -> np.ndarray:
    n, n_goal = is_goal_n.size, int(is_goal_n.sum())
    z_g = np.zeros(log_ng.shape[1])
    step = max(1, DENSE_VALUES // n)
    for first in range(0, z_g.size, step):
        rank_ng = stats.rankdata(log_ng[:, first : first + step].toarray(), axis=0)
        excess_g = rank_ng[is_goal_n].sum(axis=0) - n_goal * (n + 1) / 2
        sd_g = np.sqrt(n_goal * (n - n_goal) / n * rank_ng.var(axis=0, ddof=1))
        np.divide(excess_g, sd_g, out=z_g[first : first + step], where=sd_g > 0)
    return z_g


def _log2_ratio(log_ng: sparse.csc_matrix, is_goal_n: np.ndarray) -> np.ndarray:
    """Ratio of mean counts per 10,000, one added to both so that rare genes stay near zero."""
    cp10k_ng = log_ng.expm1().tocsr()
    goal_g, start_g = (
        np.asarray(cp10k_ng[state_n].mean(axis=0)).ravel() for state_n in (is_goal_n, ~is_goal_n)
    )
    return np.log2((goal_g + 1) / (start_g + 1)).astype(float)


def _least_donors(donor_n: np.ndarray, is_goal_n: np.ndarray) -> int:
    return min(pd.unique(donor_n[is_goal_n]).size, pd.unique(donor_n[~is_goal_n]).size)


def _pseudobulk(cells: Cells, state_n: np.ndarray, donor_n: np.ndarray) -> pd.DataFrame:
    donors = pd.unique(donor_n[state_n])
    sums = cells.summed(np.where(state_n, pd.Index(donors).get_indexer(donor_n), -1))
    cpm = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1) * 1e6
    return pd.DataFrame(np.log2(cpm + 1), index=donors)
