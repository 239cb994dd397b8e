"""`perturbloop record`: what was measured comes back into the campaign."""

from pathlib import Path
from typing import Annotated, Any

import typer

from perturbloop.cli.output import refusals, say
from perturbloop.errors import InputError, some

_CELLS, _SCREEN = "Perturbed cells", "Screens"
"""Panels of the help: what belongs to `--perturbed` and what to `--screen`."""


def record(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Campaign folder.")],
    modality: Annotated[
        str,
        typer.Option(help="crispr_ko, crispri, crispra; drug for cells, inhibitor or activator for screens."),
    ],
    perturbed: Annotated[
        Path | None,
        typer.Option(
            help="h5ad file with raw counts of perturbed and control cells.", rich_help_panel=_CELLS
        ),
    ] = None,
    target_column: Annotated[
        str | None,
        typer.Option(
            help="Column of obs that holds the perturbed gene or the compound.", rich_help_panel=_CELLS
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(help="Label of the control cells in that column.", rich_help_panel=_CELLS),
    ] = None,
    dose_column: Annotated[
        str | None,
        typer.Option(
            help="Column of obs with the dose; the highest of each compound is used.", rich_help_panel=_CELLS
        ),
    ] = None,
    replicate_column: Annotated[
        str | None, typer.Option(help="Column of obs that holds the replicate.", rich_help_panel=_CELLS)
    ] = None,
    guide_column: Annotated[
        str | None, typer.Option(help="Column of obs that holds the guide.", rich_help_panel=_CELLS)
    ] = None,
    purity_column: Annotated[
        str | None,
        typer.Option(help="Column of obs with the purity of the guide call.", rich_help_panel=_CELLS),
    ] = None,
    min_purity: Annotated[
        float | None,
        typer.Option(help="Least purity of a cell's guide call, 0 to 1.", rich_help_panel=_CELLS),
    ] = None,
    condition_column: Annotated[
        str | None, typer.Option(help="Column of obs with the condition.", rich_help_panel=_CELLS)
    ] = None,
    label_source: Annotated[
        str | None,
        typer.Option(
            help="state_score (default), phenotype, condition or screen: where a training label comes from.",
            rich_help_panel=_CELLS,
        ),
    ] = None,
    phenotype_column: Annotated[
        str | None,
        typer.Option(
            help="Column of obs with the probability of the goal state, or a gate.", rich_help_panel=_CELLS
        ),
    ] = None,
    label_table: Annotated[
        Path | None,
        typer.Option(
            help="Table of gene and call (goal, start, none) of another screen.", rich_help_panel=_CELLS
        ),
    ] = None,
    drop_escaped: Annotated[
        bool,
        typer.Option(
            "--drop-escaped",
            help="Leave cells that look like controls out of training; effects keep them.",
            rich_help_panel=_CELLS,
        ),
    ] = False,
    min_cells: Annotated[
        int | None,
        typer.Option(help="Least number of cells of a target, 10 by default.", rich_help_panel=_CELLS),
    ] = None,
    screen: Annotated[
        Path | None,
        typer.Option(help="Table with one score a gene, or a compound.", rich_help_panel=_SCREEN),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the screen in reports.", rich_help_panel=_SCREEN)
    ] = None,
    higher_is: Annotated[
        str | None,
        typer.Option(help="goal or start: state that a high score stands for.", rich_help_panel=_SCREEN),
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option(
            help="Hits lie below this false discovery rate, 0.05 by default.", rich_help_panel=_SCREEN
        ),
    ] = None,
    top: Annotated[
        float | None,
        typer.Option(help="Rather: this share of the largest absolute scores.", rich_help_panel=_SCREEN),
    ] = None,
    hits: Annotated[
        Path | None,
        typer.Option(help="Rather: the genes this file lists, one a line.", rich_help_panel=_SCREEN),
    ] = None,
    hit_column: Annotated[
        str | None,
        typer.Option(help="Rather: the genes for which this column is true.", rich_help_panel=_SCREEN),
    ] = None,
    min_detection: Annotated[
        float | None,
        typer.Option(
            help="Least share of cells that express a gene, 0.01 by default; others are excluded.",
            rich_help_panel=_SCREEN,
        ),
    ] = None,
    gene_column: Annotated[
        str | None, typer.Option(help="Column with the gene ids: of var, or of the table.")
    ] = None,
    score_column: Annotated[
        str | None, typer.Option(help="Column with the signed score.", rich_help_panel=_SCREEN)
    ] = None,
    pvalue_column: Annotated[
        str | None, typer.Option(help="Column with two-sided p-values.", rich_help_panel=_SCREEN)
    ] = None,
    fdr_column: Annotated[
        str | None, typer.Option(help="Column with false discovery rates.", rich_help_panel=_SCREEN)
    ] = None,
    se_column: Annotated[
        str | None, typer.Option(help="Column with standard errors.", rich_help_panel=_SCREEN)
    ] = None,
    screen_column: Annotated[
        str | None,
        typer.Option(
            help="Column that names the screen, in a file of several; `screen` by default.",
            rich_help_panel=_SCREEN,
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Which of several screens.", rich_help_panel=_SCREEN)
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(
            help="Table of compound, gene and action: needed for drugs, and for a screen whose rows are compounds."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Record what was measured, in perturbed cells or by a screen, and freeze what is held out."""
    from perturbloop.loop.campaign import record as keep

    of_cells: dict[str, Any] = {
        "perturbed": perturbed,
        "target_column": target_column,
        "control": control,
        "dose_column": dose_column,
        "replicate_column": replicate_column,
        "guide_column": guide_column,
        "purity_column": purity_column,
        "min_purity": min_purity,
        "condition_column": condition_column,
        "label_source": label_source,
        "phenotype_column": phenotype_column,
        "label_table": label_table,
        "drop_escaped": drop_escaped or None,
        "min_cells": min_cells,
    }
    of_screen: dict[str, Any] = {
        "screen": screen,
        "name": name,
        "higher_is": higher_is,
        "fdr": fdr,
        "top": top,
        "hits": hits,
        "hit_column": hit_column,
        "min_detection": min_detection,
        "score_column": score_column,
        "pvalue_column": pvalue_column,
        "fdr_column": fdr_column,
        "se_column": se_column,
        "screen_column": screen_column,
        "only": only,
    }
    with refusals(as_json=as_json):
        entry = _entry(of_cells, of_screen, modality=modality, gene_column=gene_column, targets=targets)
        recorded, new = keep(folder, entry)
        report = recorded.to_dict()
    head = "Recorded" if new else "Recorded before, nothing changed"
    lines = _screen_lines(head, report) if screen is not None else _cell_lines(head, report, folder)
    say(report, [*lines, f"Next: perturbloop play {folder}"], as_json=as_json)


def _entry(of_cells: dict[str, Any], of_screen: dict[str, Any], **both: str | Path | None) -> Any:
    """Build the configuration of the one that is recorded; options of the other are refused."""
    from perturbloop.schema import PerturbedConfig, ScreenConfig

    cells, table, both = (
        {name: _full(value) for name, value in options.items() if value is not None}
        for options in (of_cells, of_screen, both)
    )
    if ("perturbed" in cells) == ("screen" in table):
        msg = (
            "Give one file: perturbed cells with `--perturbed`, or a table of genes with `--screen`; "
            f"{'both' if 'screen' in table else 'none'} came. Record two files one after the other."
        )
        raise InputError(msg)
    kind, chosen, other, needed = (
        ("--screen", table, cells, ("name", "higher_is"))
        if "screen" in table
        else ("--perturbed", cells, table, ("target_column", "control"))
    )
    if other:
        msg = f"`{kind}` does not take {some(map(_option, other))}. Leave them out."
        raise InputError(msg)
    missing = [name for name in needed if name not in chosen]
    if missing:
        msg = (
            f"`{kind}` needs {' and '.join(f'`{_option(name)}`' for name in needed)}; "
            f"{some(map(_option, missing))} did not come. Add it."
        )
        raise InputError(msg)
    chosen |= both
    if kind == "--perturbed":
        return PerturbedConfig(path=chosen.pop("perturbed"), **chosen)
    path, only = chosen.pop("screen"), chosen.pop("only", None)
    return ScreenConfig(path=path, screen=only, **chosen)


def _full(value: Any) -> Any:
    return str(value.resolve()) if isinstance(value, Path) else value


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _cell_lines(head: str, report: dict[str, Any], folder: Path) -> list[str]:
    lines = [
        f"{head}: {report['n_cells']:,} of {report['n_cells_read']:,} cells, {len(report['targets'])} targets."
    ]
    lines += [f"{count:,} cells left out: {why}" for why, count in report["dropped"].items() if count]
    lines += [
        f"{name}: {count} cells, too few, left out" for name, count in report["targets_dropped"].items()
    ]
    return [*lines, *report.get("warnings", ()), *_effect_table(folder, report["folder"])]


def _screen_lines(head: str, report: dict[str, Any]) -> list[str]:
    return [f"{head}: {report['name']}, {report['modality']}.", *report["lines"], *report["warnings"]]


def _effect_table(folder: Path, of: str) -> list[str]:
    from perturbloop.loop.campaign import measured

    rows = measured(folder, of)
    return [
        f"{row.gene_name:10} effect to goal {row.effect_to_goal:+6.2f} ± {row.se:.2f}  padj {row.padj:8.1e}  "
        f"{'hit' if row.hit else '':4}{row.n_cells:5d} cells {row.n_guides:2d} guides  "
        f"{'trains' if row.fold < 0 else f'held out, fold {row.fold}'}"
        for row in rows.sort_values("effect_to_goal", ascending=False).itertuples()
    ]
