"""T cells from bulk: does the open loop find the regulators of T-cell activation that two genome-wide screens found?

    python benchmarks/real/t_cells.py $DATA OUT

Bulk samples of pan-T cells become pseudo-cells; a small model is pretrained on them and on real blood cells; every gene is
deleted in activated cells and overexpressed in resting ones; the rankings are judged by the CRISPRi IFN-γ and the CRISPRa TNF
screens, arm by arm, beside rankings that need no model and a model that never learned. A killed run goes on where it
stopped. Writes `results.csv`, `gains.csv`, `counts.csv`, `controls.csv` and `summary.md` to OUT, and the rankings as Parquet.

**Pseudo-cells of one sample are one measurement.** The donors, four, are the replicates, and no p-value is made here.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import anndata as ad
import numpy as np
import pandas as pd
import typer
from bulk import donor_de
from judge import Genes, Method, gain_rows, rows
from pseudo_cells import pseudo_cells
from small_models import (
    check_lines,
    heldout_auroc,
    play,
    save_gene_embeddings,
    shifts_of,
    small_model,
    untrained_model,
)
from truth import crispra_tnf, crispri_ifng, in_both, pathway

from perturbloop.data.cells import read_cells
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.evaluate.controls import control
from perturbloop.schema import Kind
from perturbloop.train.pretrain_config import PretrainConfig

BULK = "states/rade2023_panT_bulk_44samples.h5ad"
CORPUS = (
    "mimitou_pbmc_citefuse_500",
    "scp1884_crohn_1020",
    "cellxgene_22types_220",
    "pbmc10k_scvi_test",
    "zheng68k_11types_165",
)
"""Real cells of `pretrain/` beside the pseudo-cells; those on small panels are left out."""
PATHWAY = ("TCR signaling", "CD28 co-stimulation")
STATES: dict[Kind, tuple[str, str]] = {
    "delete": ("activated", "resting"),
    "overexpress": ("resting", "activated"),
}
"""Start and goal: a deletion that takes activated cells to rest, and a gain that activates resting ones, both mark a
positive regulator."""
MODELS = {"isp": "model", "coexpression": "model-coexpression", "untrained": "model-untrained"}
"""The model in question; where it started, gene vectors from co-expression and no training; and random weights."""
PER_SAMPLE = 10
"""Pseudo-cells of each sample in the campaigns; more of one sample would be the same measurement again."""
K = 50
PRIMARY = {"delete": "CRISPRi IFN-γ, donor 2", "overexpress": "CRISPRa TNF, FDR < 0.05"}


@dataclass(frozen=True)
class Sizes:
    """How much is spent."""

    layers: int
    hidden: int
    max_length: int
    minutes: float
    cells: dict[str, dict[Kind, int]]
    """Start cells to screen, by model and kind."""


def prepare(data: Path, out: Path, sizes: Sizes, seed: int) -> None:
    """Make pseudo-cells and models."""
    pseudo, few = out / "pseudo.h5ad", out / "campaign.h5ad"
    if not pseudo.is_file():
        cells = pseudo_cells(ad.read_h5ad(data / BULK), per_sample=40, umi=(2000, 3000), seed=seed)
        cells.write_h5ad(pseudo)
    if not few.is_file():
        cells = ad.read_h5ad(pseudo)
        cells[cells.obs.groupby("sample", observed=True).cumcount().to_numpy() < PER_SAMPLE].write_h5ad(few)
    files = [pseudo, *(data / "pretrain" / f"{name}.h5ad" for name in CORPUS)]
    config = PretrainConfig(
        layers=sizes.layers,
        hidden=sizes.hidden,
        max_length=sizes.max_length,
        minutes=sizes.minutes,
        seed=seed,
    )
    small_model(out / MODELS["isp"], files, data / "geneformer", config)
    small_model(out / MODELS["coexpression"], files, data / "geneformer", replace(config, steps=1))
    untrained_model(out / MODELS["untrained"], out / MODELS["isp"], seed=seed)
    save_gene_embeddings(out / MODELS["isp"], out / "gene_embeddings.npz")


def rank(out: Path, name: str, kind: Kind, sizes: Sizes) -> pd.DataFrame:
    """Read the shifts of every gene by one model, or make them."""
    path = out / f"{name}_{kind}.parquet"
    if not path.is_file():
        started, folder = time.monotonic(), out / f"campaign-{name}-{kind}"
        cells = sizes.cells[name][kind]
        played = play(folder, out / "campaign.h5ad", out / MODELS[name], kind, STATES[kind], cells)
        note = {"heldout_auroc": heldout_auroc(played), "cells": cells, "check": check_lines(folder)}
        note["minutes"] = (time.monotonic() - started) / 60
        path.with_suffix(".json").write_text(json.dumps(note))
        shifts_of(played).to_parquet(path)
    return pd.read_parquet(path)


def without_model(data: Path, out: Path, words: Vocabulary) -> pd.DataFrame:
    """Differential expression and expression in the bulk samples."""
    path = out / "de.parquet"
    if not path.is_file():
        donor_de(read_cells(data / BULK, names=words.names)[0]).to_parquet(path)
    return pd.read_parquet(path)


def methods(
    kind: Kind, shifts: dict[str, pd.DataFrame], de: pd.DataFrame, known: frozenset[str], seed: int
) -> list[Method]:
    """Every ranking of one arm, the first being the one in question."""
    de = de.set_index("gene_id")
    level = de[f"log_{STATES[kind][0]}"]
    in_known = pd.Series(level.index.isin(known), index=level.index)
    titles = {"isp": "ISP", "coexpression": "co-expression start", "untrained": "untrained model"}
    readings = {"benefit": "logit", "shift_to_goal": "cosine", "null_z": "matched-null z"}
    by_gene = {name: table.set_index("gene_id") for name, table in shifts.items()}
    found = [
        Method(f"{titles[name]}, {reading}", table[column], True)
        for name, table in by_gene.items()
        for column, reading in readings.items()
        if name == "isp" or column == "benefit"
    ]
    return [
        *found,
        Method("number of cells behind the ISP", by_gene["isp"]["n_cells"].astype(float), False),
        Method("expression", level, False),
        Method("detection in pseudo-cells", by_gene["isp"]["detection"], False),
        Method("signed DE", de["z"], True),
        Method("absolute DE", de["z"].abs(), False),
        Method("TCR/CD28 sets by expression", level.where(in_known, 0.0).fillna(0.0), False),
        Method("TCR/CD28 sets first, all by expression", level + 100.0 * in_known, False),
        Method(
            "chance, one draw",
            pd.Series(np.random.default_rng(seed).random(len(level)), index=level.index),
            False,
        ),
    ]


def truths(data: Path, words: Vocabulary) -> dict[Kind, dict[str, pd.DataFrame]]:
    """What each arm is judged by, the first being the one declared beforehand."""
    screens = data / "screens"
    donor = {
        number: crispri_ifng(screens / f"schmidt_ifng_d{number}.gene_summary.txt", words) for number in (1, 2)
    }
    tnf = screens / "schmidt2022_CRISPRa_TNF.csv"
    return {
        "delete": {
            PRIMARY["delete"]: donor[2],
            "CRISPRi IFN-γ, donor 1": donor[1],
            "CRISPRi IFN-γ, both donors": in_both(donor[1], donor[2]),
        },
        "overexpress": {
            PRIMARY["overexpress"]: crispra_tnf(tnf, words, published=False),
            "CRISPRa TNF, hits as published": crispra_tnf(tnf, words, published=True),
        },
    }


def count(truth: pd.DataFrame, expressed: set[str], scored: set[str]) -> dict[str, object]:
    """How many genes and hits fall into each of the three cases, and how many are not expressed."""
    case = pd.Series("not expressed", index=truth.index)
    case[truth["gene_id"].isin(expressed)] = "expressed, not scored"
    case[truth["gene_id"].isin(expressed & scored)] = "scored"
    case[truth["gene_id"].isin(scored - expressed)] = "scored, below the expression limit"
    parts = truth.groupby(case)
    by_case = {
        "genes": parts.size(),
        "positive": parts["positive"].sum(),
        "negative": parts["negative"].sum(),
    }
    return {f"{name}: {what}": int(n) for what, table in by_case.items() for name, n in table.items()}


def controls(kind: Kind, table: pd.DataFrame, de: pd.DataFrame) -> pd.DataFrame:
    """Where the positive controls stand, and what the ranking says again: its rank correlation with signed DE."""
    joined = table.merge(de[["gene_id", "z"]], on="gene_id", how="left")
    place = table.set_index("gene_name")["benefit"].rank(ascending=False)
    known = control("t-cell-activation").pathway
    found = {
        "kind": kind,
        "genes": len(table),
        "Spearman with signed DE": joined["benefit"].corr(joined["z"], "spearman"),
    }
    return pd.DataFrame([found | {name: place.get(name, np.nan) for name in known}]).round(2)


def judge_all(data: Path, out: Path, words: Vocabulary, n_samples: int, seed: int, sizes: Sizes) -> None:
    """Judge both arms by every truth and denominator, and write the tables."""
    de = without_model(data, out, words)
    known = pathway(data / "knowledge/ReactomePathways.gmt", PATHWAY, words)
    results, gains, counts, known_places = [], [], [], []
    for kind, by_title in truths(data, words).items():
        shifts = {name: rank(out, name, kind, sizes) for name in MODELS}
        known_places += [controls(kind, table, de).assign(model=name) for name, table in shifts.items()]
        rankings = methods(kind, shifts, de, known, seed)
        level = de.set_index("gene_id")[f"log_{STATES[kind][0]}"]
        expressed, scored = set(de.loc[de["expressed"], "gene_id"]), set(shifts["isp"]["gene_id"])
        for title, truth in by_title.items():
            names = {"kind": kind, "truth": title}
            counts.append(names | count(truth, expressed, scored))
            table = truth[truth["gene_id"].isin(expressed)].set_index("gene_id")
            kept = {
                "expressed": table,
                "scored": table[table.index.isin(scored)],
                "expressed, outside TCR/CD28": table[~table.index.isin(known)],
            }
            for name, part in kept.items():
                genes = Genes(name, part, level)
                results += [names | row for row in rows(genes, rankings, k=K, n_samples=n_samples, seed=seed)]
                if title == PRIMARY[kind] and name != "scored":
                    found = gain_rows(genes, rankings[0], rankings[1:], n_samples=n_samples, seed=seed)
                    gains += [names | row for row in found]
        typer.echo(f"{kind}: judged")
    pd.DataFrame(results).to_csv(out / "results.csv", index=False)
    pd.DataFrame(gains).to_csv(out / "gains.csv", index=False)
    pd.DataFrame(counts).fillna(0).to_csv(out / "counts.csv", index=False)
    pd.concat(known_places).to_csv(out / "controls.csv", index=False)


def summarize(out: Path) -> str:
    """Tables of the truths declared beforehand, as Markdown."""
    results, gains = pd.read_csv(out / "results.csv"), pd.read_csv(out / "gains.csv")
    counts = pd.read_csv(out / "counts.csv")
    parts = ["## Positive controls: places", *_markdown(pd.read_csv(out / "controls.csv"))]
    parts += [
        "## Genes",
        *_markdown(counts.astype(dict.fromkeys(counts.columns[2:], int)).T.reset_index(), header=False),
    ]
    for kind, title in PRIMARY.items():
        note = json.loads((out / f"isp_{kind}.json").read_text())
        other = json.loads((out / f"untrained_{kind}.json").read_text())
        parts += [
            f"## {title}: {kind}, {' → '.join(STATES[kind])}",
            f"State head on the donor left out: AUROC {note['heldout_auroc']:.3f} (untrained {other['heldout_auroc']:.3f}); "
            f"{note['minutes']:.0f} minutes.",
        ]
        for denominator in ("expressed", "expressed, outside TCR/CD28"):
            rows_ = results[results["truth"].eq(title) & results["denominator"].eq(denominator)]
            parts += [f"### Genes: {denominator}", *_markdown(_wide(rows_))]
        rows_ = gains[gains["kind"].eq(kind) & gains["denominator"].eq("expressed")]
        parts += [f"### AUROC of {rows_['method'].iloc[0]} less that of …", *_markdown(_gains(rows_))]
    return "\n\n".join(part if isinstance(part, str) else "\n".join(part) for part in _blocks(parts)) + "\n"


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method, one column per direction: AUROC (interval), matched AUROC, average precision, precision at k."""
    lines = table.assign(
        text=[
            f"{row.auroc:.2f} ({row.ci_low:.2f}–{row.ci_high:.2f}); {row.auroc_matched:.2f}; {row.average_precision:.3f}; "
            f"{row.precision_at_k:.2f} (×{row.lift_at_k:.1f})"
            for row in table.itertuples()
        ]
    )
    heads = {
        direction: f"{direction}: {part['n_hits'].iloc[0]} of {part['n_genes'].iloc[0]:,} ({part['prevalence'].iloc[0]:.2%})"
        for direction, part in table.groupby("direction")
    }
    wide = lines.pivot_table("text", index="method", columns="direction", aggfunc="first", sort=False)
    return wide.rename(columns=heads).reset_index()


