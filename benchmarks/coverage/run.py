"""Do the 90 % intervals of an AUROC, and of the gain of one ranking over another, hold the truth in 90 % of samples?

    python benchmarks/coverage/run.py OUT

takes all genes of one large simulated network as the population: what ranks them is signed DE, and expression as the other ranking; what
is true is the effect of every gene. From it genes are drawn without replacement, as held-out targets are from a genome, and each
sample's interval is asked whether it holds the value over all genes. `--table FILE` takes another population: a CSV file with the
columns `score`, `hit` (0 or 1) and, for gains, `other`. Writes `coverage.csv` and `summary.md` to OUT.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from scipy.stats import norm

from perturbloop.data import toy
from perturbloop.data.cells import from_adata
from perturbloop.evaluate.baselines import baselines
from perturbloop.evaluate.metrics import auroc
from perturbloop.schema import Kind
from perturbloop.stats.delong import auroc_difference, auroc_interval
from perturbloop.stats.resample import bootstrap_interval

SEED = 1000
"""A network that no method was chosen on."""
LEVEL = 0.9


def coverage(
    score_g: np.ndarray,
    hit_g: np.ndarray,
    other_g: np.ndarray | None = None,
    *,
    sizes: tuple[int, ...],
    times: int,
    n_samples: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Share of samples whose 90 % interval holds the value over the whole population.

    Parameters
    ----------
    score_g, hit_g
        Score and truth of every gene of the population.
    other_g
        Score of another ranking of the same genes; with it gains are judged as well.
    sizes
        Genes drawn per sample, without replacement.
    times
        Samples per size.
    n_samples
        Bootstrap samples behind each bootstrap interval.
    rng
        Draws genes and bootstrap samples.

    Returns
    -------
    One row per size, statistic and interval (`delong` is Newcombe's for a single hit and for perfect order, as in the
    scoreboard): `coverage` among the samples that have an interval and its standard error `se`,
    `width` (mean), `without` (share of samples that have none, for lack of hits), `n_hits` (mean). `ideal` is what a perfect
    interval for an endless population would cover here: drawing a share f of all genes without replacement leaves only
    1 − f of the variance.
    """
    whole = {"auroc": auroc(hit_g, score_g)}
    if other_g is not None:
        whole["gain"] = whole["auroc"] - auroc(hit_g, other_g)
    rows = []
    for size in sizes:
        for _ in range(times):
            drawn = rng.choice(score_g.size, size, replace=False)
            other_n = None if other_g is None else other_g[drawn]
            for statistic, name, low, high in _intervals(
                hit_g[drawn], score_g[drawn], other_n, n_samples, rng
            ):
                inside = np.nan if np.isnan(low) else float(low <= whole[statistic] <= high)
                rows.append((size, statistic, name, inside, high - low, int(hit_g[drawn].sum())))
    table = pd.DataFrame(rows, columns=["n_genes", "statistic", "interval", "inside", "width", "n_hits"])
    found = table.groupby(["n_genes", "statistic", "interval"], as_index=False).agg(
        n_hits=("n_hits", "mean"),
        coverage=("inside", "mean"),
        width=("width", "mean"),
        defined=("inside", "count"),
    )
    left = np.maximum(1 - found["n_genes"] / score_g.size, 1e-12)
    return found.assign(
        se=np.sqrt(found["coverage"] * (1 - found["coverage"]) / found["defined"]),
        without=1 - found["defined"] / times,
        ideal=2 * norm.cdf(norm.ppf((1 + LEVEL) / 2) / np.sqrt(left)) - 1,
        value=found["statistic"].map(whole),
    ).drop(columns="defined")


