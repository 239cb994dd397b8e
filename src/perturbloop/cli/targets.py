"""`perturbloop targets`: what a drug could act on, and whether the known drugs do what is needed."""

from pathlib import Path
from typing import Annotated

import typer

from perturbloop.cli.options import Folder, listed
from perturbloop.cli.output import Answer, width


def targets(
    folder: Folder,
    action: Annotated[str | None, typer.Option(help="Only genes to inhibit, or to activate.")] = None,
    approved: Annotated[
        bool,
        typer.Option("--approved", help="Only genes for which an approved compound does what is needed."),
    ] = False,
    sign_known: Annotated[
        bool,
        typer.Option("--sign-known", help="Only genes for which a compound is known to do what is needed."),
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Also genes of which nothing says that a drug could act on them.")
    ] = False,
    without: Annotated[
        str, typer.Option(metavar="FLAG,…", help="Leave out genes with these cautions; all = with any.")
    ] = "",
    min_certainty: Annotated[
        float, typer.Option(help="Least probability that the effect is toward the goal, 0 to 1.")
    ] = 0.0,
    genes: Annotated[
        str, typer.Option(metavar="A,B,…", help="Only these genes, symbols or Ensembl ids.")
    ] = "",
    top: Annotated[int | None, typer.Option("--top", "-n", help="Most rows.")] = None,
    drugs: Annotated[
        list[Path] | None,
        typer.Option(
            help="Files of compounds and targets: a table, DGIdb, ChEMBL or Open Targets; beside the collections that were added."
        ),
    ] = None,
    categories: Annotated[
        list[Path] | None, typer.Option(help="Files of categories of druggable genes, as DGIdb's.")
    ] = None,
    pathways: Annotated[
        bool,
        typer.Option(
            "--pathways", help="Also pathways of the best genes (pip install 'perturbloop[targets]')."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the table to this .csv, or all tables to this .xlsx."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV.")] = False,
) -> Answer:
    """List the genes a drug could act on: evidence, cautions, known compounds, and whether they do what is needed."""
    from perturbloop.loop.last import latest_round
    from perturbloop.report.targets import csv_of, require_ending, target_lines, targets_of, write_targets
    from perturbloop.targets import Filters

    if out is not None:
        require_ending(out)
    filters = Filters(
        action=action,
        druggable=not every,
        approved=approved,
        sign_known=sign_known,
        without_flags=listed(without),
        min_certainty=min_certainty,
        genes=listed(genes),
        top=top,
    )
    found, notes = targets_of(
        latest_round(folder), filters, drugs=drugs or (), categories=categories or (), with_pathways=pathways
    )
    lines = csv_of(found.targets).splitlines() if as_csv else target_lines(found, notes, width())
    if out is not None:
        write_targets(found, out)
        lines = [*lines, *([] if as_csv else [f"Table: {out}"])]
    tables = ("targets", "compounds", "groups", "agreement", "pathways")
    return Answer(
        {"notes": notes} | {name: getattr(found, name).to_dict("records") for name in tables}, lines
    )
