"""A report of round 1 and one of round 0, built by hand."""

import numpy as np
import pandas as pd
import pytest

from perturbloop.report import RoundReport, render
from perturbloop.report.html import environment
from perturbloop.schema import (
    ACTION,
    DEFAULT_KINDS,
    EFFECTS,
    GAINS,
    METHODS,
    METRICS,
    PATHWAYS,
    POSTERIOR,
    PROPOSALS,
    RANK_CORRELATIONS,
    RANKING,
    STRATA,
    Verdict,
)

NAMES = ["STAT1", "JAK2", "<script>alert(1)</script>", "A&B", "ACTB", "$x_1$"]


def empty(table):
    return pd.DataFrame(columns=table.names)


def ranking():
    """Two kinds of edit, ranked by the in-silico shift."""
    n = len(NAMES)
    shift = 0.3 - 0.1 * np.arange(n)
    parts = [
        pd.DataFrame(
            {
                "gene_id": [f"ENSG{i:011d}" for i in range(n)],
                "gene_name": NAMES,
                "kind": kind,
                "action": ACTION[kind],
                "benefit": shift,
                "ranked_by": "logit_shift",
                "effect": shift,
                "ci_low": shift - 0.05,
                "ci_high": shift + 0.05,
                "null_z": 10 * shift,
                "pvalue": 10.0 ** -(4.0 - np.arange(n)),
                "padj": 0.001 * 4.0 ** np.arange(n),
                "call": ["toward", "toward", *["none"] * (n - 2)],
                "shift_to_goal": shift / 40,
                "logit_shift": shift,
                "n_cells": 5,
                "n_exact": 5,
                "basis": "exact",
                "cell_pvalue": 0.001,
                "donor_pvalue": np.nan,
                "n_donors": 0,
                "detection": 0.3,
                "log2fc": 1.5 - np.arange(n),
                "de_padj": 10.0 ** -(9.0 - np.arange(n)),
                "flags": ["interferon,HLA", "either-way", *[""] * (n - 2)],
                "status": ["scored"] * (n - 1) + ["spent" if kind == "delete" else "scored"],
            }
        )
        for kind in DEFAULT_KINDS
    ]
    return RANKING.checked(pd.concat(parts))


def posterior():
    """Beliefs of the five genes that were not measured, by `delete`; the second gene is the best."""
    means = [0.4, 0.9, 0.2, 0.0, -0.5]
    rows = [
        (f"ENSG{i:011d}", name, "delete", mean, 0.3, probability, 0.02, 0.35, f"{mean / 2:+.2f} by IRF9")
        for i, (name, mean, probability) in enumerate(
            zip(NAMES[:5], means, (0.57, 0.97, 0.31, 0.12, 0.01), strict=True)
        )
    ]
    return pd.DataFrame(rows, columns=POSTERIOR.names)


def measured_ranking():
    """As after targets were measured: `delete` is ranked by the posterior."""
    table = ranking()
    belief = posterior().set_index("gene_name").reindex(NAMES)
    benefit = dict(zip(NAMES, (0.5, 0.96, 0.2, -0.1, -0.6, 0.0), strict=True))
    rows = table[table["kind"].eq("delete")]
    mean, half = belief["mean"].to_numpy(), 1.96 * belief["sd"].to_numpy()
    rows = rows.assign(
        benefit=rows["gene_name"].map(benefit),
        ranked_by="posterior",
        effect=mean,
        ci_low=mean - half,
        ci_high=mean + half,
        padj=np.nan,
    )
    return pd.concat([rows, table[table["kind"].ne("delete")]])


def effects():
    rows = []
    for i, name in enumerate([*NAMES[:3], NAMES[5]]):
        gene = f"ENSG{NAMES.index(name):011d}"
        for level, guide in (("gene", ""), ("guide", f"{name}g1"), ("guide", f"{name}g2")):
            effect = 1.3 - 0.6 * i
            rows.append(
                (gene, name, name, "crispr_ko", level, guide, effect, -effect, 0.2, 1e-9, 1e-8, i < 2)
                + (412, 2, 2, i == 0, -1 if i == 3 else i, "")
            )
    return pd.DataFrame(rows, columns=EFFECTS.names)


