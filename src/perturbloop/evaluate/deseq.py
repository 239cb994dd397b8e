"""Differential expression by PyDESeq2 on summed cells: pseudobulks of donors where there are enough, else metacells.

Sign as in `de`: `log2fc` and `z` are positive where the gene is higher in the *goal* cells. Which test was made is
written into the table (`de_test`), since only one of them has a p-value that may be believed.
"""

import warnings
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Shaped

from perturbloop.data.cells import Cells
from perturbloop.errors import InputError, StateError
from perturbloop.evaluate.bulks import (
    CELLS_PER_METACELL,
    LEAST_CELLS,
    LEAST_REPLICATES,
    Bulks,
    metacells,
    metacells_of_paper,
    n_metacells,
    n_of_paper,
    n_replicates,
    pseudobulks,
)
from perturbloop.evaluate.de import signed_de
from perturbloop.schema import DeTest
from perturbloop.stats.correct import benjamini_hochberg

LEAST_COMMON = 50
"""Genes seen in every pseudobulk that are needed for the median of ratios; else the positive counts serve."""


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
        `pseudobulk`, `metacells`, `rank-sum`, or `auto`: the first of them that these cells allow; `pershad2025`: metacells of
        about 160,000 UMI as in :cite:`pershad2025`, with the pseudobulks of donors beside them.
    seed
        Seed of the metacells.

    Returns
    -------
    One row per gene, in the cells' gene order: `gene_id` ENSG00000115415, `log2fc` (1.3), `z` (18.2; 0 where the gene
    was not tested), `pvalue` two-sided (1e-60; missing where not tested), `padj` Benjamini-Hochberg, `de_test`: the test
    in words, `rank_sum_z` of `signed_de`; with donors also the columns of `donor_de`. With `pershad2025` log2fc and z are the
    paper's, its p-values stand in `pseudoreplicated_pvalue` and `pseudoreplicated_padj`, and `pvalue` and `padj` are those of the
    pseudobulks (missing below three donors of a state).

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
    if way == "pershad2025":
        return _as_paper(table, cells, is_goal_n, donor_n, seed)
    bulks = (
        metacells(cells, is_goal_n, seed=seed)
        if way == "metacells" or donor_n is None
        else pseudobulks(cells, is_goal_n, donor_n)
    )
    found = deseq(bulks)
    return table.assign(**{name: found[name] for name in found}, de_test=bulks.test + note)


def require_test(
    cells: Cells, is_goal_n: Bool[np.ndarray, " n"], donor_n: Shaped[np.ndarray, " n"] | None, *, by: DeTest
) -> None:
    """Refuse a test that these cells do not allow, before anything is computed.

    Parameters
    ----------
    cells, is_goal_n, donor_n, by
        As in `differential`.

    Raises
    ------
    StateError
        If the test cannot be made.
    """
    way, _ = chosen_test(is_goal_n, donor_n, by=by)
    if way == "pershad2025":
        n_of_paper(cells, is_goal_n)


def _as_paper(
    table: pd.DataFrame, cells: Cells, is_goal_n: np.ndarray, donor_n: np.ndarray | None, seed: int
) -> pd.DataFrame:
    """Test of the paper and, where donors allow, that of their pseudobulks in columns `bulk_…`; `padj` is the latter, as only it counts."""
    bulks = metacells_of_paper(cells, is_goal_n, seed=seed)
    found = deseq(bulks)
    table = table.assign(
        **{name: found[name] for name in ("log2fc", "z")},
        pvalue=np.nan,
        padj=np.nan,
        pseudoreplicated_pvalue=found["pvalue"],
        pseudoreplicated_padj=found["padj"],
        de_test=bulks.test,
    )
    if donor_n is None or n_replicates(is_goal_n, donor_n) < LEAST_REPLICATES:
        return table.assign(de_test=f"{bulks.test}; there are too few donors for another test beside it")
    by_donors = pseudobulks(cells, is_goal_n, donor_n)
    honest = deseq(by_donors)
    said = _beside(found["padj"] < 0.05, honest["padj"] < 0.05)
    return table.assign(
        pvalue=honest["pvalue"],
        padj=honest["padj"],
        de_test=f"{bulks.test}; beside it {by_donors.test}. {said}",
    )


def _beside(claimed_g: pd.Series, held_g: pd.Series) -> str:
    """How many genes the two tests call.

    >>> _beside(pd.Series([True, True, False]), pd.Series([True, False, False]))
    'Genes at padj below 0.05: 2 pseudoreplicated, 1 by donors, 1 by both'
    """
    both = int((claimed_g & held_g).sum())
    return f"Genes at padj below 0.05: {claimed_g.sum():,} pseudoreplicated, {held_g.sum():,} by donors, {both:,} by both"


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
        Test that was asked for: auto, pseudobulk, metacells, pershad2025 or rank-sum.

    Returns
    -------
    pseudobulk, metacells, pershad2025 or rank-sum; and, in brackets, why it is not the better one, '' where it is.

    Raises
    ------
    StateError
        If the test that was asked for cannot be made of these cells.
    """
    if by == "rank-sum":
        return by, ""
    enough_donors = donor_n is not None and n_replicates(is_goal_n, donor_n) >= LEAST_REPLICATES
    enough_cells = n_metacells(is_goal_n) >= LEAST_REPLICATES
    if by == "pseudobulk" and not enough_donors:
        found = 0 if donor_n is None else n_replicates(is_goal_n, donor_n)
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
    tested_g = bulks.tested_g
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
