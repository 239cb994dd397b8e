"""Everything about one gene, the answer first, as sections of a page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from perturbloop.data.flags import FLAGS
from perturbloop.report.basis import LEAST_CELLS, action_of
from perturbloop.report.gene import GeneAnswer
from perturbloop.report.gene_beside import batch_section, drug_section, library_section
from perturbloop.report.gene_measured import measured_section, measured_sentence
from perturbloop.report.layout import MISSING, Grid, Section, count, interval, number, probability, yes
from perturbloop.schema import EITHER_WAY, WITH_MODEL, WITHOUT_MODEL

_BELIEF = (WITH_MODEL, WITHOUT_MODEL)
_WORDS = frozenset(
    {
        "gene",
        "hit",
        "method",
        "role",
        "effect, 95 % interval",
        "fact",
        "value",
        "cell type",
        "state",
        "gene set",
    }
)
SETS_SHOWN = 30
"""Sets that are listed."""
_MEANINGS = {flag.name: flag.meaning for flag in FLAGS} | {
    EITHER_WAY: "among the best both to inhibit and to activate, so its place tells no direction"
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Beside:
    """What is known of a gene outside the tables of the report; empty tables where nothing is."""

    ranks: pd.DataFrame = field(default_factory=pd.DataFrame)
    """`report.ranks.Ranks.of`."""
    guides: pd.DataFrame = field(default_factory=pd.DataFrame)
    """GUIDES rows, and `source`."""
    replicates: pd.DataFrame = field(default_factory=pd.DataFrame)
    """REPLICATES rows, and `source`."""
    kept_apart: bool = False
    """Whether the full ranking never reads what was measured of it."""
    library: pd.DataFrame | None = None
    """Its guides in the library; `None` where no library is named."""
    drugs: pd.DataFrame | None = None
    """INTERACTIONS rows; `None` where no compounds were added."""
    trials: pd.DataFrame = field(default_factory=pd.DataFrame)
    """TRIALS rows as the ledger has them now."""
    expression: pd.DataFrame = field(default_factory=pd.DataFrame)
    """EXPRESSION rows; empty in a round of an older version."""
    sets: pd.DataFrame = field(default_factory=pd.DataFrame)
    """SETS rows; empty without gene sets."""


def gene_sections(
    found: GeneAnswer, neighbors: pd.DataFrame, effects: pd.DataFrame, beside: Beside
) -> tuple[Section, ...]:
    """Say everything about one gene.

    Parameters
    ----------
    found
        What the round knows of it.
    neighbors
        Measured genes that speak for it: `kind`, `added`, `gene_id`, `gene_name`, `effect_to_goal`, `se`, `hit`.
    effects
        Its EFFECTS rows, also of single guides.
    beside
        What else is known.
    """
    every = (
        answer_section(found),
        _because(neighbors),
        measured_section(effects, beside.guides, beside.replicates, kept_apart=beside.kept_apart),
        _expression(found, beside.expression),
        _ranks(found, beside.ranks),
        batch_section(found, beside.trials),
        _sets(beside.sets),
        library_section(beside.library),
        drug_section(beside.drugs),
    )
    return tuple(section for section in every if section is not None)


def answer_section(found: GeneAnswer) -> Section:
    """Where it stands, what is expected of it, whether it was measured, and what to doubt."""
    places = tuple(_place(row) for row in found.ranking if row["place"] == row["place"])
    lines = (*places, *filter(None, (found.why,)), *measured_sentence(found.measured))
    flags = found.ranking[0]["flags"] if found.ranking else ""
    notes = tuple(
        f"{flag}: {_MEANINGS.get(flag, 'named by you')}." for flag in str(flags or "").split(",") if flag
    )
    title = f"{found.gene_name} ({found.gene_id})" if found.gene_id else found.gene_name
    return Section("answer", title, lines, notes=notes, alarm=tuple(filter(None, (found.gate,))))


def _place(row: Mapping[str, Any]) -> str:
    said = f"Place {row['place']:,.0f} of {row['of']:,} to {row['action']} ({row['kind']})"
    reach = interval(row["ci_low"], row["ci_high"], sign=True)
    if row["ranked_by"] in _BELIEF:
        return f"{said}: P(worthwhile effect) {number(row['benefit'])}, expected effect {number(row['effect'], sign=True)} {reach}."
    shift = f"{said}: in-silico shift {number(row['effect'], 3, sign=True)}"
    cells = f"{count(row['n_cells'], 'cell')}."
    if row["n_cells"] < LEAST_CELLS:
        return f"{shift}, {cells}"
    return f"{shift} {reach}, call {row['call']}, padj {probability(row['padj'])}, {cells}"


def _because(neighbors: pd.DataFrame) -> Section | None:
    """Which measured genes say so."""
    if neighbors.empty:
        return None
    grids = []
    for kind, rows in neighbors.groupby("kind", sort=False):
        lines = tuple(
            (
                str(row.gene_name),
                number(row.added, sign=True),
                f"{number(row.effect_to_goal, sign=True)} ± {number(row.se)}",
                "hit" if yes(row.hit) else "",
            )
            for row in rows.itertuples()
        )
        grids.append(
            Grid(
                f"To {action_of(kind)} ({kind})",
                ("gene", "adds", "measured effect ± SE", "hit"),
                lines,
                _WORDS,
                gene_ids=tuple(rows["gene_id"]),
                meanings={"adds": "how far it moves the expected effect; positive = toward the goal"},
            )
        )
    return Section("because", "Measured genes that say so", grids=tuple(grids))


def _ranks(found: GeneAnswer, ranks: pd.DataFrame) -> Section | None:
    """Its place by every method, best-known first; the interval is that of the quantity the genes are ranked by."""
    if ranks.empty:
        return None
    own = {str(row["kind"]): row for row in found.ranking}
    by = {kind: row["ranked_by"] if row["ranked_by"] in _BELIEF else "frozen" for kind, row in own.items()}
    kinds = tuple(str(kind) for kind in dict.fromkeys(ranks["kind"]))
    known = ranks.drop_duplicates("method").set_index("method", drop=False)
    strong = [name for name in dict.fromkeys(by.values()) if name in known.index]
    methods = known.loc[[*strong, *(name for name in known.index if name not in strong)]]
    places = ranks.set_index(["kind", "method"])[["rank", "of"]]
    lines = tuple(
        (
            str(row.title),
            *(_of(places, kind, row.method) for kind in kinds),
            "; ".join(_reach(own[kind], many=len(kinds) > 1) for kind in kinds if by.get(kind) == row.method),
            row.role if row.role != "loop" else "",
            "yes" if row.measured else "",
        )
        for row in methods.itertuples()
    )
    heads = tuple(f"place to {action_of(kind)} ({kind})" for kind in kinds)
    grid = Grid(
        count(len(lines), "method"),
        ("method", *heads, "effect, 95 % interval", "role", "reads measured effects"),
        lines,
        _WORDS,
        strong=frozenset(range(len(strong))),
        spare=("reads measured effects", "role"),
        meanings={
            "role": "control: a method without its cause, which a good one must beat; baseline: what is known without the loop",
            "reads measured effects": "the own effect of a measured gene went in, so its place there is memory",
        },
    )
    said = "Among the genes that are ranked; 1 = best. Bold: what the ranking goes by, which alone has an interval."
    return Section("ranks", "Place by each method", (said,), (grid,))


def _of(places: pd.DataFrame, kind: str, method: str) -> str:
    if (kind, method) not in places.index:
        return MISSING
    rank, of = places.loc[(kind, method)]
    return f"{number(rank, 0)} of {number(of, 0)}" if of else MISSING  # every gene of this kind was measured


def _reach(row: Mapping[str, Any], *, many: bool) -> str:
    if row["effect"] != row["effect"]:
        return MISSING
    said = f"{number(row['effect'], sign=True)} {interval(row['ci_low'], row['ci_high'], sign=True)}"
    return f"{row['action']} {said}" if many else said


def _expression(found: GeneAnswer, by_type: pd.DataFrame) -> Section | None:
    """How much of it there is in the cells, by state and type."""
    if not found.ranking:
        return None
    row = found.ranking[0]
    rows = [("start cells that express it", f"{row['detection']:.0%}")]
    if row["log2fc"] == row["log2fc"]:
        change = f"{number(row['log2fc'], sign=True)}, padj {probability(row['de_padj'])}"
        rows.append(("log2 fold change, goal against start", change))
    pseudo = row.get("de_padj_pseudoreplicated")
    if pseudo is not None and pseudo == pseudo:
        rows.append(("padj by metacells, pseudoreplicated: no evidence", probability(pseudo)))
    grids = (Grid("In the cells", ("fact", "value"), tuple(rows), _WORDS), *_by_type(by_type))
    return Section("expression", "Expression", grids=grids)


def _by_type(rows: pd.DataFrame) -> tuple[Grid, ...]:
    if rows.empty:
        return ()
    lines = tuple(
        (
            str(row.cell_type) or "all cells",
            str(row.state),
            number(row.mean),
            f"{row.detection:.0%}",
            number(row.n_cells, 0),
        )
        for row in rows.itertuples()
    )
    heads = ("cell type", "state", "mean", "detection", "cells")
    meanings = {"mean": "of log(1 + counts per 10,000)", "detection": "share of these cells that express it"}
    return (Grid("By state and cell type", heads, lines, _WORDS, spare=("cells",), meanings=meanings),)


def _sets(rows: pd.DataFrame) -> Section | None:
    """Gene sets that hold it, small ones first."""
    if rows.empty:
        return None
    lines = tuple((str(row.gene_set), number(row.n_genes, 0)) for row in rows.head(SETS_SHOWN).itertuples())
    left = len(rows) - len(lines)
    notes = (f"{count(left, 'larger set')} more.",) if left else ()
    grid = Grid(count(len(rows), "gene set"), ("gene set", "genes"), lines, _WORDS)
    return Section("sets", "Gene sets", grids=(grid,), notes=notes)
