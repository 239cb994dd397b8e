"""Drug responses by gene: each gene's score is that of the compounds that act on it."""

import numpy as np
import pandas as pd

from perturbloop.errors import InputError, some
from perturbloop.schema import Modality, kind_of


def by_target(
    compounds: pd.DataFrame, targets: pd.DataFrame, modality: Modality
) -> tuple[pd.DataFrame, list[str]]:
    """Give each compound's score to the genes it acts on in the way of the modality.

    Parameters
    ----------
    compounds
        `label` (compound), `score` and whatever else is known, one row a compound.
    targets
        Table of `data.compounds.read_targets`.
    modality
        inhibitor keeps the inhibited targets, activator the activated ones.

    Returns
    -------
    One row for each compound and target, `label` being the gene; and the compounds without such a target.

    Raises
    ------
    InputError
        If a compound has several rows, or none has such a target.
    """
    twice = sorted(set(compounds.loc[compounds["label"].duplicated(), "label"]))
    if twice:
        msg = (
            f"A table of drug responses needs one row a compound; these have several: {some(twice)}. "
            "Keep one dose, or summarize the doses first."
        )
        raise InputError(msg)
    key = compounds["label"].str.lower()
    acting = targets[targets["kind"].eq(kind_of(modality))]
    acting = acting.assign(key=acting["compound"].str.lower())[["key", "gene"]].drop_duplicates()
    joined = compounds.assign(key=key).merge(acting, on="key")
    if joined.empty:
        msg = (
            f"Compounds must have targets of the modality `{modality}`; of {len(compounds):,} none has. They are "
            f"{some(compounds['label'])}, those of the table of targets {some(targets['compound'].unique())}. Name them alike."
        )
        raise InputError(msg)
    without = sorted(compounds.loc[~key.isin(acting["key"]), "label"])
    return joined.assign(label=joined["gene"]).drop(columns=["key", "gene"]), without


def combined(rows: pd.DataFrame) -> pd.DataFrame:
    """Join the compounds of each gene: mean score, its error, and the smallest p times the number of compounds.

    Parameters
    ----------
    rows
        `gene_id`, `label`, `score`, `se`, `pvalue`, one row for each compound and target.

    Returns
    -------
    One row a gene: `n_reagents` counts its compounds; `padj` is missing, for the caller to make.

    Notes
    -----
    The error of two or more compounds is that of their mean, from the spread between them; that of one is the compound's
    own. The p is of compounds whose score has the sign of the mean (Bonferroni). A compound with many targets gives its
    score to all of them, so a gene's neighbors on a drug's target list look like hits too.

    Examples
    --------
    >>> rows = pd.DataFrame({"gene_id": ["a", "a"], "label": ["A", "A"], "score": [1.0, 3.0], "se": 0.5, "pvalue": [0.2, 0.01]})
    >>> combined(rows).round(2).to_dict("records")[0]
    {'gene_id': 'a', 'label': 'A', 'score': 2.0, 'se': 1.0, 'pvalue': 0.02, 'padj': nan, 'n_reagents': 2}
    """
    by_gene = rows.groupby("gene_id", sort=False)
    mean = by_gene["score"].mean()
    n_compounds = by_gene.size()
    same = np.sign(rows["score"]) == np.sign(rows["gene_id"].map(mean))
    smallest = rows["pvalue"].where(same).groupby(rows["gene_id"]).min().reindex(mean.index)
    between = by_gene["score"].std(ddof=1) / np.sqrt(n_compounds)
    return pd.DataFrame(
        {
            "label": by_gene["label"].first(),
            "score": mean,
            "se": between.where(n_compounds > 1, by_gene["se"].first()),
            "pvalue": (smallest * n_compounds).clip(upper=1),
            "padj": np.nan,
            "n_reagents": n_compounds,
        }
    ).reset_index()
