"""`perturbloop inspect`: what a file is, and the line that reads it."""

from pathlib import Path
from typing import Annotated

import typer

from perturbloop.cli.output import Answer, width


def inspect(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Cells, guide calls of cellranger, or a table of a screen.")
    ],
) -> Answer:
    """Say what a file is, where its counts and labels are, and which line to type."""
    from perturbloop.data.recognize import recognize
    from perturbloop.report.lines import wrapped

    found = recognize(file)
    size = f": {found.n_cells:,} cells × {found.n_genes:,} genes" if found.n_cells and found.n_genes else ""
    said = [
        f"{file.name} is {found.what}{size}.",
        *(f"{fact[:1].upper()}{fact[1:]}." for fact in found.facts),
    ]
    lines = [line for sentence in said for line in wrapped(sentence.replace("..", "."), width(), indent="  ")]
    todo = ["", "Type:", *(f"  {line}" for line in found.commands)] if found.commands else []
    return Answer(found.to_dict(), [*lines, *todo])
