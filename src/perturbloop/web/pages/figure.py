"""A figure of the report, drawn when somebody looks at it."""

import threading

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from perturbloop.report.layout import Picture
from perturbloop.web.served import Served
from perturbloop.web.view import plainly

_drawing = threading.Lock()
"""Matplotlib draws one figure at a time."""


@plainly
def figure(request: Request) -> Response:
    """Figure number `place` of a page, counted through its sections, as SVG."""
    served: Served = request.app.state.served
    shown, page, place = served.shown(), request.path_params["page"], request.path_params["place"]
    found = shown.pages.get(page) if shown else None
    pictures = (
        [picture for section in (*found.front, *found.details) for picture in section.pictures]
        if found
        else []
    )
    if shown is None or place >= len(pictures):
        return PlainTextResponse("There is no such figure.", 404)
    with _drawing:
        drawn = shown.once(("figure", page, place), lambda: _svg(pictures[place]))
    return Response(drawn, media_type="image/svg+xml")


def _svg(picture: Picture) -> str:
    from perturbloop.plots import svg

    return svg(picture.draw())
