"""Pages as HTML: the templates of the report and those that only a server needs; every label is escaped."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from perturbloop.report.html import environment

WITHOUT_LEDGER = ("refused.html", "doing.html")
"""Templates that are shown even where the ledger cannot be reached."""


def rendered(request: Request, template: str, context: Mapping[str, Any]) -> str:
    """Fill a template.

    Parameters
    ----------
    request
        What was asked: its campaign and access are known to every template.
    template, context
        Name of the template, and what it shows.
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
    }
    made = environment("perturbloop.web", live=True)
    return made.get_template(template).render(known | dict(context))
