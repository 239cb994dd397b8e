"""What a page shows, in three forms of the same address: HTML for people, JSON and CSV for machines."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import pandas as pd
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from perturbloop.errors import PerturbloopError
from perturbloop.web.served import Served
from perturbloop.web.templates import filled, rendered, with_strip

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First letters by which a spreadsheet takes a text for a formula."""


@dataclass(frozen=True, eq=False)
class View:
    """A page, whatever its form."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    tree: Any = None
    """The same as plain values, for `.json`; the table's rows where it is `None`."""
    table: pd.DataFrame | None = None
    """Its main table, for `.csv`; `None` = it has none."""
    part: str = ""
    """Template of what htmx replaces when the address of the same page changes; the whole page where it is empty."""
    status: int = 200
    to: str = ""
    """Address of this server that the reader is sent to; empty = nowhere."""


Load = Callable[[Served, Request], View]
"""Makes a page of the campaign and what the address asks for; writes nothing."""


def shown(load: Load, *, keeps: bool = False) -> Callable[[Request], Response]:
    """Make the endpoint of a page: its form is told by the end of its address.

    Parameters
    ----------
    load
        Makes the page.
    keeps
        Whether the page is a function of its address, the round and the ledger alone, and is kept while these are the same.
    """

    def endpoint(request: Request) -> Response:
        try:
            if keeps and not request.path_params.get("form"):
                return _kept(load, request)
            return answered(load(request.app.state.served, request), request)
        except (PerturbloopError, OSError) as error:
            return answered(refusal(error), request)

    endpoint.__name__ = load.__name__
    return endpoint


def _kept(load: Load, request: Request) -> Response:
    """The page as it was made for the last reader, with the strip of progress as it is now."""
    served = request.app.state.served
    round_shown, part = served.shown(), request.headers.get("hx-request-type") == "partial"
    key = (request.url.path, request.url.query, part, served.ledger().stamp)
    text = None if round_shown is None else round_shown.page(key)
    if text is None:
        view = load(served, request)
        if round_shown is None or view.to or view.status != 200:
            return answered(view, request)
        text = filled(request, view.part if part and view.part else view.template, view.context)
        round_shown.keep(key, text)
    return HTMLResponse(with_strip(request, text), headers={"vary": "HX-Request-Type"})


def refusal(error: Exception) -> View:
    """Page that says what is needed, what came and what to do.

    Parameters
    ----------
    error
        What was raised.
    """
    said = said_of(error)
    return View("refused.html", {"said": said}, {"error": said, "kind": type(error).__name__}, status=400)


def said_of(error: Exception) -> str:
    """What an error says; of what the system refused, why, and the name of the file without its folders."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    name = Path(str(error.filename)).name if error.filename else ""
    return f"`{name}`: {error.strerror}." if name else f"{error.strerror}."


def plainly(endpoint: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Let an endpoint that is no page say in plain text why it is refused.

    Parameters
    ----------
    endpoint
        Answers a request.
    """

    @wraps(endpoint)
    def refusing(request: Request) -> Response:
        try:
            return endpoint(request)
        except (PerturbloopError, OSError) as error:
            return PlainTextResponse(said_of(error), 400)

    return refusing


def answered(view: View, request: Request) -> Response:
    """Answer with a page in the form that the address asks for.

    Parameters
    ----------
    view
        The page.
    request
        What was asked.
    """
    if view.to:
        return RedirectResponse(view.to, 303)
    form = request.path_params.get("form", "")
    if form == "json":
        tree = view.table.to_dict("records") if view.tree is None and view.table is not None else view.tree
        return Response(json.dumps(plain(tree)), view.status, media_type="application/json")
    if form == "csv":
        if view.table is None:
            return Response(
                "This page has no table; its `.json` has all of it.", 404, media_type="text/plain"
            )
        return download(
            csv_of(view.table),
            f"{request.app.state.served.name}-{Path(request.url.path).name}",
        )
    partial = view.part and request.headers.get("hx-request-type") == "partial"
    page = rendered(request, view.part if partial else view.template, view.context)
    return HTMLResponse(page, view.status, {"vary": "HX-Request-Type"} if view.part else None)


def download(text: str, name: str) -> Response:
    """A CSV file to keep.

    Parameters
    ----------
    text, name
        What it holds, and what it is called; letters that a header does not take become dashes.
    """
    safe = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in name
    )
    headers = {"content-disposition": f'attachment; filename="{safe}"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def csv_of(table: pd.DataFrame) -> str:
    """Table as CSV at full precision; a text that a spreadsheet would take for a formula is led by an apostrophe.

    >>> csv_of(pd.DataFrame({"gene": ["=1+1", "STAT1"], "benefit": [-0.5, 1.0]}))
    "gene,benefit\\n'=1+1,-0.5\\nSTAT1,1.0\\n"
    """
    heads = {name: _harmless(name) for name in table.columns}
    texts = {
        name: table[name].map(_harmless)
        for name in table.columns
        if not pd.api.types.is_numeric_dtype(table[name])
    }
    return str(table.assign(**texts).rename(columns=heads).to_csv(index=False))


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def plain(value: Any) -> Any:
    """Value as JSON can say it; a missing number is null, a time ISO 8601."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, pd.DataFrame):
        return plain(value.to_dict("records"))
    value = value.item() if hasattr(value, "item") else value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None
    return None if pd.isna(value) else value.isoformat() if hasattr(value, "isoformat") else str(value)
