"""Can I believe this, and what came of it so far?"""

from dataclasses import replace

from starlette.requests import Request

from perturbloop.report.answer import answer
from perturbloop.report.timeline import found, found_section, rounds_section
from perturbloop.web.served import Served
from perturbloop.web.view import View


def overview(served: Served, request: Request) -> View:
    """The verdict, the gate, the rounds so far, and what was found against chance, as the ledger knows it now."""
    shown = served.shown()
    if shown is None:
        return View("waiting.html", tree={"rounds": 0})
    report = replace(shown.report, trials=served.ledger().trials)
    page, judged = shown.pages["overview"], shown.once("answer", lambda: answer(shown.report))
    now = {section.key: section for section in (rounds_section(report), found_section(report))}
    page = replace(page, front=tuple(now.get(section.key, section) for section in page.front))
    tree = {name: getattr(judged, name) for name in ("word", "sentence", "gate", "gate_sentence")}
    tree |= {"rounds": report.rounds, "found": found(report.trials, report.rounds)}
    return View("page.html", {"page": page, "report": report, "answer": judged}, tree, report.rounds)
