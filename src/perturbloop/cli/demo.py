"""`perturbloop demo`: the loop on simulated cells, or the files of a worked case to type the commands on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from perturbloop.cli.output import Answer, width


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the simulated world.")] = 0,
    case: Annotated[
        Literal["loop", "disease"],
        typer.Option(
            help="loop plays it all; disease writes the files of a knockout and of a screen of twelve compounds, and says what to type."
        ),
    ] = "loop",
) -> Answer:
    """Play the whole loop on simulated cells with a known answer, or write the files of a worked case."""
    if case == "disease":
        from perturbloop.example.disease import disease_case

        return Answer(*disease_case(folder, seed=seed))
    from perturbloop.example import demo as run
    from perturbloop.report import summary

    tree, shown, known = run(folder, seed=seed)
    return Answer(tree, summary(shown, width(), folder=folder / "campaign", more=known))
