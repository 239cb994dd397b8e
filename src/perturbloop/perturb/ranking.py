"""From shifts to a ranking: one row per gene and kind, with interval, matched null and call."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd

from perturbloop.data.cells import Cells
from perturbloop.data.flags import flags
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.schema import (
    ACTION,
    EITHER_WAY,
    PREDICTIONS,
    RANKING,
    WITH_MODEL,
    WITHOUT_MODEL,
    Kind,
    PerturbConfig,
)
from perturbloop.stats.aggregate import mean_by_gene
from perturbloop.stats.correct import benjamini_hochberg
from perturbloop.stats.null import Nearest, beyond_null, matched_null, nearest_others, remembered

LEAST_CELLS = 5
"""Fewest cells of which an interval or a p is given."""
FROM_CELLS = ["logit_se", "logit_ci_low", "logit_ci_high", "logit_pvalue", "logit_cell_pvalue"]
"""What is missing below that number."""


def rank(
    shifts: pd.DataFrame,
    start: Cells,
    vocabulary: Vocabulary,
    *,
    kind: Kind,
    donor_n: np.ndarray | None,
    null_genes: int,
    fdr: float = 0.05,
    estimates: pd.DataFrame | None = None,
    essential: frozenset[str] | None = None,
) -> pd.DataFrame:
    """Rank every gene of the start cells by its logit shift, best first.

    Parameters
    ----------
    shifts
        Table `SHIFTS` of one encoder.
    start
        Start cells, in the order `shifts` counts them.
    vocabulary
        Genes without a token are listed as not scored.
    kind
        Which edits.
    donor_n
        Donor of each start cell; shifts are averaged by cell, then donor, then gene.
    null_genes
        Rank- and expression-matched genes behind each null.
    fdr
        Highest padj of a call.
    estimates
        Table `ESTIMATES` of the fast engine: which genes were verified, and the error of those that were not; the interval
        holds it beside the spread of the replicates.
    essential
        Ensembl ids of core essential genes to flag; `None` = the built-in families.

    Returns
    -------
    Table `RANKING`; `benefit` is `logit_shift`. Genes that were not edited have the status `not_scored`. A gene that was edited in
    fewer than five cells has neither interval nor p, and a call needs an interval that excludes 0.
    """
    rows = shifts[shifts["kind"] == kind]
    gene_n = pd.Categorical(rows["gene_id"])  # codes: rows are cells × genes
    donors = None if donor_n is None else donor_n[rows["cell"].to_numpy(int)].astype(str)
    logit = mean_by_gene(rows["logit_shift"].to_numpy(float), gene_n, donors)
    cosine = mean_by_gene(rows["shift_to_goal"].to_numpy(float), gene_n, donors)
    frame = pd.DataFrame(
        {"gene_id": start.gene_ids, "gene_name": start.gene_names, "detection": start.detection()}
    )
    frame = frame.join(logit.add_prefix("logit_"), on="gene_id").join(
        cosine["mean"].rename("shift_to_goal"), on="gene_id"
    )
    few_g = frame["logit_n_cells"].lt(LEAST_CELLS).to_numpy(bool)
    frame.loc[few_g, FROM_CELLS] = np.nan
    frame = _with_basis(frame, kind, estimates)
    null = _null(frame["gene_id"], frame["logit_mean"], covariates(rows, start), null_genes, untested_g=few_g)
    side_g = beyond_null(
        *(table.to_numpy(float) for table in (frame["logit_mean"], null["null_z"], null["padj"])),
        fdr=fdr,
        ci_low_g=frame["logit_ci_low"].to_numpy(float),
        ci_high_g=frame["logit_ci_high"].to_numpy(float),
    )
    scored = frame["logit_mean"].notna() & frame["gene_id"].isin(vocabulary.position)
    frame = frame.assign(
        kind=kind,
        action=ACTION[kind],
        benefit=frame["logit_mean"],
        ranked_by="logit_shift",
        effect=frame["logit_mean"],
        logit_shift=frame["logit_mean"],
        ci_low=frame["logit_ci_low"],
        ci_high=frame["logit_ci_high"],
        null_z=null["null_z"],
        pvalue=null["pvalue"],
        padj=null["padj"],
        call=np.select([side_g > 0, side_g < 0], ["toward", "away"], "none"),
        n_cells=frame["logit_n_cells"].fillna(0).astype(int),
        n_donors=frame["logit_n_donors"].fillna(0).astype(int),
        cell_pvalue=frame["logit_cell_pvalue"],
        donor_pvalue=frame["logit_pvalue"].where(frame["logit_n_donors"] > 1),
        flags=flags(
            frame["gene_name"].to_numpy(object),
            essential_g=None if essential is None else frame["gene_id"].isin(essential).to_numpy(bool),
        ),
        status=np.where(scored, "scored", "not_scored"),
        log2fc=np.nan,
        de_padj=np.nan,
    )
    return RANKING.checked(_sorted(frame))


def _with_basis(frame: pd.DataFrame, kind: Kind, estimates: pd.DataFrame | None) -> pd.DataFrame:
    """Say what each number rests on, and widen its interval by the error of the screen."""
    if estimates is None:
        n_exact = frame["logit_n_cells"].fillna(0).astype(int)
        return frame.assign(n_exact=n_exact, basis=np.where(n_exact > 0, "exact", ""))
    rows = estimates[estimates["kind"] == kind].set_index("gene_id")
    by_gene = rows.reindex(frame["gene_id"])
    reach = ((by_gene["ci_high"] - by_gene["ci_low"]) / 2).to_numpy()
    half = np.hypot((frame["logit_ci_high"] - frame["logit_ci_low"]) / 2, reach)
    return frame.assign(
        n_exact=by_gene["n_exact"].fillna(0).to_numpy(int),
        basis=by_gene["basis"].fillna("").to_numpy(object),
        logit_ci_low=frame["logit_mean"] - half,
        logit_ci_high=frame["logit_mean"] + half,
    )


def covariates(shifts: pd.DataFrame, start: Cells) -> pd.DataFrame:
    """How deep each gene sits in the encoding and how often it is seen: what its null is matched by.

    Parameters
    ----------
    shifts
        SHIFTS rows of one kind.
    start
        Start cells.

    Returns
    -------
    Index: gene id. `position`, log(1 + mean rank) in the cells that express it; a gene that was only ever put in counts as
    the deepest of all; `expression`, logit of its detection rate.
    """
    half = 0.5 / max(start.n_cells, 1)
    share = pd.Series(np.clip(start.detection(), half, 1 - half), index=start.gene_ids)
    expressed = shifts["position"].where(shifts["position"] >= 0)
    position = np.log1p(expressed.groupby(shifts["gene_id"]).mean())
    position = position.fillna(position.max() if position.notna().any() else 0.0)
    return pd.DataFrame({"position": position, "expression": np.log(share / (1 - share))})


def with_null(
    predictions: pd.DataFrame, covariates_of: Mapping[Kind, pd.DataFrame], *, null_genes: int
) -> pd.DataFrame:
    """Add `null_z` and `padj` to PREDICTIONS rows: every method is called by the same rule, within its own ranking.

    Parameters
    ----------
    predictions
        PREDICTIONS rows of any methods, kinds and folds.
    covariates_of
        What the genes of each kind are matched by, as `covariates` gives it.
    null_genes
        Matched genes behind each null.

    Returns
    -------
    The rows with `null_z` (positive = more toward the goal than genes like it) and `padj`, grouped by method, kind and fold.
    """
    parts, nearest = [], remembered()
    for (_, kind, _), rows in predictions.groupby(["method", "kind", "fold"], sort=False):
        by = covariates_of[cast("Kind", kind)]
        found = _null(rows["gene_id"], rows["score"], by, null_genes, nearest=nearest)
        parts.append(rows.assign(null_z=found["null_z"], padj=found["padj"]))
    return pd.concat(parts, ignore_index=True)


def _null(
    gene_ids: pd.Series,
    score: pd.Series,
    matched_by: pd.DataFrame,
    null_genes: int,
    *,
    untested_g: np.ndarray | None = None,
    nearest: Nearest = nearest_others,
) -> pd.DataFrame:
    """Matched null of a score; genes that are not tested have a z, no p, and do not count as tests."""
    by = matched_by.reindex(gene_ids)
    null = matched_null(
        score.to_numpy(float),
        by["position"].to_numpy(float),
        by["expression"].to_numpy(float),
        null_genes=null_genes,
        nearest=nearest,
    )
    pvalue_g = null.pvalue_g if untested_g is None else np.where(untested_g, np.nan, null.pvalue_g)
    padj_g = benjamini_hochberg(pvalue_g)
    return pd.DataFrame({"null_z": null.z_g, "pvalue": pvalue_g, "padj": padj_g}, index=gene_ids.index)


def by_posterior(
    ranking: pd.DataFrame,
    score_of: Mapping[str, float],
    posterior: pd.DataFrame,
    *,
    spent: frozenset[str],
    with_model: bool,
) -> pd.DataFrame:
    """Rank one kind by what the measured effects say: every number of a row is then of the posterior.

    Parameters
    ----------
    ranking
        RANKING rows of the open loop, one kind.
    score_of
        Benefit of each gene: the probability of a worthwhile effect toward the goal.
    posterior
        POSTERIOR rows of the kind.
    spent
        Targets that the posterior learnt from: they are marked, and ranked last.
    with_model
        Whether the in-silico score is part of the posterior; where it is not, its columns are left empty.

    Returns
    -------
    RANKING rows; a call is an interval of the effect that excludes 0.
    """
    own = posterior.set_index("gene_id").reindex(ranking["gene_id"])
    mean, half = own["mean"].to_numpy(float), 1.96 * own["sd"].to_numpy(float)
    insilico = ["null_z", "pvalue", "padj", "cell_pvalue", "donor_pvalue"]
    insilico += [] if with_model else ["logit_shift", "shift_to_goal"]
    frame = ranking.assign(
        benefit=ranking["gene_id"].map(score_of).astype(float),
        ranked_by=WITH_MODEL if with_model else WITHOUT_MODEL,
        effect=mean,
        ci_low=mean - half,
        ci_high=mean + half,
        call=np.select([mean - half > 0, mean + half < 0], ["toward", "away"], "none"),
        status=np.where(ranking["gene_id"].isin(spent), "spent", ranking["status"]),
    )
    frame[insilico] = np.nan
    return RANKING.checked(_sorted(frame))


def completed(ranking: pd.DataFrame, de: pd.DataFrame, *, share: float = 0.05) -> pd.DataFrame:
    """Put differential expression beside a ranking, and flag genes that are among the best both to inhibit and to activate.

    Parameters
    ----------
    ranking
        RANKING rows of all kinds.
    de
        Differential expression of goal against start cells: `gene_id`, `log2fc`, `padj`; where it was by the paper's metacells
        also `pseudoreplicated_padj`.
    share
        Best part of the scored genes of a kind.

    Returns
    -------
    The ranking with `log2fc`, `de_padj`, `de_padj_pseudoreplicated` and the flag of genes that are best both ways.
    """
    tested = (
        de.assign(pseudoreplicated_padj=de.get("pseudoreplicated_padj", np.nan))
        .set_index("gene_id")
        .reindex(ranking["gene_id"])
    )
    scored = ranking["status"].eq("scored")
    place = ranking[scored].groupby("kind")["benefit"].rank(ascending=False, pct=True)
    best = ranking.loc[place.index[place <= share]]
    n_actions = best.groupby("gene_id")["action"].nunique()
    both = ranking["gene_id"].isin(n_actions.index[n_actions > 1])
    flags = ranking["flags"].where(~both, (ranking["flags"] + f",{EITHER_WAY}").str.lstrip(","))
    return ranking.assign(
        log2fc=tested["log2fc"].to_numpy(float),
        de_padj=tested["padj"].to_numpy(float),
        de_padj_pseudoreplicated=tested["pseudoreplicated_padj"].to_numpy(float),
        flags=flags,
    )


def predictions_of(ranking: pd.DataFrame, *, method: str, fold: int = -1) -> pd.DataFrame:
    """Turn a ranking's benefits into rows of the table `PREDICTIONS`.

    Parameters
    ----------
    ranking
        RANKING rows.
    method
        Name of the method that made it.
    fold
        Fold whose targets the method did not see; -1 = the full ranking.

    Returns
    -------
    Table `PREDICTIONS`, a row for each gene with a benefit.
    """
    rows = ranking[ranking["benefit"].notna()]
    return PREDICTIONS.checked(rows.assign(method=method, fold=fold, score=rows["benefit"]))


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    last = frame["status"].ne("scored")
    return frame.assign(last=last).sort_values(
        ["last", "benefit", "gene_id"], ascending=[True, False, True], ignore_index=True
    )


def few_cells(config: PerturbConfig) -> tuple[str, ...]:
    """Say that genes edited in so few cells get no interval, p or call.

    >>> few_cells(PerturbConfig(cells_per_gene=2))[0]
    'With 2 cells a gene no shift has an interval, a p-value or a call: `--cells-per-gene` 5 or more gives them.'
    >>> few_cells(PerturbConfig())
    ()
    """
    n = config.cells_per_gene
    if n >= LEAST_CELLS:
        return ()
    return (
        f"With {n} cell{'' if n == 1 else 's'} a gene no shift has an interval, a p-value or a call: `--cells-per-gene` {LEAST_CELLS} or "
        "more gives them.",
    )
