"""`perturbloop combine`: gene sets, pairs and drugs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from perturbloop.cli.options import Folder, listed
from perturbloop.cli.output import Answer
from perturbloop.errors import some


def combine(
    folder: Folder,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Gene sets (.gmt), genes (.txt), or pairs and drugs (.tsv); with --compounds, compounds and targets.",
        ),
    ],
    kind: Annotated[
        str, typer.Option(help="delete, overexpress, inhibit or activate; a .tsv file names its own.")
    ] = "delete",
    dose: Annotated[float, typer.Option(help="How far inhibit and activate move a gene, 0 to 1.")] = 1.0,
    pairs: Annotated[bool, typer.Option("--pairs", help="Edit all pairs of a list of genes.")] = False,
    not_expressed: Annotated[
        str | None,
        typer.Option(
            help="skip: only cells that express every gene; insert: all; the campaign's by default."
        ),
    ] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Count unknown gene names as missing, do not refuse them.")
    ] = False,
    compounds: Annotated[
        bool,
        typer.Option(
            "--compounds",
            help="The file is of compounds and targets (a table, DGIdb, ChEMBL, Open Targets): each target is inhibited or "
            "activated to the share of it that is occupied.",
        ),
    ] = False,
    only: Annotated[
        str, typer.Option(metavar="A,B,…", help="Compounds that are wanted; all by default.")
    ] = "",
    dose_um: Annotated[
        float | None,
        typer.Option(
            "--dose-um",
            help="Concentration of the compounds in µmol/l; by default nine tenths of a compound's most potent target are occupied.",
        ),
    ] = None,
) -> Answer:
    """Perturb gene sets, pairs and drugs in silico, and say which pairs are more than their sum."""
    from perturbloop.loop.combine import combine as run
    from perturbloop.perturb.asked import results_path

    edits: dict[str, Any] = {"kind": kind, "dose": dose, "pairs": pairs, "not_expressed": not_expressed}
    edits |= {"compounds": compounds, "dose_um": dose_um}
    table = run(folder, file, **edits, skip_unknown=skip_unknown, only=listed(only))
    path = results_path(folder, file, **edits)
    lines = [f"{'logit shift':>11} {'95 % interval':>18} {'synergy':>8} {'cells':>6}  name: what is done"]
    lines += [
        f"{_signed(row.logit_shift):>11} {_signed(row.ci_low):>9}{_signed(row.ci_high):>9} {_signed(row.synergy):>8} "
        f"{row.n_cells:6d}  {row.name}: {_short(row.targets)}"
        + (
            f" ({row.n_missing} gene{'' if row.n_missing == 1 else 's'} without a token left out)"
            if row.n_missing
            else ""
        )
        for row in table.itertuples(index=False)
    ]
    lines += _of_no_cell(table[table["n_cells"] == 0])
    if unsigned := int(table["n_unsigned"].sum()):
        lines.append(
            f"{unsigned:,} target{' is' if unsigned == 1 else 's are'} not edited, since nobody says whether the compound lowers or raises "
            "the gene: the numbers are of the others."
        )
    lines.append(f"Table: {path}")
    return Answer({"path": str(path), "combinations": table.to_dict("records")}, lines)


def _of_no_cell(rows: Any) -> list[str]:
    """Say why perturbations apply to no cell: a gene that was not measured is not one that is not expressed."""
    absent = rows["absent"] != ""
    lines = []
    if absent.any():
        genes = dict.fromkeys(gene for names in rows.loc[absent, "absent"] for gene in names.split(","))
        lines.append(
            f"{_perturbations(int(absent.sum()))} to no cell, since the file of the cells does not hold {some(genes)}: nothing can "
            "be said of what was not measured."
        )
    if none := int((~absent).sum()):
        lines.append(
            f"{_perturbations(none)} to no cell. Where genes that are not expressed are skipped, a cell must express all of them; "
            "`--not-expressed insert` edits those it has."
        )
    return lines


def _perturbations(n: int) -> str:
    return f"{n:,} perturbation applies" if n == 1 else f"{n:,} perturbations apply"


def _signed(value: float) -> str:
    return "-" if value != value else f"{value:+.3f}"


def _short(targets: str, *, limit: int = 4) -> str:
    parts = targets.split(" + ")
    return targets if len(parts) <= limit else f"{' + '.join(parts[:limit])} + … ({len(parts):,} genes)"
