"""How long the README's campaign takes on real cells in two checkouts, command by command, and whether they rank alike.

    python benchmarks/speed/campaign.py OLD NEW --cells CELLS.h5ad --perturbed PERTURBED.h5ad --model MODEL

The cells and the perturbed cells are those of docs/howto/real_cells.md, or have their columns. The checkouts take turns at every command, so that
whatever else the machine does slows both. Prints seconds of wall and of CPU for each command, the ratios old : new, and of the first round's ranking
by edit the rank correlation and how many of the best 50 both have. Cells are drawn by seed, and what a seed draws differs between versions: where fewer
cells are edited than express a gene, rankings agree no better than two seeds do.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from run import Run, measured

TOP = 50


def commands(cells: Path, perturbed: Path, model: Path, extra: list[str]) -> list[list[str]]:
    """The README's five commands after `pretrain`; the campaign is `study`."""
    states = ["--state-column", "condition", "--start", "stimulated", "--goal", "control"]
    labels = ["--target-column", "target", "--control", "non-targeting", "--modality", "crispr_ko"]
    guides = ["--replicate-column", "replicate", "--guide-column", "grna", "--min-purity", "0.8"]
    return [
        [
            "init",
            "study",
            "--cells",
            str(cells),
            *states,
            "--model",
            str(model),
            "--cells-per-gene",
            "5",
            *extra,
        ],
        ["play", "study"],
        ["record", "study", "--perturbed", str(perturbed), *labels, *guides],
        ["play", "study"],
        ["report", "study"],
    ]


def ranking(folder: Path) -> pd.DataFrame:
    """Mean logit shift of each gene and edit in the first round, positive = toward the goal."""
    table = pd.read_parquet(folder / "study" / "rounds" / "000" / "ranking.parquet")
    return table[table["status"] == "scored"].pivot_table("logit_shift", "gene_id", "kind")


def agreement(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Rank correlation and shared best genes of two rankings, by edit."""
    lines = []
    for kind in sorted(set(old) & set(new)):
        both = pd.concat({"old": old[kind], "new": new[kind]}, axis=1).dropna()
        best = [set(both[name].nlargest(TOP).index) for name in both]
        rho = both["old"].corr(both["new"], method="spearman")
        lines.append(
            f"{kind}: Spearman {rho:.3f}, {len(best[0] & best[1])} of the best {TOP}, {len(both):,} genes"
        )
    return lines


def main(
    old: Path,
    new: Path,
    cells: Annotated[Path, typer.Option()],
    perturbed: Annotated[Path, typer.Option()],
    model: Annotated[Path, typer.Option()],
    more: Annotated[str, typer.Option(help="More options of init, divided by blanks.")] = "",
) -> None:
    """Compare two checkouts."""
    given = [path.resolve() for path in (cells, perturbed, model)]
    with tempfile.TemporaryDirectory() as temporary:
        places = {path.resolve(): Path(temporary) / str(number) for number, path in enumerate((old, new))}
        runs: dict[Path, list[Run]] = {path: [] for path in places}
        for command in commands(*given, more.split()):
            for checkout, place in places.items():
                place.mkdir(exist_ok=True)
                runs[checkout].append(
                    measured([str(checkout / ".venv" / "bin" / "perturbloop"), *command], place)
                )
            before, after = (runs[checkout][-1] for checkout in places)
            typer.echo(
                f"{command[0]:8} wall {before.wall:8.1f} : {after.wall:8.1f} s, CPU {before.cpu:8.1f} : {after.cpu:8.1f} s"
            )
        walls, cpus = (
            [sum(getattr(run, name) for run in own) for own in runs.values()] for name in ("wall", "cpu")
        )
        typer.echo(
            f"all      old : new = {walls[0] / walls[1]:.2f} × by wall, {cpus[0] / cpus[1]:.2f} × by CPU"
        )
        typer.echo("\n".join(agreement(*(ranking(place) for place in places.values()))))


if __name__ == "__main__":
    typer.run(main)
