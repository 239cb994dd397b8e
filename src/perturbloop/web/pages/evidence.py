"""How far can the ranking be believed, and what was measured?"""

from starlette.requests import Request

from perturbloop.web.served import Served
from perturbloop.web.view import View


def evidence(served: Served, request: Request) -> View:
    """Measured effects, and the scoreboard with its controls."""
    shown = served.shown()
    if shown is None:
        return View("waiting.html", tree={"rounds": 0})
    report = shown.report
    names = ("metrics", "gains", "effects", "guides", "replicates", "curves", "reversal")
    tree = {name: getattr(report, name) for name in names}
    return View("page.html", {"page": shown.pages["evidence"], "report": report}, tree, report.metrics)
