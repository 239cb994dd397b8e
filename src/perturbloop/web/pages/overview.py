"""Can I believe this, and what came of it so far?"""

from starlette.requests import Request

from perturbloop.report.answer import answer
from perturbloop.web.served import Served
from perturbloop.web.view import View


def overview(served: Served, request: Request) -> View:
    """The verdict, the gate, and the rounds so far."""
    shown = served.shown()
    if shown is None:
        return View("waiting.html", tree={"rounds": 0})
    found = answer(shown.report)
    context = {"page": shown.pages["overview"], "report": shown.report, "answer": found}
    tree = {
        "word": found.word,
        "sentence": found.sentence,
        "gate": found.gate,
        "gate_sentence": found.gate_sentence,
    }
    return View("overview.html", context, tree)
