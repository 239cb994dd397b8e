"""Do the effects of a few genes in one screen find the hits of another? Any pair of screens, beside every control.

    python benchmarks/real/transfer.py --from SCREEN1 --to SCREEN2 --cells FILE.h5ad --pathway "TCR signaling" --out DIR

Screens are gene summaries of MAGeCK, or any table that `perturbloop record` reads; cells are raw counts, single cells or bulk. Effects
of a panel of the first screen, random or 40 % hits (*hit-enriched*), rank all other expressed genes; the second screen's hits are the truth.
Gene sets and reference cell types are those of `$PERTURBLOOP_SHARED`, by default `../shared/data` beside the checkout, else those of
the package. Writes `DIR/transfer.csv`, one row a method, kind of panel and size, and prints the answer. Minutes on one core.
"""

from pathlib import Path
from typing import Annotated, cast

import pandas as pd
import typer
from transfer_methods import constants, graph_of_all, judged, panel_places, rankings
from transfer_problem import Problem, read_problem
from transfer_summary import summary

from perturbloop.design.panels import PanelRule
from perturbloop.schema import Modality

RULES: tuple[PanelRule, ...] = ("random", "hit-enriched")
NUMBERS = ("auroc", "auroc_away", "average_precision", "precision_at_50")
COLUMNS = ("method", "panel", "k", *NUMBERS, "sd_auroc", "n_panels", "n_genes", "n_hits")


def play(given: Problem, *, n_panels: int, sizes: list[int]) -> pd.DataFrame:
    """One row per method and panel."""
    graph, fixed = graph_of_all(given), constants(given)
    rules = [how for how in RULES if how == "random" or given.known_hit_g.any()]
    rows = []
    for how in rules:
        for k in sizes:
            for seed in range(n_panels):
                place_p = panel_places(given, how, k, seed)
                found = [*rankings(given, graph, place_p, seed), *fixed]
                rows += [judged(given, one, place_p) | {"panel": how, "k": k, "seed": seed} for one in found]
            typer.echo(f"{n_panels} {how} panels of {k}: done", err=True)
    return pd.DataFrame(rows)


def table(played: pd.DataFrame) -> pd.DataFrame:
    """Means over panels, in the columns that are promised, and the standard deviation of the AUROC."""
    groups = played.groupby(["method", "panel", "k"], sort=False)
    means = groups[[*NUMBERS, "n_genes", "n_hits"]].mean()
    made = means.assign(sd_auroc=groups["auroc"].std(ddof=1), n_panels=groups["seed"].nunique()).reset_index()
    return made[list(COLUMNS)]


def write(played: pd.DataFrame, out: Path) -> None:
    """Write `transfer.csv` and `summary.md`, and say the latter."""
    out.mkdir(parents=True, exist_ok=True)
    table(played).round(5).to_csv(out / "transfer.csv", index=False)
    (out / "summary.md").write_text(summary(played))
    typer.echo(summary(played))


def main(
    first: Annotated[Path, typer.Option("--from", help="Screen whose effects are measured.")],
    second: Annotated[Path, typer.Option("--to", help="Screen whose hits are the truth.")],
    cells: Annotated[Path, typer.Option(help="h5ad of raw counts of the cells, single or bulk.")],
    min_cpm: Annotated[float, typer.Option(help="Least counts per million of a gene that is judged.")] = 1.0,
    pathway: Annotated[
        list[str] | None, typer.Option(help="Gene set that is known to drive the readout; may be repeated.")
    ] = None,
    panels: Annotated[int, typer.Option(help="Panels of each kind and size.", min=2)] = 30,
    k: Annotated[list[int] | None, typer.Option(help="Measured genes of a panel; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results/transfer"),
    modality: Annotated[
        str, typer.Option(help="What both screens did: crispri, crispr_ko or crispra.")
    ] = "crispri",
    fdr: Annotated[float, typer.Option(help="False discovery rate of a hit.")] = 0.05,
    state: Annotated[
        str, typer.Option(help="State of the cells whose expression counts; by default the mean of all.")
    ] = "",
) -> None:
    """Play all panels, write the table and say what follows."""
    given = read_problem(
        first,
        second,
        cells,
        min_cpm=min_cpm,
        pathway=pathway or [],
        modality=cast("Modality", modality),
        fdr=fdr,
        state=state,
    )
    for fact in given.facts:
        typer.echo(fact)
    write(play(given, n_panels=panels, sizes=k or [20, 75]), out)


if __name__ == "__main__":
    typer.run(main)
