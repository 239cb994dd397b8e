"""Would the loop have paid on finished screens? `perturbloop backtest` on public ones, beside what it must beat.

    python benchmarks/real/replay.py $DATA OUT [--repeats 10]

The published protocol (5 batches of 128, hits = top 5 % of two donors' mean) on the CRISPRi IFN-γ screen, with its own random first
batch and with ours, with collections of before the screen only, and with more gene sets; its FDR hits in donor 2, with donor 1 as the
replicate; a CRISPRa screen; and ten times the IFN-γ screen with its scores dealt out among the genes, of which it must say that there is
nothing to find. A killed run goes on where it stopped. Writes `summary.md` and a folder for each case to OUT.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from perturbloop.design.finished import read_played
from perturbloop.design.policies import AtRandom, learners
from perturbloop.design.replay import play
from perturbloop.design.verdict import verdict
from perturbloop.report.backtest import Backtest, backtest
from perturbloop.schema import BacktestConfig
from perturbloop.stats.streams import stream

CELLS = "states/rade2023_panT_bulk_44samples.h5ad"
BEFORE = "2022-01-31"
"""The IFN-γ screen was published in February 2022."""
MORE_SETS = ("kegg_7.5.1", "msigdb_c3_tf_targets", "msigdb_c5", "msigdb_c8_celltypes", "coessential_modules")
MORE_TABLES = ("coessential_layout.csv.gz", "core_essential_cegv2.csv.gz", "geneformer_v1_medians.csv.gz")
WITHOUT_SIGNAL = 10
"""Screens whose scores are dealt out."""


def cases(data: Path, repeats: int) -> Iterator[tuple[str, BacktestConfig]]:
    """Name and options of each replay."""
    screens, features = data / "screens", data / "knowledge/features"
    common = {
        "cells": (str(data / CELLS),),
        "essential": str(screens / "replay/CEGv2.txt"),
        "repeats": repeats,
    }
    ifng = BacktestConfig(
        screen=str(screens / "replay/IFNG.csv"), hits=str(screens / "replay/IFNG.hits.txt"), **common
    )
    yield "IFN-γ, first batch as proposed", replace(ifng, policies=("ridge", "posterior", "ridge:both"))
    yield "IFN-γ, first batch by chance", replace(ifng, first="chance")
    yield (
        "IFN-γ, collections of before the screen",
        replace(ifng, knowledge_until=BEFORE, policies=("ridge",)),
    )
    yield (
        "IFN-γ, five more collections, first batch by chance",
        replace(
            ifng,
            first="chance",
            policies=("ridge",),
            gene_sets=tuple(str(features / f"{name}.gmt.gz") for name in MORE_SETS),
            tables=tuple(str(features / name) for name in MORE_TABLES),
        ),
    )
    yield (
        "IFN-γ, FDR hits of donor 2",
        BacktestConfig(
            screen=str(screens / "schmidt_ifng_d2.gene_summary.txt"),
            fdr=0.05,
            sister=str(screens / "schmidt_ifng_d1.gene_summary.txt"),
            **common,
        ),
    )
    yield (
        "Steinhart CRISPRa",
        BacktestConfig(
            screen=str(screens / "replay/Steinhart_crispra_GD2_D22.csv"),
            hits=str(screens / "replay/Steinhart_crispra_GD2_D22.hits.txt"),
            modality="crispra",
            **common,
        ),
    )


def without_signal(config: BacktestConfig, out: Path) -> pd.DataFrame:
    """Verdicts on the screen with its rows dealt out among the genes, one draw a row."""
    path = out / "without_signal.csv"
    if path.is_file():
        return pd.read_csv(path)
    given = read_played(config)
    (learner,) = learners(["ridge"])
    rows = []
    for draw in range(WITHOUT_SIGNAL):
        dealt = given.finished.permuted(stream(draw, "screen without signal"))
        tables = [
            play(
                dealt,
                given.ground,
                policy,
                rounds=config.rounds,
                batch=config.batch,
                seed=draw,
                repeat=repeat,
            )
            for policy in (learner, replace(learner, permuted=True), AtRandom())
            for repeat in range(2)
        ]
        said = verdict(pd.concat(tables), n_genes=len(dealt.gene_ids), n_hits=int(dealt.hit_g.sum()))
        rows.append({"draw": draw, "call": said.call, "sentence": said.sentence})
    table = pd.DataFrame(rows)
    table.to_csv(path, index=False)
    return table


def lines(name: str, done: Backtest) -> Iterator[str]:
    """One table of a replay."""
    yield f"\n**{name}.** {done.verdict.sentence}\n"
    yield "| policy | hit ratio | not essential | FDR hits | by round |"
    yield "|---|---|---|---|---|"
    for policy, rows in done.means.groupby("policy", sort=False):
        last = rows.iloc[-1]
        strict = "–" if np.isnan(last["strict_recall"]) else f"{last['strict_recall']:.3f}"
        rounds = " ".join(f"{one:.3f}" for one in rows["hit_ratio"])
        yield f"| {policy} | {last['hit_ratio']:.3f} ± {last['sd']:.3f} | {last['hit_ratio_other']:.3f} | {strict} | {rounds} |"


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the public data.")],
    out: Annotated[Path, typer.Argument(help="Folder of the results.")],
    repeats: Annotated[int, typer.Option(help="Repeats of each policy.")] = 10,
) -> None:
    """Replay every case and write the summary."""
    said: list[str] = []
    for number, (name, config) in enumerate(cases(data, repeats)):
        said += lines(name, backtest(config, out / f"case-{number}"))
        print("\n".join(said[-1:]), flush=True)
    first = next(iter(cases(data, repeats)))[1]
    calls = without_signal(first, out)["call"]
    said.append(
        f"\nWithout signal: `no better than chance` in {int(calls.eq('chance').sum())} of {len(calls)} screens."
    )
    (out / "summary.md").write_text("\n".join(said) + "\n")
    print("\n".join(said))


if __name__ == "__main__":
    typer.run(main)
