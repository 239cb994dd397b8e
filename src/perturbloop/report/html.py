"""One self-contained HTML file: figures and a script to sort its tables inside, nothing loaded."""

import base64
import hashlib
import re
from functools import cache, partial
from importlib.resources import files
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from perturbloop.report.answer import answer
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import Grid, Picture, duration
from perturbloop.report.packed import packed
from perturbloop.report.pages import pages


def render(report: RoundReport) -> str:
    """Return the pages, frozen below each other, as text; every label is escaped."""
    script = _part("tables.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template("report.html")
        .render(
            report=report,
            answer=answer(report),
            pages=pages(report),
            style=Markup(_part("report.css")),  # a file of our own
            script=Markup(script),
            script_hash=f"sha256-{digest}",
        )
    )


@cache
def environment(*packages: str, live: bool = False) -> Environment:
    """Templates of the report, and what they can do with a sentence, a figure and a number.

    Parameters
    ----------
    packages
        Packages with templates of their own, which are looked for first.
    live
        Whether a server is there to ask for genes and figures.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in (*packages, "perturbloop.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["prose"] = _prose
    made.filters["source"] = _source
    made.filters["address"] = partial(quote, safe="")
    made.filters["duration"] = duration
    made.filters["packed"] = _packed
    made.tests["ensembl"] = _is_ensembl
    made.globals["live"] = live
    return made


def _part(name: str) -> str:
    """A file of the page's own, as it is."""
    return (files("perturbloop.report") / "static" / name).read_text(encoding="utf-8").strip()


def _is_ensembl(gene_id: object) -> bool:
    return bool(re.fullmatch(r"ENS[A-Z]*G\d+", str(gene_id)))


def _packed(grid: Grid) -> Markup:
    return packed(grid, _is_ensembl)


def _prose(line: str) -> Markup:
    """Escape a sentence; what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(line))))


def _source(picture: Picture) -> str:
    from perturbloop.plots import svg

    # An image, not inline SVG: ids of two figures cannot clash, and a label can never become part of the page.
    return "data:image/svg+xml;base64," + base64.b64encode(svg(picture.draw()).encode()).decode()