def _intervals(
    hit_n: np.ndarray,
    score_n: np.ndarray,
    other_n: np.ndarray | None,
    n_samples: int,
    rng: np.random.Generator,
) -> Iterator[tuple[str, str, float, float]]:
    """Statistic, interval, and its ends."""
    drawn = partial(bootstrap_interval, rng=rng, n_samples=n_samples, level=LEVEL)
    delong = auroc_interval(hit_n, score_n, level=LEVEL)
    yield "auroc", "delong", delong.low, delong.high
    resampled = drawn(auroc, hit_n, score_n)
    yield "auroc", "bootstrap", resampled.low, resampled.high
    if other_n is not None:
        paired = auroc_difference(hit_n, score_n, other_n, level=LEVEL)
        yield "gain", "delong", paired.low, paired.high
        resampled = drawn(_gain, hit_n, score_n, other_n)
        yield "gain", "bootstrap", resampled.low, resampled.high


def _gain(hit_n: np.ndarray, score_n: np.ndarray, other_n: np.ndarray) -> float:
    return auroc(hit_n, score_n) - auroc(hit_n, other_n)


def population(scale: int, kind: Kind) -> pd.DataFrame:
    """Signed DE and expression of all genes of one large network, with the truth."""
    world = toy.world(SEED, n_genes=360 * scale, n_cells=1200, n_corpus=8, scale=scale)
    cells, _ = from_adata(world.cells)
    rng = np.random.default_rng(SEED)
    rows = baselines(cells, (cells.obs["state"] == "resting").to_numpy(bool), kinds=(kind,), rng=rng)
    wide = rows.pivot_table(values="score", index="gene_id", columns="method")
    truth = world.truth("stimulated", kind).set_index("gene_id").reindex(wide.index)
    return pd.DataFrame(
        {"score": wide["de"], "other": wide["expression"], "hit": truth["hit"].to_numpy(bool)}
    ).reset_index(drop=True)


def _markdown(table: pd.DataFrame) -> str:
    shown = table.assign(coverage=[f"{row.coverage:.3f} ± {row.se:.3f}" for row in table.itertuples()])
    shown = shown[["statistic", "n_genes", "n_hits", "interval", "coverage", "ideal", "width", "without"]]
    numbers = {"n_hits": 1, "ideal": 3, "width": 3, "without": 3}
    shown = shown.assign(
        **{name: shown[name].map(f"{{:.{digits}f}}".format) for name, digits in numbers.items()}
    )
    rows = [list(shown.columns), ["---"] * shown.shape[1], *shown.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the results.")],
    table: Annotated[Path | None, typer.Option(help="CSV file of another population.")] = None,
    scale: Annotated[int, typer.Option(help="Size of the network, in times 360 genes.")] = 10,
    kind: Annotated[str, typer.Option(help="delete or overexpress.")] = "delete",
    sizes: Annotated[str, typer.Option(help="Genes per sample, separated by commas.")] = "50,100,200,400",
    times: Annotated[int, typer.Option(help="Samples per size.")] = 500,
    samples: Annotated[int, typer.Option(help="Bootstrap samples per interval.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
) -> None:
    """Draw, judge, and write the tables."""
    out.mkdir(parents=True, exist_ok=True)
    genes = (
        pd.read_csv(table)
        if table
        else population(scale, "overexpress" if kind == "overexpress" else "delete")
    )
    found = coverage(
        genes["score"].to_numpy(float),
        genes["hit"].to_numpy(bool),
        genes["other"].to_numpy(float) if "other" in genes.columns else None,
        sizes=tuple(int(size) for size in sizes.split(",")),
        times=times,
        n_samples=samples,
        rng=np.random.default_rng(seed),
    ).sort_values(["statistic", "n_genes", "interval"])
    found.to_csv(out / "coverage.csv", index=False)
    values = ", ".join(f"{name} {rows['value'].iloc[0]:.3f}" for name, rows in found.groupby("statistic"))
    lines = f"{len(genes):,} genes, {int(genes['hit'].sum()):,} hits; over all of them: {values}.\n\n{_markdown(found)}\n"
    (out / "summary.md").write_text(lines)
    typer.echo(lines)


if __name__ == "__main__":
    typer.run(main)
