"""Differential expression by PyDESeq2 on summed cells: pseudobulks of donors where there are enough, else metacells.

Sign as in `de`: `log2fc` and `z` are positive where the gene is higher in the *goal* cells. Which test was made is
written into the table (`de_test`), since only one of them has a p-value that may be believed.
"""

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from perturbloop.data.cells import Cells
from perturbloop.errors import InputError, StateError
from perturbloop.evaluate.de import signed_de
from perturbloop.schema import DeTest
from perturbloop.stats.correct import benjamini_hochberg

LEAST_REPLICATES = 3
"""Fewest pseudobulks of each state, or pairs of them, that are tested as replicates."""
LEAST_CELLS = 10
"""Fewest cells of a pseudobulk; smaller ones are left out, since their sums are mostly noise."""
METACELLS = 10
"""Metacells of each state …"""
CELLS_PER_METACELL = 5
"""… fewer where they would hold fewer cells than this on average."""
LEAST_COUNTS = 10
"""Genes with fewer counts in all pseudobulks together are not tested."""
LEAST_COMMON = 50
"""Genes seen in every pseudobulk that are needed for the median of ratios; else the positive counts serve."""
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


def differential(
    cells: Cells,
    is_goal_n: Bool[np.ndarray, " n"],
    *,
    donor_n: Shaped[np.ndarray, " n"] | None = None,
    by: DeTest = "auto",
    seed: int = 0,
) -> pd.DataFrame:
    """Differential expression by the test that is asked for, beside the rank-sum of cells; positive = higher in the goal.

    Parameters
    ----------
    cells
        Start and goal cells, nothing else.
    is_goal_n
        True for the goal cells.
    donor_n
        Donor of each cell.
    by
        `pseudobulk`, `metacells`, `rank-sum`, or `auto`: the first of them that these cells allow.
    seed
        Seed of the metacells.

    Returns
    -------
    One row per gene, in the cells' gene order: `gene_id` ENSG00000115415, `log2fc` (1.3), `z` (18.2; 0 where the gene
    was not tested), `pvalue` two-sided (1e-60; missing where not tested), `padj` Benjamini-Hochberg, `de_test`: the test
    in words, `rank_sum_z` of `signed_de`; with donors also the columns of `donor_de`.

    Raises
    ------
    StateError
        If a state has no cell, or the test that was asked for cannot be made of these cells.
    """
    table = signed_de(cells, is_goal_n, donor_n=donor_n)
    table.insert(5, "rank_sum_z", table["z"])
    way, note = chosen_test(is_goal_n, donor_n, by=by)
    if way == "rank-sum":
        return table.assign(de_test=f"rank-sum of cells{note}")
    bulks = (
        metacells(cells, is_goal_n, seed=seed)
        if way == "metacells" or donor_n is None
        else pseudobulks(cells, is_goal_n, donor_n)
    )
    found = deseq(bulks)
    return table.assign(**{name: found[name] for name in found}, de_test=bulks.test + note)


def chosen_test(
    is_goal_n: Bool[np.ndarray, " n"], donor_n: Shaped[np.ndarray, " n"] | None, *, by: DeTest
) -> tuple[str, str]:
    """Which test will be made of these cells, and what must be said about the choice.

    Parameters
    ----------
    is_goal_n
        Whether a cell is in the goal state.
    donor_n
        Donor of each cell; `None` where no donors are known.
    by
        Test that was asked for: auto, pseudobulk, metacells or rank-sum.

    Returns
    -------
    pseudobulk, metacells or rank-sum; and, in brackets, why it is not the better one, '' where it is.

    Raises
    ------
    StateError
        If the test that was asked for cannot be made of these cells.
    """
    if by == "rank-sum":
        return by, ""
    enough_donors = donor_n is not None and _n_replicates(is_goal_n, donor_n) >= LEAST_REPLICATES
    enough_cells = _n_metacells(is_goal_n) >= LEAST_REPLICATES
    if by == "pseudobulk" and not enough_donors:
        found = 0 if donor_n is None else _n_replicates(is_goal_n, donor_n)
        msg = (
            f"Pseudobulks need at least {LEAST_REPLICATES} donors of each state with {LEAST_CELLS} cells or more; there are "
            f"{found}. Name the donors with "
            "`--donor-column`, or take `--de metacells`."
        )
        raise StateError(msg)
    if by == "metacells" and not enough_cells:
        n_goal = int(is_goal_n.sum())
        msg = (
            f"Metacells need at least {LEAST_REPLICATES * CELLS_PER_METACELL} cells of each state; there are {n_goal:,} goal "
            f"and {is_goal_n.size - n_goal:,} start cells. Take `--de rank-sum`."
        )
        raise StateError(msg)
    if find_spec("pydeseq2") is None:
        return "rank-sum", " (PyDESeq2 is not installed: `pip install 'perturbloop[de]'`)"
    if by == "auto" and not enough_donors:
        return ("metacells", "") if enough_cells else ("rank-sum", " (too few donors and cells for PyDESeq2)")
    return ("pseudobulk" if by == "auto" else by), ""


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
    k = _n_metacells(is_goal_n)
    log_ng = cells.log_normalized()
    group_n = np.zeros(is_goal_n.size, dtype=int)
    for state in (False, True):
        group_n[is_goal_n == state] = _alike(log_ng[is_goal_n == state], k, seed) + k * state
    used, group_n = np.unique(group_n, return_inverse=True)
    is_goal_r = used >= k
    n_goal = int(is_goal_r.sum())
    test = (
        f"PyDESeq2 on {n_goal} goal and {used.size - n_goal} start metacells, which are no replicates: its p-values are not "
        "to be believed, only the order of the genes"
    )
    return Bulks(cells.summed(group_n), is_goal_r, None, test)


