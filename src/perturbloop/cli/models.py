"""`perturbloop models`: the published models that are known, and how one is brought to this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from perturbloop.cli.output import Answer
from perturbloop.errors import InputError

if TYPE_CHECKING:
    from perturbloop.models.published import Published

Action = Literal["list", "fetch"]


def models(
    action: Annotated[Action, typer.Argument(help="What to do.")] = "list",
    name: Annotated[str, typer.Argument(help="Name of the model to bring, as it is listed.")] = "",
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder to bring it to; by default the cache of the Hugging Face hub, where `--model NAME` finds it.",
        ),
    ] = None,
) -> Answer:
    """List the published models that are known, and bring one when asked; nothing else opens a connection."""
    from perturbloop.models.published import PUBLISHED, place_of, published

    if (action == "fetch") != bool(name) or (to is not None and action == "list"):
        came = " ".join(part for part in (action, name, "--to" if to else "") if part)
        msg = f"Say `models` or `models fetch NAME [--to DIR]`; `models {came}` came. Complete it."
        raise InputError(msg)
    if action == "list":
        places = {entry: place_of(entry) for entry in PUBLISHED}
        tree = {"models": [_facts(entry, place) for entry, place in places.items()]}
        return Answer(tree, _lines(places))
    from perturbloop.models.hub import fetch

    folder = fetch(published(name), None if to is None else to.resolve())
    given = str(folder) if to else name
    return Answer({"name": name, "folder": str(folder)}, [f"{folder}", f"Use it: --model {given}"])


def _facts(entry: "Published", place: Path | None) -> dict[str, Any]:
    return {
        "name": entry.name,
        "family": entry.family,
        "length": entry.length,
        "tokens": entry.n_tokens,
        "parameters": entry.millions * 10**6,
        "licence": entry.licence,
        "repository": entry.repository,
        "revision": entry.revision,
        "files": dict(entry.files),
        "folder": None if place is None else str(place),
    }


def _lines(places: "dict[Published, Path | None]") -> list[str]:
    """One screen of 80 columns: a heading for each source, a line for each model."""
    lines = [f"{'name':<30}{'length':>7}{'tokens':>9}{'parameters':>12}  {'licence':<12}here"]
    for source in dict.fromkeys(entry.repository for entry in places):
        lines.append(f"huggingface.co/{source}")
        lines += [
            f"  {entry.name:<28}{entry.length:>7,}{entry.n_tokens:>9,}{entry.millions:>10} M  {entry.licence:<12}"
            f"{'no' if place is None else 'yes'}"
            for entry, place in places.items()
            if entry.repository == source
        ]
    return [*lines, "Bring one: perturbloop models fetch NAME"]
