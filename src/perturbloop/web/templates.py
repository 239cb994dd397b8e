"""Pages as HTML: the templates of the report and those that only a server needs; every label is escaped."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from starlette.requests import Request

from perturbloop.errors import PerturbloopError
from perturbloop.report.html import environment

WITHOUT_LEDGER = ("refused.html", "doing.html")
"""Templates that are shown even where the ledger cannot be reached."""


STRIP = "<!--doing-->"
"""Where the strip of progress stands: it is newer than a page that is kept."""


def rendered(request: Request, template: str, context: Mapping[str, Any]) -> str:
    """Fill a template, with the strip of progress as it is now.

    Parameters
    ----------
    request
        What was asked: its campaign and access are known to every template.
    template, context
        Name of the template, and what it shows.
    """
    return with_strip(request, filled(request, template, context))


def filled(request: Request, template: str, context: Mapping[str, Any]) -> str:
    """Fill a template, with `STRIP` in the place of the strip.

    Parameters
    ----------
    request, template, context
        As of `rendered`.
    """
    state = request.app.state
    known = {
        "name": state.served.name,
        "rounds": () if template in WITHOUT_LEDGER else state.served.ledger().finished,
        "access": state.access,
        "path": request.url.path,
        "query": request.url.query,
        "doing": state.served.doing(),
        "jobs": state.jobs,
        "strip": Markup(STRIP),
    }
    made = environment("perturbloop.web", live=True)
    return made.get_template(template).render(known | dict(context))


def with_strip(request: Request, page: str) -> str:
    """Put the strip of progress into a page.

    Parameters
    ----------
    request, page
        What was asked, and the page with `STRIP` in it.
    """
    if STRIP not in page:
        return page
    try:
        rounds = request.app.state.served.ledger().finished
    except (PerturbloopError, OSError):  # the page itself says so
        rounds = ()
    return page.replace(STRIP, filled(request, "doing.html", {"rounds": rounds}), 1)
