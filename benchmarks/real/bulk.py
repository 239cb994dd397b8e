"""What the bulk samples say without any model: differential expression by donor, and how much each gene is expressed."""

import warnings

import numpy as np
import pandas as pd
from pydeseq2.dds import DeseqDataSet
from pydeseq2.ds import DeseqStats

from perturbloop.data.cells import Cells

EXPRESSED_CPM = 1.0
"""A gene is expressed where its mean over donors is at least this many counts per million, in either state."""


def donor_sums(bulk: Cells) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sum the samples of each donor and state: counts (donor-state × genes) and their labels."""
    labels = bulk.obs[["donor", "state"]].astype(str)
    group = labels["donor"] + "-" + labels["state"]
    sums = pd.DataFrame(bulk.counts_ng.toarray(), columns=bulk.gene_ids).groupby(group.to_numpy()).sum()
    return sums.round().astype(int), labels.assign(group=group).drop_duplicates("group").set_index(
        "group"
    ).loc[sums.index]


def expression(bulk: Cells) -> pd.DataFrame:
    """Mean over donors of log2(CPM + 1) per state, `log_activated` and `log_resting`, and whether a gene is `expressed`."""
    sums, labels = donor_sums(bulk)
    cpm = sums.div(sums.sum(axis=1), axis=0) * 1e6
    by_state = {state: cpm[(labels["state"] == state).to_numpy()] for state in ("activated", "resting")}
    table = pd.DataFrame({"gene_id": bulk.gene_ids, "gene_name": bulk.gene_names})
    for state, rows in by_state.items():
        table[f"log_{state}"] = np.log2(rows + 1).mean().to_numpy()
    highest = np.maximum(*(rows.mean().to_numpy() for rows in by_state.values()))
    return table.assign(expressed=highest >= EXPRESSED_CPM)


def donor_de(bulk: Cells) -> pd.DataFrame:
    """PyDESeq2 between the states, `~ donor + state`, one sum per donor and state; positive = higher in activated cells.

    Returns
    -------
    One row per gene: `gene_id`, `gene_name`, `log2fc`, `z` (Wald), `padj`, `log_activated`, `log_resting`, `expressed`;
    genes that are not expressed have no `log2fc`, `z` and `padj`.
    """
    table = expression(bulk)
    sums, labels = donor_sums(bulk)
    kept = table.loc[table["expressed"], "gene_id"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # progress and deprecations of the library's own
        counts = DeseqDataSet(
            counts=sums[kept], metadata=labels, design="~ donor + state", n_cpus=1, quiet=True
        )
        counts.deseq2()
        test = DeseqStats(counts, contrast=["state", "activated", "resting"], n_cpus=1, quiet=True)
        test.summary()
    found = test.results_df.rename(columns={"log2FoldChange": "log2fc", "stat": "z"})[["log2fc", "z", "padj"]]
    return table.join(found, on="gene_id")
