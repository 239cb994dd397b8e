"""`perturbloop record`: what was measured comes back into the campaign."""

from pathlib import Path
from typing import Annotated, Any

import typer

from perturbloop.cli.output import refusals, say


def record(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Campaign folder.")],
    perturbed: Annotated[
        Path, typer.Option(help="h5ad file with raw counts of perturbed and control cells.")
    ],
    target_column: Annotated[
        str, typer.Option(help="Column of obs that holds the perturbed gene or the compound.")
    ],
    control: Annotated[str, typer.Option(help="Label of the control cells in that column.")],
    modality: Annotated[str, typer.Option(help="crispr_ko, crispri, crispra or drug.")],
    targets: Annotated[
        Path | None, typer.Option(help="Table of compound, gene and action; needed for drugs.")
    ] = None,
    dose_column: Annotated[
        str | None, typer.Option(help="Column of obs with the dose; the highest of each compound is used.")
    ] = None,
    gene_column: Annotated[str | None, typer.Option(help="Column of var with the gene ids.")] = None,
    replicate_column: Annotated[
        str | None, typer.Option(help="Column of obs that holds the replicate.")
    ] = None,
    guide_column: Annotated[str | None, typer.Option(help="Column of obs that holds the guide.")] = None,
    purity_column: Annotated[
        str | None, typer.Option(help="Column of obs with the purity of the guide call.")
    ] = None,
    min_purity: Annotated[float, typer.Option(help="Least purity of a cell's guide call, 0 to 1.")] = 0.0,
    condition_column: Annotated[str | None, typer.Option(help="Column of obs with the condition.")] = None,
    label_source: Annotated[
        str,
        typer.Option(help="state_score, phenotype, condition or screen: where a training label comes from."),
    ] = "state_score",
    phenotype_column: Annotated[
        str | None, typer.Option(help="Column of obs with the probability of the goal state, or a gate.")
    ] = None,
    label_table: Annotated[
        Path | None, typer.Option(help="Table of gene and call (goal, start, none) of another screen.")
    ] = None,
    drop_escaped: Annotated[
        bool, typer.Option(help="Leave cells that look like controls out of training; effects keep them.")
    ] = False,
    min_cells: Annotated[int, typer.Option(help="Least number of cells of a target.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Turn really perturbed cells into measured effects and freeze what is held out."""
    from perturbloop.loop.campaign import record as keep
    from perturbloop.schema import PerturbedConfig

    values: dict[str, Any] = {
        "path": str(perturbed.resolve()),
        "target_column": target_column,
        "control": control,
        "modality": modality,
        "targets": str(targets.resolve()) if targets else None,
        "dose_column": dose_column,
        "gene_column": gene_column,
        "replicate_column": replicate_column,
        "guide_column": guide_column,
        "purity_column": purity_column,
        "min_purity": min_purity,
        "condition_column": condition_column,
        "label_source": label_source,
        "phenotype_column": phenotype_column,
        "label_table": str(label_table.resolve()) if label_table else None,
        "drop_escaped": drop_escaped,
        "min_cells": min_cells,
    }
    with refusals():
        report, new = keep(folder, PerturbedConfig(**values))
    head = "Recorded" if new else "Recorded before, nothing changed"
    lines = [
        f"{head}: {report['n_cells']:,} of {report['n_cells_read']:,} cells, {len(report['targets'])} targets."
    ]
    lines += [f"{count:,} cells left out: {why}" for why, count in report["dropped"].items() if count]
    lines += [
        f"{name}: {count} cells, too few, left out" for name, count in report["targets_dropped"].items()
    ]
    lines += [*report.get("warnings", ()), *_effect_table(folder), f"Next: perturbloop play {folder}"]
    say(report, lines, as_json=as_json)


def _effect_table(folder: Path) -> list[str]:
    from perturbloop.loop.campaign import measured

    rows = measured(folder)
    return [
        f"{row.gene_name:10} effect to goal {row.effect_to_goal:+6.2f} ± {row.se:.2f}  padj {row.padj:8.1e}  "
        f"{'hit' if row.hit else '':4}{row.n_cells:5d} cells {row.n_guides:2d} guides  "
        f"{'trains' if row.fold < 0 else f'held out, fold {row.fold}'}"
        for row in rows.sort_values("effect_to_goal", ascending=False).itertuples()
    ]
