"""Does closing the loop help? Every channel, baseline and control on simulated networks whose answer is known.

    python benchmarks/closed_loop/run.py play OUT              # the report: 8 plain and 4 misleading networks
    python benchmarks/closed_loop/run.py play OUT --lean       # what CI checks: direction, not value
    python benchmarks/closed_loop/run.py tune OUT              # the learning rate of full fine-tuning, on other networks

Methods were chosen on networks 0 to 7; the report is on others. A killed run goes on where it stopped. Writes `results.csv`,
`summary.md` and `curves.png`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

sys.path.insert(0, str(Path(__file__).parent))

from encoders import Arm, Size, arm_scores, arms, open_scores, skip_scores
from summary import bars, by_kind, figure, judge, markdown, spread, table
from world import Difficulty, Study

from evidence import baseline_scores, evidence_scores

FIRST_SEED, FIRST_MISLEADING, FIRST_DIFFICULT = 30, 40, 50
THOROUGH = 2
"""Plain networks whose arms also vary labels, share and panel."""
DIFFICULTIES = (
    Difficulty("few cells", n_cells=800, n_perturbed=20),
    Difficulty("many cells", n_cells=4800, n_perturbed=150),
    Difficulty("fewer genes", n_genes=300),
    Difficulty("more genes", n_genes=400),
)
RATES = (5e-5, 1e-4, 2e-4, 4e-4, 8e-4)

app = typer.Typer(add_completion=False, help=__doc__)
Out = Annotated[Path, typer.Argument(help="Folder of models, scores and results.")]


def studies(out: Path, networks: int, misleading: int, difficult: int) -> Iterator[Study]:
    """Plain networks, then misleading ones, then plain ones of other sizes."""
    kinds = [(FIRST_SEED + n, False, Difficulty()) for n in range(networks)]
    kinds += [(FIRST_MISLEADING + n, True, Difficulty()) for n in range(misleading)]
    kinds += [
        (FIRST_DIFFICULT + n, False, difficulty) for difficulty in DIFFICULTIES for n in range(difficult)
    ]
    for seed, misled, difficulty in kinds:
        yield Study(seed, misled, difficulty, out / f"{seed}-{difficulty.name.replace(' ', '-')}")


def play_network(study: Study, chosen: list[Arm]) -> pd.DataFrame:
    """Score and judge one network; what is on disk is not computed again."""
    study.folder.mkdir(parents=True, exist_ok=True)
    parts = [_kept(study, "open", lambda: open_scores(study))]
    parts.append(_kept(study, "skip", lambda: skip_scores(study)))
    for arm in chosen:
        parts.append(_kept(study, arm.name, lambda arm=arm: arm_scores(study, arm)))
    insilico = pd.concat(parts)
    evidence = _kept(study, "evidence", lambda: evidence_scores(study, insilico))
    scores = pd.concat([insilico, baseline_scores(study), evidence])
    scores = scores.assign(panel=scores["panel"].fillna(""), k=scores["k"].fillna(0).astype(int))
    return judge(study, scores)


def _kept(study: Study, name: str, make: object) -> pd.DataFrame:
    path = study.folder / f"{name}.parquet"
    if not path.is_file():
        beside = path.with_suffix(".partial")
        make().to_parquet(beside)  # type: ignore[operator]
        beside.rename(path)
    return pd.read_parquet(path)


@app.command()
def play(
    out: Out,
    networks: Annotated[int, typer.Option(help="Networks whose co-expression follows the modules.")] = 8,
    misleading: Annotated[int, typer.Option(help="Networks whose co-expression misleads.")] = 4,
    difficult: Annotated[int, typer.Option(help="Networks of each other size and depth.")] = 1,
    lean: Annotated[bool, typer.Option("--lean", help="Frozen encoder and evidence only.")] = False,
) -> None:
    """Play, judge, and write the tables."""
    parts = []
    for place, study in enumerate(studies(out, networks, misleading, difficult)):
        size: Size = "few" if study.misleading else "thorough" if place < THOROUGH else "usual"
        only_evidence = lean or study.difficulty != Difficulty()
        parts.append(play_network(study, [] if only_evidence else arms(size)))
        typer.echo(f"network {study.seed} ({study.difficulty.name}): done")
        write(out, pd.concat(parts, ignore_index=True))


@app.command()
def tune(out: Out, networks: Annotated[int, typer.Option(help="Networks, from seed 0.")] = 2) -> None:
    """Open loop of full fine-tuning at several rates, on networks that the report does not use."""
    rows = []
    for seed in range(networks):
        study = Study(seed, False, Difficulty(), out / f"tune-{seed}")
        chosen = [Arm(f"rate {rate:g}", "full", learning_rate=rate) for rate in RATES]
        rows.append(play_network(study, chosen))
        found = pd.concat(rows).pivot_table("auroc", index="method", columns="network")
        kept = found[found.index.str.startswith("rate") | (found.index == "frozen")]
        typer.echo(kept.assign(mean=kept.mean(axis=1)).round(3).to_string())


def write(out: Path, results: pd.DataFrame) -> None:
    """Write results, tables and figure."""
    results.to_csv(out / "results.csv", index=False)
    lines = []
    plain = results[results["difficulty"] == Difficulty().name]
    if plain["misleading"].any() and not plain["misleading"].all():
        lines += [f"## All {plain['network'].nunique()} networks of the standard size", markdown(bars(plain))]
    for misled, rows in plain.groupby("misleading"):
        prevalence = rows["n_hits"] / rows["n_genes"]
        lines += [
            f"## {'Misleading' if misled else 'Plain'} networks: {rows['network'].nunique()}",
            f"Prevalence {spread(prevalence)}. Mean ± sd over networks; differences with their 95 % interval over networks, paired.",
            markdown(bars(rows)),
            markdown(by_kind(rows)),
            markdown(table(rows)),
        ]
    for name, rows in results[results["difficulty"] != Difficulty().name].groupby("difficulty"):
        lines += [f"## {name}: {rows['network'].nunique()} networks", markdown(table(rows))]
    (out / "summary.md").write_text("\n\n".join(lines) + "\n")
    if not plain[~plain["misleading"]].empty:
        figure(plain[~plain["misleading"]]).savefig(out / "curves.png", dpi=150)


if __name__ == "__main__":
    app()
