"""Which linear head reads in-silico edits? The choice behind `train.classifier.train_frozen`.

    python benchmarks/state_head/run.py --networks 4

On simulated networks 0, 1, …: a small model is pretrained, its encoder is frozen, every gene is deleted in stimulated cells, and
each head ranks the genes by its logit shift. Prints, per head, the AUROC of finding the true hits and the AUROC of telling
held-out cells apart.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from perturbloop.data import toy
from perturbloop.data.cells import from_adata
from perturbloop.data.encoding import tokenize, vocabulary_of
from perturbloop.models.geneformer import load_geneformer
from perturbloop.models.readout import Readout
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.plan import plan
from perturbloop.schema import PerturbConfig
from perturbloop.train.classifier import train_frozen
from perturbloop.train.pretrain import pretrain
from perturbloop.train.pretrain_config import PretrainConfig


def unconstrained(emb_nd: np.ndarray, is_goal_n: np.ndarray, train_n: np.ndarray, strength: float) -> Readout:
    """L2-penalized logistic regression on standardized embeddings, the scaling folded into the weights."""
    head = make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=5000)
    )
    head.fit(emb_nd[train_n].astype(float), is_goal_n[train_n])
    weight_d = head[1].coef_[0] / head[0].scale_
    return Readout(
        emb_nd[is_goal_n & train_n].mean(axis=0),
        weight_d,
        float(head[1].intercept_[0] - weight_d @ head[0].mean_),
    )


def judge(seed: int) -> pd.DataFrame:
    """One network: every head on the same edits."""
    world = toy.world(seed)
    cells, _ = from_adata(world.cells)
    corpus, _ = from_adata(world.corpus)
    words = vocabulary_of(corpus, max_length=128)
    config = PretrainConfig(layers=2, hidden=64, max_length=128, steps=200, learning_rate=2e-3, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        pretrain([corpus], words, Path(folder) / "model", config)
        model = load_geneformer(Path(folder) / "model")
    tokens = tokenize(cells, words)
    emb_nd = model.embed([tokens.row(cell) for cell in range(tokens.n_cells)])
    is_goal_n = (cells.obs["state"] == "resting").to_numpy()
    donor_n = cells.obs["donor_id"].to_numpy()
    train_n = ~np.isin(donor_n, np.unique(donor_n)[:2])
    heads = {"axis between the means": train_frozen(model, emb_nd, is_goal_n, train_n).readout}
    heads |= {
        f"logistic, standardized, C = {strength:g}": unconstrained(emb_nd, is_goal_n, train_n, strength)
        for strength in (0.001, 0.1)
    }
    start = tokens.select(np.flatnonzero(~is_goal_n))
    edits = plan(start, words, PerturbConfig(kinds=("delete",), cells_per_gene=20, seed=seed))
    truth = world.truth("stimulated", "delete").set_index("gene_id")["hit"]
    rows = []
    for name, readout in heads.items():
        shifts = ExactEngine(model, readout).shifts(start, edits).groupby("gene_id")
        states = roc_auc_score(is_goal_n[~train_n], readout.logit(emb_nd[~train_n]))
        means = {"logit shift": "logit_shift", "cosine shift": "shift_to_goal"}
        for what, column in means.items() if name.startswith("axis") else [("logit shift", "logit_shift")]:
            score = shifts[column].mean()
            rows.append((seed, name, what, roc_auc_score(truth.loc[score.index], score), states))
    return pd.DataFrame(rows, columns=["network", "head", "score", "AUROC of hits", "AUROC of states"])


def main(networks: Annotated[int, typer.Option(help="Networks, from seed 0.")] = 4) -> None:
    """Judge, and print mean and sd over networks."""
    table = pd.concat([judge(seed) for seed in range(networks)])
    found = table.groupby(["head", "score"])[["AUROC of hits", "AUROC of states"]].agg(["mean", "std"])
    typer.echo(found.round(3).to_string())


if __name__ == "__main__":
    typer.run(main)
