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
    said = found.sentences(file.name)
    lines = [line for sentence in said for line in wrapped(sentence, width(), indent="  ")]
    todo = ["", "Type:", *(f"  {line}" for line in found.commands)] if found.commands else []
    return Answer(found.to_dict(), [*lines, *todo])
