"""One self-contained HTML file: figures inside, nothing loaded, no script."""

import base64
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from perturbloop.plots import svg
from perturbloop.report.content import RoundReport
from perturbloop.report.layout import Picture
from perturbloop.report.sections import sections
from perturbloop.store.files import write_text


def render(report: RoundReport) -> str:
    """Return the page as text; every label is escaped."""
    return _environment().get_template("report.html").render(report=report, sections=sections(report))


def write(report: RoundReport, path: Path) -> Path:
    """Write the page beside its place and move it there, so that no reader meets half a page; return the path."""
    write_text(Path(path), render(report))
    return Path(path)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("perturbloop.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    environment.filters["source"] = _source
    return environment


def _prose(line: str) -> Markup:
    """Escape a sentence; what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(line))))


def _source(picture: Picture) -> str:
    # An image, not inline SVG: ids of two figures cannot clash, and a label can never become part of the page.
    return "data:image/svg+xml;base64," + base64.b64encode(svg(picture.draw()).encode()).decode()