def metrics():
    values = {"auroc": 0.81, "average_precision": 0.44, "precision_at_k": 0.2, "ppv": 0.5, "npv": 0.9}
    rules = {"precision_at_k": "k = 20", "ppv": "matched-null", "npv": "matched-null"}
    rows = [
        (entry.name, "delete", denominator, name, value, value - 0.1, value + 0.1, n_genes, 4)
        + (rules.get(name, ""),)
        for entry in METHODS
        if entry.name != "both"
        for denominator, n_genes in (("scored", 20 if entry.name == "frozen" else 25), ("all", 25))
        for name, value in values.items()
    ]
    rows.append(("de", "delete", "all", "auroc_away", np.nan, np.nan, np.nan, 25, 1, ""))
    shown = [(*row, "delong", True, "held-out") for row in rows]
    other = [
        (
            "frozen",
            "delete",
            "all",
            name,
            0.3,
            0.2,
            0.4,
            25,
            4,
            "budget-k, k = 5 of 60",
            "bootstrap",
            False,
            "held-out",
        )
        for name in ("ppv", "npv", "lift")
    ]
    apart = [
        (*row[:7], 11, 2, row[9], "delong", True, "pathway-disjoint") for row in rows if row[3] == "auroc"
    ]
    return pd.DataFrame([*shown, *other, *apart], columns=METRICS.names)


def strata():
    rows = [
        ("de", "delete", "expression", "all", 0.7, 0.6, 0.8, "delong", 25, 4),
        ("de", "delete", "expression", "1 of 2", np.nan, np.nan, np.nan, "", 12, 0),
        ("de", "delete", "expression", "within strata", 0.55, 0.4, 0.7, "delong", 25, 4),
    ]
    return pd.DataFrame(rows, columns=STRATA.names)


@pytest.fixture(scope="session")
def round_one():
    sentence = "The control keeps 38 % of a gain of +0.080."
    return RoundReport(
        title="ifn <b>",
        round_number=1,
        created="2026-01-02 03:04 UTC",
        version="0.1.0",
        facts={"start": "stimulated", "goal": "control"},
        warnings=("Nested <i>donors</i>.", "Few cells."),
        model_lines=("Held-out loss 4.1, unigram 5.2; see `pretrain`.",),
        ranking=measured_ranking(),
        posterior=posterior(),
        start="stimulated",
        goal="control",
        gate=(Verdict("state head", True, "State head: passed."),),
        metrics=metrics(),
        strata=strata(),
        gene_sets="reactome.gmt: 3 gene sets of 9 genes, 5 to 6 genes each",
        effects=effects(),
        gains=pd.DataFrame(
            [
                (
                    "evidence",
                    "frozen",
                    "delete",
                    0.08,
                    -0.02,
                    0.19,
                    25,
                    4,
                    "evidence-shuffled",
                    0.03,
                    0.38,
                    sentence,
                    -0.03,
                    0.2,
                    0.14,
                    "held-out",
                )
            ],
            columns=GAINS.names,
        ),
        rank_correlations=pd.DataFrame(
            [("evidence", "delete", 0.71, 5, "It moved.")], columns=RANK_CORRELATIONS.names
        ),
        pathways=pd.DataFrame(
            [
                ("type I interferon", "STAT1", "delete", 1, 5, 2.0, 0.3, "scored"),
                ("type I interferon", "IRF9", "delete", np.nan, 5, np.nan, np.nan, "absent"),
            ],
            columns=PATHWAYS.names,
        ),
        proposals=pd.DataFrame(
            [
                (
                    "find",
                    1,
                    "ENSG00000000001",
                    "JAK2",
                    "delete",
                    "inhibit",
                    0.31,
                    0.12,
                    0.58,
                    0.0,
                    0.96,
                    "+0.21 by TYK2",
                    "highest benefit",
                    "interferon",
                ),
                (
                    "chance",
                    1,
                    "ENSG00000000004",
                    "ACTB",
                    "delete",
                    "inhibit",
                    0.02,
                    0.01,
                    0.05,
                    0.0,
                    -0.6,
                    "chance",
                    "drawn at random",
                    "",
                ),
            ],
            columns=PROPOSALS.names,
        ),
        top=3,
        min_effect=0.3,
    )


@pytest.fixture(scope="session")
def round_zero():
    return RoundReport(
        title="ifn",
        round_number=0,
        created="2026-01-02 03:04 UTC",
        version="0.1.0",
        facts={"start": "stimulated"},
        ranking=ranking().iloc[:5],
        metrics=empty(METRICS),
        effects=empty(EFFECTS),
        gains=empty(GAINS),
        rank_correlations=empty(RANK_CORRELATIONS),
        pathways=empty(PATHWAYS),
        proposals=empty(PROPOSALS),
    )


@pytest.fixture(scope="session")
def page_one(round_one):
    """The page of round 1, with its figures."""
    return render(round_one)


@pytest.fixture
def without_figures(monkeypatch):
    """Pages whose figures are not drawn, for tests of what is said."""
    monkeypatch.setattr("perturbloop.report.html._source", lambda picture: "data:,")
    environment.cache_clear()
    yield
    environment.cache_clear()