def _gains(table: pd.DataFrame) -> pd.DataFrame:
    lines = table.assign(
        text=[f"{row.gain:+.2f} ({row.ci_low:+.2f} to {row.ci_high:+.2f})" for row in table.itertuples()]
    )
    return lines.pivot_table(
        "text", index="minus", columns="direction", aggfunc="first", sort=False
    ).reset_index()


def _markdown(table: pd.DataFrame, *, header: bool = True) -> list[str]:
    cells = table.astype(str).to_numpy().tolist()
    head, body = ([str(name) for name in table.columns], cells) if header else (cells[0], cells[1:])
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]


def _blocks(parts: list[str]) -> list[str | list[str]]:
    """Keep the rows of a table together."""
    blocks: list[str | list[str]] = []
    for part in parts:
        if part.startswith("|") and blocks and isinstance(blocks[-1], list):
            blocks[-1].append(part)
        else:
            blocks.append([part] if part.startswith("|") else part)
    return blocks


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the public data.")],
    out: Annotated[Path, typer.Argument(help="Folder of models, campaigns and results.")],
    minutes: Annotated[float, typer.Option(help="Pretraining.")] = 12.0,
    layers: Annotated[int, typer.Option(help="Layers of the model.")] = 3,
    hidden: Annotated[int, typer.Option(help="Length of an embedding.")] = 128,
    max_length: Annotated[int, typer.Option(help="Most tokens of a cell.")] = 1536,
    delete_cells: Annotated[int, typer.Option(help="Activated cells to screen; half for the control.")] = 60,
    overexpress_cells: Annotated[
        int, typer.Option(help="Resting cells to screen; dearer, a quarter for the control.")
    ] = 30,
    bootstrap: Annotated[int, typer.Option(help="Bootstrap samples over genes.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
) -> None:
    """Make what is missing, judge, and write the tables."""
    out.mkdir(parents=True, exist_ok=True)
    asked: dict[Kind, int] = {"delete": delete_cells, "overexpress": overexpress_cells}
    fewer: dict[Kind, int] = {
        "delete": max(1, delete_cells // 2),
        "overexpress": max(1, overexpress_cells // 4),
    }
    sizes = Sizes(
        layers, hidden, max_length, minutes, {"isp": asked, "coexpression": fewer, "untrained": fewer}
    )
    prepare(data, out, sizes, seed)
    words = Vocabulary.published(data / "geneformer")
    without_model(data, out, words)
    for name in MODELS:
        for kind in STATES:
            rank(out, name, kind, sizes)
    judge_all(data, out, words, bootstrap, seed, sizes)
    (out / "summary.md").write_text(summarize(out))
    typer.echo((out / "summary.md").read_text())


if __name__ == "__main__":
    typer.run(main)
