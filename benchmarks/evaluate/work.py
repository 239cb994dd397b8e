"""What a round does to judge its methods, step by step, by whichever checkout is on the path: tables and seconds.

    PYTHONPATH=CHECKOUT/src python work.py INPUTS OUT [BOOTSTRAP]

Shuffled effects are taken from the inputs: to spread them again is the evidence channel's work, not that of `evaluate`.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from perturbloop.data.gene_sets import GeneSets
from perturbloop.evaluate import comparisons, scoreboard, strata
from perturbloop.evaluate.calls import Shifted, with_calls
from perturbloop.evaluate.power import judged_targets
from perturbloop.schema import EvaluateConfig

KEYS = {
    "calls": ["method", "kind", "fold", "gene_id"],
    "metrics": ["method", "kind", "targets", "denominator", "metric", "rule"],
    "gains": ["method", "against", "kind", "targets"],
    "strata": ["method", "kind", "by", "stratum"],
    "correlations": ["method", "kind"],
    "power": ["modality"],
}
"""Tables in the order they are made, and what tells their rows apart."""


def gene_sets(table: pd.DataFrame, genes: np.ndarray) -> GeneSets:
    """Gene sets as a campaign reads them."""
    shape = (genes.size, int(table["set"].max()) + 1)
    ones = np.ones(len(table), dtype=np.float32)
    names = np.array([f"set {number}" for number in range(shape[1])], dtype=object)
    return GeneSets("sets.gmt", names, genes, csr_matrix((ones, (table["gene"], table["set"])), shape=shape))


def steps(inputs: Path, bootstrap: int) -> dict[str, Callable[[], pd.DataFrame]]:
    """Read what a round has at hand; each step, as `_judge` of a round calls it."""
    names = ("effects", "predictions", "earlier", "controls", "covariates", "shifts", "sets")
    read = {name: pd.read_parquet(inputs / f"{name}.parquet") for name in names}
    said, judged, config = read["predictions"], read["effects"], EvaluateConfig(bootstrap=bootstrap)
    genes = read["covariates"]["gene_id"].to_numpy(object)
    covariates = read["covariates"].set_index("gene_id")
    sets = gene_sets(read["sets"], genes)
    exact = []
    for name, table in read["shifts"].groupby("method", sort=False):
        ranking = said[said["method"] == name].assign(shift_to_goal=lambda rows: rows["score"])
        exact.append(Shifted(name, -1, ranking, table))
    expression = dict(zip(genes, covariates["expression"], strict=True))
    called: list[pd.DataFrame] = []

    def shuffled(
        base: pd.DataFrame, *_: object, kind: str, methods: list[str], rng: np.random.Generator
    ) -> pd.DataFrame:
        rows = read["controls"]
        rows = rows[rows["method"].isin(methods) & (rows["kind"] == kind)]
        return rows.assign(score=rows["score"] + rng.normal(size=len(rows)))

    comparisons.evidence_predictions = shuffled
    comparisons.n_shuffles = lambda evidence: 5

    def calls() -> pd.DataFrame:
        token_of = {gene: number for number, gene in enumerate(genes)}
        by_kind = dict.fromkeys(said["kind"].unique(), covariates)
        called.append(with_calls(said, by_kind, exact, null_genes=100, token_of=token_of))
        return called[0]

    unread = object.__new__(comparisons.Evidence)  # only its shuffles are asked for, and those are at hand
    evidence = dict.fromkeys(read["controls"]["kind"].unique(), unread)
    return {
        "calls": calls,
        "metrics": lambda: scoreboard(called[0], judged, config=config, gene_sets=sets),
        "gains": lambda: comparisons.gains(said, judged, evidence, config=config, gene_sets=sets),
        "strata": lambda: strata(said, judged, expression=expression, essential=frozenset(genes[::9])),
        "correlations": lambda: comparisons.correlations(said, read["earlier"]),
        "power": lambda: pd.DataFrame([asdict(one) for one in judged_targets(judged, seed=0)]),
    }


def main(inputs: Path, out: Path, bootstrap: int = 1000) -> None:
    """Time every step, and write its table."""
    seconds = {}
    for name, step in steps(inputs, bootstrap).items():
        start = time.process_time()
        table = step()
        seconds[name] = time.process_time() - start
        table.to_parquet(out / f"{name}.parquet")
        print(f"{name:13} {seconds[name]:8.1f} s", flush=True)
    (out / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
