"""`perturbloop knowledge`: the collections on this machine, what is added to them and what is taken away."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perturbloop.cli.options import listed
from perturbloop.cli.output import Answer
from perturbloop.errors import InputError

if TYPE_CHECKING:
    from perturbloop.data.knowledge import Collection

Action = Literal["list", "add", "remove"]
Kind = Literal["sets", "edges", "vectors", "table", "reference", "drugs", "categories", "pairs"]


def knowledge(
    action: Annotated[Action, typer.Argument(help="What to do.")] = "list",
    name: Annotated[str, typer.Argument(help="Name of the collection that is added or removed.")] = "",
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URL",
            help="Published file to add: GMT, edge list, embedding, table, reference of cell types, or compounds and targets; plain or gzipped.",
        ),
    ] = "",
    kind: Annotated[
        Kind | None,
        typer.Option(
            help="What it is, where its form does not tell: sets, edges, vectors, table (numbers in units of their own) or "
            "reference (transcripts per million by cell type), drugs (DGIdb, ChEMBL, Open Targets), categories (of druggable genes), "
            "pairs (ligand, receptor)."
        ),
    ] = None,
    date: Annotated[
        str | None,
        typer.Option(
            help="Day by which it was written (YYYY-MM-DD); by default the one its server names, else none."
        ),
    ] = None,
    aliases: Annotated[
        str,
        typer.Option(
            metavar="FILE,…",
            help="Tables of other names of its labels, first column the label: nodes to proteins, proteins to genes.",
        ),
    ] = "",
    licence: Annotated[str, typer.Option(help="Licence that it is under, in words.")] = "",
    sha256: Annotated[str | None, typer.Option(help="Hash that the file must have.")] = None,
) -> Answer:
    """List the gene sets, networks and references on this machine with their dates and licences; add and remove them."""
    from perturbloop.data.knowledge import collections
    from perturbloop.data.knowledge.adding import add, remove

    need = {"list": (), "add": (name, source), "remove": (name,)}[action]
    if not all(need) or (action == "list" and name):
        msg = (
            "Say `knowledge`, `knowledge add NAME FILE` or `knowledge remove NAME`; "
            f"`knowledge {' '.join(part for part in (action, name, source) if part)}` came. Complete it."
        )
        raise InputError(msg)
    if action == "list":
        known = collections()
        return Answer(
            {"collections": [one.to_dict() for one in known]}, [line for one in known for line in _lines(one)]
        )
    if action == "remove":
        gone = remove(name)
        return Answer({"removed": gone.to_dict()}, [f"Removed: {gone.name}"])
    made = add(
        name,
        source,
        kind=kind,
        date=date,
        aliases=listed(aliases),
        licence=licence,
        sha256=sha256,
    )
    return Answer({"added": made.to_dict()}, _lines(made))


def _lines(one: "Collection") -> list[str]:
    """Two lines: what it holds, and where it is from."""
    what = _HOLDS[one.kind].format(columns=f"{one.n_columns:,}", genes=f"{one.n_genes:,}")
    return [f"{one.name} ({'shipped' if one.is_shipped else 'added'}): {what}", f"  {one.line()}"]


_HOLDS = {
    "sets": "{columns} gene sets of {genes} genes",
    "edges": "network of {genes} genes",
    "vectors": "vectors of {genes} genes, {columns} dimensions",
    "table": "{columns} numbers of {genes} genes",
    "reference": "expression of {genes} genes in {columns} cell types",
    "drugs": "{columns} compounds that act on {genes} genes",
    "categories": "{columns} categories of {genes} druggable genes",
    "pairs": "{columns} pairs of ligand and receptor, {genes} genes",
    "names": "symbols of {genes} genes",
}
