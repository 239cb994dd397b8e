"""Which genes: all of a kind, filtered, sorted and a page at a time; and the dots of the volcano."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from perturbloop.errors import InputError, some
from perturbloop.report import RoundReport
from perturbloop.report.answer import answer
from perturbloop.report.basis import action_of, kinds_of
from perturbloop.report.names import Names
from perturbloop.report.points import has_points, points
from perturbloop.report.ranking import COLUMNS, GATE_FAILED, HEADS, basis_lines, rows_grid
from perturbloop.web.ranked import MOST_LISTED, MOST_PARTS, Found, Ranked
from perturbloop.web.served import Served, Shown
from perturbloop.web.view import View, plainly
from perturbloop.web.wanted import CALLS, Wanted, wanted

MOST = 100
"""Rows that are shown at once; further ones come when they are scrolled to."""
NAMED = 10
"""Dots that are named."""
SORTED = tuple(dict.fromkeys(name for columns in COLUMNS.values() for name in (*columns, "status")))
"""Columns that can be sorted by."""
NO_RANKING = "No gene was scored: run `perturbloop play`."


@dataclass(frozen=True)
class Head:
    """Head of a column: a link that sorts by it."""

    name: str
    title: str
    query: str
    sort: str
    """ascending, descending or none, as `aria-sort` says it."""


def ranking(served: Served, request: Request) -> View:
    """The genes that are wanted."""
    shown = served.shown()
    if shown is None:
        return View("waiting.html", tree={"rounds": 0})
    kinds = _kinds(shown)
    if not kinds:
        raise InputError(NO_RANKING)
    asked = wanted(request.query_params, kinds, SORTED, _flags(shown, kinds))
    ranked = ranked_of(shown, asked.kind)
    found, form = ranked.find(asked), request.path_params.get("form", "")
    if form == "csv":
        return View("ranking.html", table=ranked.table.iloc[found.rows])
    if form == "json":
        return View("ranking.html", tree=_tree(ranked, asked, found))
    rest = "ranking_more.html" if asked.start else "ranking_part.html"
    return View("ranking.html", _context(shown, ranked, asked, found), part=rest)


def ranked_of(shown: Shown, kind: str) -> Ranked:
    """A kind of the round, made ready once."""
    return shown.once(("ranked", kind), lambda: Ranked.of(shown.report, kind, names_of(shown)))


def names_of(shown: Shown) -> Names:
    """Names of all genes that the round knows, ranked or measured."""

    def made() -> Names:
        report: RoundReport = shown.report
        genes = report.effects[report.effects["level"].eq("gene")]
        pairs = [zip(rows["gene_id"], rows["gene_name"], strict=True) for rows in (report.ranking, genes)]
        return Names.of(pair for part in pairs for pair in part)

    return shown.once("names", made)


@plainly
def volcano(request: Request) -> Response:
    """Dots of a kind as columns, in the order of its ranking: made once for a round."""
    served: Served = request.app.state.served
    shown, kind = served.shown(), request.query_params.get("kind", "")
    if shown is None or kind not in _kinds(shown):
        return Response('{"error":"There is no such kind of edit."}', 404, media_type="application/json")
    return Response(shown.once(("points", kind), lambda: _dots(shown, kind)), media_type="application/json")


def _dots(shown: Shown, kind: str) -> bytes:
    dots, table = points(shown.report, kind), ranked_of(shown, kind).table
    tree = {
        "x": {"title": dots.x_title, "values": _rounded(dots.x_g)},
        "y": {"title": dots.y_title, "values": _rounded(dots.y_g)},
        "way": dots.way_g.tolist(),
        "name": table["gene_name"].astype(str).tolist(),
        "gene": table["gene_id"].astype(str).tolist(),
        "named": NAMED,
    }
    return json.dumps(tree, separators=(",", ":")).encode()


def _rounded(values: np.ndarray) -> list[float | None]:
    return [None if value != value else value for value in np.round(values, 4).tolist()]


def _kinds(shown: Shown) -> tuple[str, ...]:
    return shown.once("kinds", lambda: kinds_of(shown.report))


def _lines(report: RoundReport, kind: str) -> tuple[str, ...]:
    """What a kind is ranked by, after what forbids to act on it."""
    failed = (GATE_FAILED,) if answer(report).gate == "failed" else ()
    return (*failed, *basis_lines(report, (kind,)))


def _flags(shown: Shown, kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(flag for kind in kinds for flag in ranked_of(shown, kind).flags))


def _tree(ranked: Ranked, asked: Wanted, found: Found) -> dict[str, Any]:
    """What is shown, as columns and rows."""
    table = ranked.table.iloc[found.rows]
    return {
        "kind": ranked.kind,
        "ranked_by": ranked.basis.head,
        "unit": ranked.basis.unit,
        "sort": asked.sort,
        "of": len(ranked.table),
        "found": len(table),
        "unknown": found.unknown,
        "columns": table.columns.tolist(),
        "rows": table.astype(object).to_numpy().tolist(),
    }


def _context(shown: Shown, ranked: Ranked, asked: Wanted, found: Found) -> dict[str, Any]:
    report, n = shown.report, len(found.rows)
    last = min(asked.start + MOST, n)
    rows = ranked.table.iloc[found.rows[asked.start : last]]
    has = shown.once(("has points", asked.kind), lambda: has_points(points(report, asked.kind)))
    grid = rows_grid("", rows, ranked.columns)
    return {
        "page": shown.pages["ranking"],
        "report": report,
        "lines": shown.once(("lines", asked.kind), lambda: _lines(report, asked.kind)),
        "kinds": [
            (kind, action_of(kind), asked.query(kind=kind, sort="place", start=0)) for kind in _kinds(shown)
        ],
        "asked": asked,
        "action": action_of(asked.kind),
        "grid": grid,
        "links": rows["gene_id"].astype(str).tolist(),
        "heads": [_head(name, asked) for name in ranked.columns],
        "n": n,
        "of": len(ranked.table),
        "last": last,
        "query": asked.query(start=0),
        "more": asked.query(start=last) if last < n else "",
        "less": asked.query(start=max(asked.start - MOST, 0)) if asked.start else "",
        "mask": ranked.mask(found) if asked.narrows else "",
        "said": _said(found),
        "most_parts": MOST_PARTS,
        "most_listed": MOST_LISTED,
        "calls": CALLS if "call" in ranked.table else (),
        "statuses": ranked.statuses,
        "flags": sorted(ranked.flags),
        "has_points": has,
    }


def _head(name: str, asked: Wanted) -> Head:
    """First click: best, largest, or A to Z; second: the other way round."""
    ascending = name in ("place", "gene_name", "padj", "de_padj", "status", "cautions", "neighbors", "call")
    first, second = (name, f"-{name}") if ascending else (f"-{name}", name)
    now = {name: "ascending", f"-{name}": "descending"}.get(asked.sort, "none")
    return Head(name, HEADS[name], asked.query(sort=second if asked.sort == first else first, start=0), now)


def _said(found: Found) -> tuple[str, ...]:
    """What the reader should know of the names that were asked for."""
    lines = [f"{label} is another name of {name}." for label, name in found.meant[:5]]
    if found.unknown:
        lines.append(f"Not in this ranking: {some(found.unknown, limit=10)}.")
    if found.beyond:
        lines.append(f"Too many names at once: the last {found.beyond:,} were not looked up.")
    return tuple(lines)
