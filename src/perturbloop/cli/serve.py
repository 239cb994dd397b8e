"""`perturbloop serve`: the campaign in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from perturbloop.cli.options import Folder
from perturbloop.cli.output import Answer


def serve(
    folder: Folder,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at; any but this machine's own lets others of the network in who have the token."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 = any that is free.", min=0, max=65535)] = 0,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Another name that readers type for this machine; `--host 0.0.0.0` needs one."),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show only: nothing can be written.")
    ] = False,
) -> Answer:
    """Show the campaign in a browser; needs `perturbloop[web]`."""
    from perturbloop.web.serve import serve as run

    run(
        folder,
        host=host,
        port=port,
        names=tuple(name or ()),
        read_only=read_only,
        on_start=lambda address: _say(folder, address),
    )
    return Answer({"folder": str(folder)}, [])


def _say(folder: Path, address: str) -> None:
    typer.echo(f"{folder} is at {address}\nAnybody with this address can read it. Ctrl-C ends.", err=True)
