"""`perturbloop store copy`: the ledger of a campaign moves to another database."""

from typing import Annotated, Literal

import typer

from perturbloop.cli.options import Folder
from perturbloop.cli.output import Answer


def store(
    action: Annotated[Literal["copy"], typer.Argument(help="What to do.")],
    folder: Folder,
    to: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="sqlite, the file of the folder, or postgresql://HOST/DATABASE without a password.",
            show_default=False,
        ),
    ],
) -> Answer:
    """Copy the ledger to a database or back, whole or not at all; the folder then works with the copy."""
    from perturbloop.store.moving import move

    rows = move(folder, to)
    told = ", ".join(f"{name} {n:,}" for name, n in rows.items() if n)
    lines = [
        f"The ledger is at {to} now: {sum(rows.values()):,} rows, each compared ({told}).",
        "The one it was copied from stays as a copy and is not opened any more.",
    ]
    return Answer({"folder": str(folder), "store": to, "rows": rows}, lines)
