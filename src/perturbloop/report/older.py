"""Rounds of an older version, whose ranking lacks columns: they are read as if it had them."""

import numpy as np
import pandas as pd

from perturbloop.schema import RANKING


def completed(
    ranking: pd.DataFrame, posterior: pd.DataFrame, de: pd.DataFrame, *, default: str
) -> pd.DataFrame:
    """Say what each row is ranked by, with that quantity's interval, and put differential expression beside it.

    Parameters
    ----------
    ranking
        RANKING rows of any version.
    posterior
        POSTERIOR rows of the round: the kinds that have some are ranked by it.
    de
        Columns `gene_id`, `log2fc` and `padj`.
    default
        Method of those kinds: posterior or posterior-alone.

    Returns
    -------
    RANKING rows; unchanged where they say what they are ranked by.
    """
    rows = RANKING.completed(ranking)
    if rows["ranked_by"].notna().any() or rows.empty:
        return rows
    keys = ["gene_id", "kind"]
    belief = posterior.drop_duplicates(keys).set_index(keys)[["mean", "sd"]].astype(float)
    belief = belief.reindex(pd.MultiIndex.from_frame(rows[keys]))
    mean, half = belief["mean"].to_numpy(), 1.96 * belief["sd"].to_numpy()
    of_posterior = rows["kind"].isin(posterior["kind"]).to_numpy(bool)
    tested = de.drop_duplicates("gene_id").set_index("gene_id").reindex(rows["gene_id"])
    return rows.assign(
        ranked_by=np.where(of_posterior, default, "logit_shift"),
        effect=np.where(of_posterior, mean, rows["logit_shift"].astype(float)),
        ci_low=np.where(of_posterior, mean - half, rows["ci_low"].astype(float)),
        ci_high=np.where(of_posterior, mean + half, rows["ci_high"].astype(float)),
        log2fc=tested["log2fc"].to_numpy(float),
        de_padj=tested["padj"].to_numpy(float),
    )
