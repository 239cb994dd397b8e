"""A genome-wide screen and what all methods say of it, generated: the tables that a round judges, from one seed."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import random as random_sparse

EVIDENCE = (
    "propagation",
    "posterior",
    "posterior-shuffled",
    "posterior-permuted",
    "posterior-alone",
    "de-posterior",
    "evidence",
    "evidence-shuffled",
    "both",
    "de-propagation",
)
TRAINED = (
    "frozen-closed",
    "frozen-shuffled",
    "lora-closed",
    "lora-shuffled",
    "full-closed",
    "full-shuffled",
)
OPEN = ("frozen", "linear", "lora-open", "full-open", "full-unperturbed")
BASELINES = ("de", "de-absolute", "de-isp", "pathway", "expression", "detection", "degree", "chance")
EXACT = ("frozen", "linear", "full-open")
"""Methods with shifts of single cells, which the published rule of a call reads."""
MODALITIES = {"delete": "crispri", "overexpress": "crispra"}
HITS, SPENT, SCORED, CELLS = 0.03, 0.5, 0.7, 20
"""Shares of hits, of targets in training, of genes that an encoder scores; cells in which a gene is edited."""


def gene_ids(n_genes: int) -> np.ndarray:
    """Ensembl-like ids, dtype object."""
    return np.array([f"ENSG{number:011d}" for number in range(n_genes)], dtype=object)


def effects(rng: np.random.Generator, genes: np.ndarray, kinds: tuple[str, ...]) -> pd.DataFrame:
    """EFFECTS of one screen a kind: every gene is measured, half of them held out for good."""
    fold_g = np.where(rng.random(genes.size) < SPENT, -1, 0)
    parts = []
    for kind in kinds:
        hit_g = rng.random(genes.size) < HITS
        side_g = np.where(rng.random(genes.size) < 0.5, 1, -1)
        effect_g = rng.normal(size=genes.size) + hit_g * side_g * 5
        fixed = {"modality": MODALITIES[kind], "level": "gene", "guide_id": "", "se": 1.0, "n_cells": 0}
        columns = {
            "gene_id": genes,
            "gene_name": genes,
            "target": genes,
            "effect_to_goal": effect_g,
            "effect": -effect_g,
            "pvalue": np.where(hit_g, 1e-5, 0.5),
            "padj": np.where(hit_g, 0.01, 0.9),
            "hit": hit_g & (np.sign(effect_g) == side_g),
            "fold": fold_g,
        }
        counts = {"n_guides": 4, "n_replicates": 2, "own_gene_in_readout": False}
        parts.append(pd.DataFrame(columns | fixed | counts))
    return pd.concat(parts, ignore_index=True)


def predictions(rng: np.random.Generator, effects: pd.DataFrame, genes: np.ndarray) -> pd.DataFrame:
    """PREDICTIONS of all methods: rankings of all folds where effects go in, ties and gaps where real ones have them."""
    parts = []
    for kind, modality in MODALITIES.items():
        rows = effects[effects["modality"] == modality]
        signal_g = (rows["hit"] * np.sign(rows["effect_to_goal"])).to_numpy(float) if len(rows) else 0.0
        scored_g = rng.random(genes.size) < SCORED
        learnt = (*TRAINED, *EVIDENCE) if len(rows) else ()
        for name in (*OPEN, *learnt, *BASELINES):
            encoder = name not in BASELINES
            for fold in (-1, 0) if name in learnt else (-1,):
                score_g = rng.normal(size=genes.size) + rng.uniform(0, 1.5) * signal_g
                if name in ("degree", "detection"):
                    score_g = np.floor(score_g * 4).clip(0)
                if name == "de-isp":
                    score_g = np.where(rng.random(genes.size) < 0.5, 0.0, score_g)
                frame = pd.DataFrame({"gene_id": genes, "score": score_g}).assign(
                    method=name, kind=kind, fold=fold
                )
                parts.append(frame[scored_g] if encoder else frame)
    return pd.concat(parts, ignore_index=True)[["method", "kind", "gene_id", "score", "fold"]]


def shifts(rng: np.random.Generator, predictions: pd.DataFrame) -> pd.DataFrame:
    """SHIFTS of every edit of the exact methods: `CELLS` cells a gene; a column `method` beside them."""
    rows = predictions[predictions["method"].isin(EXACT)]
    table = rows.loc[rows.index.repeat(CELLS)].reset_index(drop=True)
    noise_n = rng.normal(size=len(table))
    return table.assign(
        cell=np.arange(len(table)) % CELLS,
        position=rng.integers(2000, size=len(table)),
        shift_to_goal=table["score"] + 3 * noise_n,
        logit_shift=table["score"] + 3 * noise_n,
    )


def write_inputs(folder: Path, *, n_genes: int, kinds: tuple[str, ...], seed: int) -> None:
    """Write all tables of one seed, so that every checkout reads the same."""
    rng = np.random.default_rng(seed)
    genes = gene_ids(n_genes)
    measured = effects(rng, genes, kinds)
    said = predictions(rng, measured, genes)
    covariates = pd.DataFrame({"gene_id": genes, "position": rng.normal(size=n_genes)})
    sets = random_sparse(n_genes, n_genes // 30, density=0.0006, random_state=rng, format="coo")
    control = [said[said["method"] == name] for name in ("posterior-shuffled", "evidence-shuffled")]
    tables = {
        "effects": measured,
        "predictions": said,
        "earlier": said.assign(score=said["score"] + rng.normal(size=len(said))),
        "controls": pd.concat(control, ignore_index=True),
        "covariates": covariates.assign(expression=np.round(rng.normal(size=n_genes), 1)),
        "shifts": shifts(rng, said),
        "sets": pd.DataFrame({"gene": sets.row, "set": sets.col}),
    }
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
