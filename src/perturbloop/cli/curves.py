"""`perturbloop curves`: how well held-out hits are found after k measured genes."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbloop.cli.options import Cluster, Store, Workers, listed
from perturbloop.cli.output import Answer
from perturbloop.errors import DesignError

if TYPE_CHECKING:
    import pandas as pd


def curves(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Campaign folder, with 30 recorded targets or more.")
    ],
    k: Annotated[
        str, typer.Option(help="Sizes of the panels, by commas; 0 = no gene measured.")
    ] = "0,5,10,20,50",
    panels: Annotated[
        str, typer.Option(help="How panels are drawn, by commas: random, hit-enriched, coverage.")
    ] = "random,hit-enriched,coverage",
    seeds: Annotated[int, typer.Option(help="Draws of each panel.")] = 5,
    levels: Annotated[
        str | None,
        typer.Option(
            help="Levels whose models are trained beside frozen: lora, full or both, by commas; none = evidence channel alone; "
            "the campaign's by default."
        ),
    ] = None,
    trained_at: Annotated[str, typer.Option(help="Sizes at which models are trained, by commas.")] = "0,20",
    workers: Workers = 0,
    cluster: Cluster = "",
    store: Store = "",
) -> Answer:
    """Draw learning curves: held-out hits found after k measured genes, beside controls and baselines."""
    from perturbloop.loop.curves import curves as run

    done = run(
        folder,
        ks=_numbers(k, "--k"),
        panels=listed(panels),
        seeds=seeds,
        levels=None if levels is None else [name for name in listed(levels) if name != "none"],
        trained_at=_numbers(trained_at, "--trained-at"),
        workers=workers,
        cluster=cluster,
        store=store,
    )
    lines = [*_lines(done.means), *done.notes, f"Figure: {done.figure}"]
    tree = {
        "path": str(done.folder / "curves.parquet"),
        "figure": str(done.figure),
        "n_computed": done.n_computed,
        "notes": list(done.notes),
        "means": done.means.to_dict("records"),
    }
    return Answer(tree, lines)


def _lines(means: "pd.DataFrame") -> Iterator[str]:
    """AUROC by method and k, a block per kind and panel; the rows at k = 0 stand once per kind."""
    table = means[means["metric"].eq("auroc")]
    for (kind, panel), rows in table.groupby(["kind", "panel"], sort=False):
        sizes = sorted(rows["k"].unique())
        yield (
            f"{kind}, {panel or 'nothing measured'}: AUROC of {rows['n_hits'].iloc[0]:,} hits among "
            f"{rows['n_genes'].iloc[0]:,} held-out targets"
        )
        yield f"  {'':20}" + "".join(f"{f'k = {k}':>9}" for k in sizes)
        for method, line in rows.groupby("method", sort=False):
            value = line.set_index("k")["value"].reindex(sizes)
            yield f"  {method:20}" + "".join(f"{'-' if one != one else f'{one:.3f}':>9}" for one in value)


def _numbers(text: str, option: str) -> list[int]:
    wrong = [name for name in listed(text) if not name.isdecimal()]
    if wrong:
        msg = (
            f"`{option}` takes whole numbers separated by commas, such as 0,5,20; {text!r} came. Correct it."
        )
        raise DesignError(msg)
    return [int(name) for name in listed(text)]