def deseq(bulks: Bulks) -> pd.DataFrame:
    r"""Negative-binomial Wald test of PyDESeq2; positive = higher in the goal.

    Parameters
    ----------
    bulks
        Pseudobulks or metacells.

    Returns
    -------
    One row per gene in the order of the counts: `log2fc` (maximum likelihood, not shrunk), `z` the Wald statistic,
    `pvalue`, `padj` Benjamini-Hochberg over the tested genes. Genes with fewer than 10 counts in all have z and log2fc 0 and no
    p; a gene whose count is an outlier by Cook's distance keeps its z and has no p.

    Notes
    -----
    DESeq2 :cite:`love2014` by PyDESeq2 :cite:`muzellec2023`: :math:`\log \mu = \log s_r + x_r\beta`, design `~ donor + state` where donors are
    paired, else `~ state`. Size factors are medians of ratios; where fewer than 50 genes are seen in every sample, of the positive counts.
    """
    api = _pydeseq2()
    tested_g = bulks.counts_rg.sum(axis=0) >= LEAST_COUNTS
    n_genes = tested_g.size
    found = pd.DataFrame({"log2fc": 0.0, "z": 0.0, "pvalue": np.nan, "padj": np.nan}, index=range(n_genes))
    if not tested_g.any():
        return found
    names = [f"r{place}" for place in range(bulks.is_goal_r.size)]
    counts = pd.DataFrame(
        np.rint(bulks.counts_rg[:, tested_g]).astype(int),
        index=names,
        columns=[str(place) for place in np.flatnonzero(tested_g)],
    )
    obs = pd.DataFrame({"state": np.where(bulks.is_goal_r, "goal", "start")}, index=names)
    if bulks.pair_r is not None:
        obs["donor"] = [f"d{code}" for code in pd.factorize(bulks.pair_r)[0]]
    common = int((counts.to_numpy() > 0).all(axis=0).sum())
    with (
        warnings.catch_warnings()
    ):  # the library's own: trends that fall back to a mean, few degrees of freedom
        warnings.simplefilter("ignore")
        fitted = api.DeseqDataSet(
            counts=counts,
            metadata=obs,
            design="~ state" if bulks.pair_r is None else "~ donor + state",
            size_factors_fit_type="ratio" if common >= LEAST_COMMON else "poscounts",
            inference=api.Inference(n_cpus=1),
            quiet=True,
        )
        fitted.deseq2()
        test = api.DeseqStats(
            fitted,
            contrast=["state", "goal", "start"],
            independent_filter=False,
            inference=api.Inference(n_cpus=1),
            quiet=True,
        )
        test.summary()
    result = test.results_df
    pvalue = result["pvalue"].to_numpy(float)
    found.loc[tested_g, "log2fc"] = result["log2FoldChange"].fillna(0.0).to_numpy(float)
    found.loc[tested_g, "z"] = result["stat"].fillna(0.0).to_numpy(float)
    found.loc[tested_g, "pvalue"] = pvalue
    found.loc[tested_g, "padj"] = benjamini_hochberg(pvalue)
    return found


def _pydeseq2() -> SimpleNamespace:
    if find_spec("pydeseq2") is None:
        msg = "PyDESeq2 is needed for this test; it is not installed. Run `pip install 'perturbloop[de]'`."
        raise InputError(msg)
    with warnings.catch_warnings():  # importing it would turn warnings off for the whole program
        from pydeseq2.dds import DeseqDataSet
        from pydeseq2.ds import DeseqStats

        from perturbloop.evaluate.deseq_inference import Inference
    return SimpleNamespace(DeseqDataSet=DeseqDataSet, Inference=Inference, DeseqStats=DeseqStats)


def _donors(is_goal_n: np.ndarray, donor_n: np.ndarray) -> tuple[set[str], set[str]]:
    """Donors with enough cells of the start, and of the goal state."""
    start, goal = (
        pd.Series(donor_n[state_n].astype(str)).value_counts() for state_n in (~is_goal_n, is_goal_n)
    )
    return {*start.index[start >= LEAST_CELLS]}, {*goal.index[goal >= LEAST_CELLS]}


def _n_replicates(is_goal_n: np.ndarray, donor_n: np.ndarray) -> int:
    """Donors of the state that has fewer."""
    return min(len(donors) for donors in _donors(is_goal_n, donor_n))


def _n_metacells(is_goal_n: np.ndarray) -> int:
    n_goal = int(is_goal_n.sum())
    return min(METACELLS, min(n_goal, is_goal_n.size - n_goal) // CELLS_PER_METACELL)


def _alike(log_ng: sparse.csr_matrix, k: int, seed: int) -> Int[np.ndarray, " n"]:
    """Group of each cell, 0 to k - 1."""
    n_components = min(COMPONENTS, min(log_ng.shape) - 1)
    emb_nd = PCA(n_components, svd_solver="arpack", random_state=seed).fit_transform(log_ng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct cells than groups: fewer groups
        return KMeans(k, n_init=1, random_state=seed).fit_predict(emb_nd).astype(int)
