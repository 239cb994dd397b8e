"""What stands in the place of a gene in screens: dates, promoters, pseudoautosomal copies, families of genes.

`tidied` brings all to one row a gene. Of several rows of a gene (its promoters; its copies on X and Y) the one with the smallest
p speaks, with its own numbers; where there are no p-values the one of the largest absolute score.
"""

import re

import numpy as np
import pandas as pd

from perturbloop.data.gene_dates import genes_of_date
from perturbloop.errors import some

PROMOTER = re.compile(r"(.+)_(P\d+)+")
COPY = re.compile(r"(.+)_[XY]")
FAMILY = re.compile(r"[\w.@-]+(\s*[,;|]\s*[\w.@-]+)+")


def tidied(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int], list[str]]:
    """Bring labels to genes.

    Parameters
    ----------
    rows
        `label`, `score`, `pvalue` and whatever else is known of each row.

    Returns
    -------
    Rows with `family` (the label of a row of several genes, one row for each of them; '' for a row of one gene), why rows were left
    out and how many, and what was done, in words.
    """
    rows, dropped, of_dates = _dates(rows)
    rows, of_copies = _best(rows, COPY, "a row for X and one for Y (pseudoautosomal)")
    rows, of_promoters = _best(rows, PROMOTER, "a row for each promoter")
    rows, of_families = _families(rows)
    return rows, dropped, [*of_dates, *of_copies, *of_promoters, *of_families]


def _dates(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int], list[str]]:
    """Read dates as the gene that became one, and leave out those of several genes or none."""
    found = {label: genes_of_date(label) for label in rows["label"].unique()}
    dates = {label: genes for label, genes in found.items() if genes is not None}
    if not dates:
        return rows, {}, []
    sure = {label: genes[0] for label, genes in dates.items() if len(genes) == 1}
    lost = [
        f"{label} ({' or '.join(genes) if genes else 'no gene'})"
        for label, genes in dates.items()
        if len(genes) != 1
    ]
    left_out = rows["label"].isin([label for label in dates if label not in sure])
    kept = rows[~left_out]
    kept = kept.assign(label=kept["label"].map(lambda label: sure.get(label, label)))
    reason = f"dates that a spreadsheet made of gene names, and that are not one gene's: {some(lost)}"
    read = [f"{label} as {gene}" for label, gene in sure.items()]
    notes = [f"dates that a spreadsheet made of gene names: {some(read)}"] if read else []
    return kept, {reason: int(left_out.sum())}, notes


def _best(rows: pd.DataFrame, pattern: re.Pattern[str], why: str) -> tuple[pd.DataFrame, list[str]]:
    """Of several rows of a gene, told by what stands behind its name, keep the best."""
    stems = {label: match[1] for label in rows["label"].unique() if (match := pattern.fullmatch(label))}
    if not stems:
        return rows, []
    genes = rows["label"].map(lambda label: stems.get(label, label))
    order = rows.assign(label=genes, _p=rows["pvalue"].fillna(2), _size=-rows["score"].abs().fillna(-1))
    of_suffix = genes.isin(set(stems.values()))
    ranked = order[of_suffix].sort_values(["label", "_p", "_size"], kind="stable")
    best = ranked.drop_duplicates("label").index
    kept = order.loc[order.index.isin(best) | ~of_suffix].drop(columns=["_p", "_size"])
    several = ranked["label"].value_counts()
    names = sorted(several.index[several > 1])
    rule = "the smallest p" if rows["pvalue"].notna().any() else "the largest score"
    many = f"{len(names):,} genes have" if len(names) > 1 else "1 gene has"
    notes = [f"{many} {why}; that of {rule} speaks: {some(names)}"] if names else []
    return kept, notes


def _families(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Give the score of a row of several genes to each of them."""
    is_family = rows["label"].map(lambda label: bool(FAMILY.fullmatch(label)))
    family = np.where(is_family, rows["label"], "")
    if not is_family.any():
        return rows.assign(family=family), []
    parts = rows["label"].where(~is_family, rows["label"].str.split(r"\s*[,;|]\s*", regex=True))
    spread = rows.assign(family=family, label=parts).explode("label", ignore_index=True)
    note = (
        f"{int(is_family.sum()):,} row{'s' if is_family.sum() > 1 else ''} of several genes, whose shares in it cannot be told "
        f"apart: {some(rows.loc[is_family, 'label'])}"
    )
    return spread.drop_duplicates(["label", "family", "row"]).reset_index(drop=True), [note]
