"""The main job on simulated cells whose answer is known."""

from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop import progress
from perturbloop.data import toy
from perturbloop.data.cells import read_cells
from perturbloop.data.tokens import vocabulary_of
from perturbloop.evaluate.metrics import auroc, average_precision
from perturbloop.loop.campaign import init, play, record, show
from perturbloop.loop.folder import read_of_round
from perturbloop.report import RoundReport
from perturbloop.report.basis import method_of
from perturbloop.schema import METHODS, CampaignConfig, PerturbedConfig
from perturbloop.train.pretrain import pretrain
from perturbloop.train.pretrain_config import PretrainConfig

N_CELLS = 1600
N_CORPUS = 4400
STEPS = 200
MAX_LENGTH = 128


def demo(
    folder: Path, *, seed: int, misleading: bool = False
) -> tuple[dict[str, Any], RoundReport, list[str]]:
    """Simulate, pretrain, play a round, record perturbed cells, play again, and look the answer up.

    `misleading` simulates a world whose co-expression points away from the causes.

    Returns
    -------
    Results as plain values, the report, and what to tell. A folder of an earlier demo is gone on with.
    """
    config = PretrainConfig(
        layers=2, hidden=64, max_length=MAX_LENGTH, steps=STEPS, learning_rate=2e-3, seed=seed
    )
    world = toy.world(seed, n_cells=N_CELLS, n_corpus=N_CORPUS, misleading=misleading)
    data, campaign = folder / "data", folder / "campaign"
    if not (data / "truth.csv").is_file():
        toy.write(world, data)
    corpus, _ = read_cells(data / "corpus.h5ad")
    words = vocabulary_of(corpus, max_length=MAX_LENGTH)
    learned = pretrain(
        [corpus],
        words,
        folder / "model",
        config,
        on_step=lambda step, _, __: progress.tell("pretrain", step, STEPS),
    )
    if not (campaign / "campaign.toml").is_file():
        init(campaign, campaign_config(data, folder / "model", seed=seed))
    play(campaign)
    record(campaign, perturbed_config(data))
    played = play(campaign)
    path, report, _ = show(campaign)
    answer = against_truth(campaign / "rounds" / f"{played.round:03d}", pd.read_csv(data / "truth.csv"))
    auroc_of = answer.set_index("method")["auroc"]
    known = ", ".join(
        f"{name} {auroc_of[name]:.2f}"
        for name in (method_of(report, "delete"), "frozen", "de")
        if name in auroc_of
    )
    lines = [
        f"Known answer, {int(answer['n_hits'].max())} hits among {int(answer['n_genes'].max())} genes that no method was trained on, "
        f"AUROC: {known}. One simulated network is no benchmark."
    ]
    tree = {"report": str(path), "pretraining": learned.to_dict(), "answer": answer.to_dict("records")}
    return tree, report, lines


def campaign_config(data: Path, model: Path, *, seed: int) -> CampaignConfig:
    """Ask which knock-downs take stimulated cells back to rest."""
    return CampaignConfig.from_dict(
        {
            "cells": {
                "path": str((data / "cells.h5ad").resolve()),
                "state_column": "state",
                "start": "stimulated",
                "goal": "resting",
                "donor_column": "donor_id",
            },
            "train": {"model": str(model.resolve()), "epochs": 2, "seed": seed},
            "perturb": {
                "cells_per_gene": 8,
                "full_cells_per_gene": 5,
                "reference_genes": 360,  # all, so that every method can be judged on every gene
                "seed": seed,
            },
            "evaluate": {"bootstrap": 200, "seed": seed},
            "knowledge": {"leave_out": ["all"]},  # simulated genes bear names of real ones, and nothing else
        }
    )


def perturbed_config(data: Path) -> PerturbedConfig:
    """Knock-downs of 40 genes in stimulated cells."""
    return PerturbedConfig(
        path=str((data / "perturbed.h5ad").resolve()),
        target_column="target",
        control=toy.CONTROL,
        modality="crispri",
        replicate_column="replicate",
        guide_column="guide",
    )


def against_truth(folder: Path, truth: pd.DataFrame) -> pd.DataFrame:
    """Judge every method by the true effects of the genes that all of them score and no one was trained on.

    Controls are scored in folds only; the fold's models learn from the same targets as the full ranking's.

    Returns
    -------
    Columns `method`, `title`, `auroc`, `average_precision`, `n_genes`, `n_hits`.
    """
    predictions = read_of_round(folder, "predictions").query("kind == 'delete' and fold <= 0")
    effects = read_of_round(folder, "effects")
    spent = set(effects.loc[effects["fold"] < 0, "gene_id"])
    hits = truth.query("start == 'stimulated' and kind == 'delete'").set_index("gene_id")["hit"].astype(bool)
    scores = predictions.sort_values("fold").pivot_table("score", "gene_id", "method", aggfunc="last")
    scores = scores[~scores.index.isin(spent)].dropna()
    hit_g = hits.loc[scores.index].to_numpy(bool)
    rows = [
        {
            "method": entry.name,
            "title": entry.title,
            "auroc": auroc(hit_g, scores[entry.name].to_numpy(float)),
            "average_precision": average_precision(hit_g, scores[entry.name].to_numpy(float)),
            "n_genes": len(hit_g),
            "n_hits": int(hit_g.sum()),
        }
        for entry in METHODS
        if entry.name in scores
    ]
    return pd.DataFrame(rows)
