"""What was known of genes before anything was measured: which collections and networks spoke, with what weight, and their origin."""

from collections.abc import Mapping
from typing import Any

from perturbloop.report.content import RoundReport
from perturbloop.report.layout import MISSING, Grid, Section, number

_OWN = {"co-expression": "your cells", "gene embeddings": "the model"}
"""Networks that come with a campaign itself, and where they are from."""
_FACTS = ("source", "version", "date", "licence")
NO_COLLECTIONS = (
    "No collection of gene sets or networks was read; `perturbloop knowledge` lists those that are there."
)


def knowledge_section(report: RoundReport) -> Section:
    """Collections with source, version, date, licence and hash, and the weight of every network."""
    read = {one["name"]: one for one in report.collections}
    spoke = {name for weights in report.network_weights.values() for name in weights}
    names = (*(name for name in _OWN if name in spoke), *read, *sorted(spoke - _OWN.keys() - read.keys()))
    if not names:
        return Section("knowledge", "What was known of genes", (NO_COLLECTIONS,))
    kinds = tuple(report.network_weights)
    columns = ("collection", *(f"weight, {kind}" for kind in kinds), *_FACTS, "hash")
    rows = tuple(_row(name, read.get(name, {}), report.network_weights) for name in names)
    said = (
        "Weight: share of a network in what the measured genes say of the others, 0 to 1. A collection that is younger than the screen that "
        "judges may have been written from it: leave it out with `--knowledge-until`."
    )
    lines = (said,) if read else (NO_COLLECTIONS, said)
    return Section(
        "knowledge",
        "What was known of genes",
        lines,
        (
            Grid(
                "Collections and networks",
                columns,
                rows,
                frozenset({"collection", *_FACTS, "hash"}),
                spare=("hash",),
            ),
        ),
    )


def _row(name: str, known: Mapping[str, Any], weights: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    shown = (number(max(of[name], 0.0)) if name in of else MISSING for of in weights.values())
    facts = (str(known.get(fact) or "") for fact in _FACTS)
    source, *others = facts
    return (
        name,
        *shown,
        source or _OWN.get(name, "a file that was named"),
        *others,
        str(known.get("digest", "")),
    )
