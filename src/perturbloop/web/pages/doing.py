"""What is being done to the campaign now, and whether a round came that the reader has not seen."""

from starlette.requests import Request

from perturbloop.web.served import Served
from perturbloop.web.view import View


def doing(served: Served, request: Request) -> View:
    """Progress and time left."""
    finished, seen = served.ledger().finished, request.query_params.get("round", "")
    newer = finished[-1] if finished and str(finished[-1]) != seen else None
    return View("doing.html", {"newer": newer, "seen": seen}, {"round": finished[-1] if finished else None})
