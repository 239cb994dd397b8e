"""What goes on the plate, and what came of what went there before?"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from perturbloop.design.calibration import calibration_of
from perturbloop.design.trials import marked
from perturbloop.errors import DesignError, InputError
from perturbloop.loop.folder import working
from perturbloop.report.answer import answer
from perturbloop.report.layout import interval, listed, number, text
from perturbloop.report.plates import plate_grids, workbook
from perturbloop.web.asking import Asking
from perturbloop.web.jobs import Job, Jobs
from perturbloop.web.proposal import Proposal, of_job, proposal, stamp
from perturbloop.web.served import Ledger, Served
from perturbloop.web.view import View, csv_of, download, plain, plainly
from perturbloop.web.writing import whole, word, words

ASKS, SENDS = "Ask for a batch", "Take the batch"
GATE_FAILED = "The control gate failed. Tick that the batch is taken all the same, or leave it."
CHANGED = "The batch that was shown is not the one that would be taken now: something was taken, recorded or played since. Ask again."
NO_GENE_TICKED = "Tick the genes whose status changes; none was ticked."
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LABELS = {
    "--with": "Pin genes",
    "--without": "Leave out genes",
    "--budget": "Genes in the batch",
    "--goal learn": "Goal: learn",
    "--anyway": "although the control gate failed",
}
"""What the page calls an option of the command."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")


def batch(served: Served, request: Request) -> View:
    """The batch of the link, its plate, and the batches that were taken."""
    try:
        asking, said = Asking.of(request.query_params), ""
    except InputError as error:
        asking, said = Asking(), str(error)
    return page(served, request, asking, said)


def page(served: Served, request: Request, asking: Asking, said: str = "") -> View:
    """The same of a question.

    Parameters
    ----------
    served, request
        The campaign, and what came.
    asking
        The question.
    said
        Why something was refused; empty where nothing was.
    """
    shown = served.shown()
    if shown is None:
        return View("waiting.html", tree={"rounds": 0})
    jobs, ledger = request.app.state.jobs, served.ledger()
    job, sent = jobs.find(asking.words), _sent(jobs, request)
    found = of_job(sent) if sent is not None and sent.result else proposal(served, jobs, asking)
    if not said:
        said = next((one.refusal for one in (sent, job) if one is not None and one.refusal), "")
    for flag, label in LABELS.items():
        said = said.replace(f"`{flag}`", f"“{label}”")
    context = {
        "page": shown.pages["batch"],
        "answer": answer(shown.report),
        "asking": asking,
        "budget": asking.budget or ledger.config.design.budget,
        "aim": asking.aim or ledger.config.design.aim,
        "said": said,
        "job": job,
        "sent": sent,
        "found": found,
        "rows": [] if found is None else _rows(found, asking),
        "grids": () if found is None else plate_grids(found.plate),
        "gone": [] if found is None or sent is not None else found.taken(ledger),
        "since": _older_than(served, found),
        **_trials(ledger),
    }
    return View("batch.html", context, _tree(found, ledger), None if found is None else found.rows)


@plainly
def plate(request: Request) -> Response:
    """The plate of the batch that is shown, as CSV or Excel file."""
    state, ending = request.app.state, request.path_params["ending"]
    asking, sent = Asking.of(request.query_params), _sent(state.jobs, request)
    made = of_job(sent) if sent is not None and sent.result else proposal(state.served, state.jobs, asking)
    if made is None:
        return PlainTextResponse("This batch is not kept any more. Open the page and ask again.", 404)
    name = f"{state.served.name}-plate"
    if ending == "csv":
        return download(csv_of(made.plate), f"{name}.csv")
    answered = download("", f"{name}.xlsx")
    return Response(
        workbook(made.plate),
        media_type=SHEET,
        headers={"content-disposition": answered.headers["content-disposition"]},
    )


def ask(request: Request, form: FormData) -> str:
    """Ask for a batch: a look that takes nothing."""
    state = request.app.state
    asking = _typed(form).beside(state.served.ledger().config.design)
    known = state.jobs.find(asking.words)
    if not (known is not None and known.runs):
        state.jobs.start(asking.words, title=ASKS, shown_at=asking.address, about=stamp(state.served))
    return asking.address


def send(request: Request, form: FormData) -> str:
    """Take the batch that was shown."""
    state, asking = request.app.state, Asking.of(_fields(form))
    state.served.forget()
    found = proposal(state.served, state.jobs, asking)
    stale = _older_than(state.served, found)
    if found is None or stale or found.key != word(form, "key") or found.taken(state.served.ledger()):
        raise DesignError(CHANGED)
    shown = state.served.shown()
    anyway = word(form, "really") == "1"
    if shown is not None and answer(shown.report).gate == "failed" and not anyway:
        raise DesignError(GATE_FAILED)
    given = asking.words if asking.anyway or not anyway else (*asking.words, "--anyway")
    job = state.jobs.start(
        (*given, f"--only-if={found.key}", "--accept"), title=SENDS, shown_at="/batch?sent={number}"
    )
    address: str = job.shown_at
    return address


def _older_than(served: Served, found: Proposal | None) -> tuple[str, ...]:
    """What was recorded since a batch was chosen: the command that would take it would choose anew."""
    return () if found is None or found.asked else served.recorded_since()


def mark(request: Request, form: FormData) -> str:
    """Say what became of trials."""
    asking, genes = Asking.of(_fields(form)), words(form, "gene")
    if not genes:
        raise DesignError(NO_GENE_TICKED)
    served = request.app.state.served
    with working(served.folder) as campaign:
        status: Any = word(form, "status")
        rows = marked(campaign.store.trials(), status, genes, when=datetime.now(UTC))
        campaign.store.save_trials(rows)
    served.forget()
    return asking.address


def again(request: Request, form: FormData, said: str) -> View:
    """The page once more, with what was typed.

    Parameters
    ----------
    request, form
        What came.
    said
        Why it was refused.
    """
    try:
        asking = _typed(form)
    except InputError:
        asking = Asking()
    view = page(request.app.state.served, request, asking, said)
    return View(view.template, {**view.context, "typed": _fields(form)})


def _typed(form: FormData) -> Asking:
    """The question of a form: what stood in the link, what was typed, and what was ticked to be dropped."""
    return Asking.of(_fields(form)).without(words(form, "drop"))


def _fields(form: FormData) -> dict[str, str]:
    return {name: word(form, name) for name in ("with", "without", "budget", "goal", "anyway")}


def _sent(jobs: Jobs, request: Request) -> Job | None:
    """The command that took a batch, where the link names it."""
    sent = whole(request.query_params.get("sent", ""))
    job = None if sent is None else jobs.numbered(sent)
    return job if job is not None and "--accept" in job.words else None


def _rows(found: Proposal, asking: Asking) -> list[dict[str, Any]]:
    return [
        {
            "place": int(row.place),
            "gene": text(row.gene_name, str(row.gene_id)),
            "gene_id": str(row.gene_id),
            "typed": str(row.gene_name) if _PLAIN.fullmatch(str(row.gene_name)) else str(row.gene_id),
            "action": str(row.action),
            "probability": number(row.probability),
            "interval": interval(row.ci_low, row.ci_high),
            "because": text(row.because, ""),
            "reason": text(row.reason, ""),
            "cautions": text(row.flags, "").replace(",", ", "),
            "pinned": bool({str(row.gene_name), str(row.gene_id)} & set(asking.pinned)),
        }
        for row in found.rows.itertuples()
    ]


def _trials(ledger: Ledger) -> dict[str, Any]:
    """Batches that were taken, the last first, with predicted against found hits."""
    told = {one.batch: one.sentence for one in calibration_of(ledger.trials)[1]}
    batches, is_open = [], False
    for batch_number, rows in ledger.trials.groupby("batch", sort=False):
        own = [_trial(row) for row in rows.sort_values("place").itertuples()]
        is_open |= any(row["open"] for row in own)
        counts = rows["status"].value_counts()
        said = listed([f"{count} {status}" for status, count in counts.items()])
        batches.append(
            {
                "number": int(batch_number),
                "when": f"{rows['proposed'].iloc[0]:%Y-%m-%d}",
                "said": said,
                "rows": own,
                "told": told.get(int(batch_number), ""),
            }
        )
    return {"batches": batches[::-1], "open": is_open}


def _trial(row: Any) -> dict[str, Any]:
    outcome = "" if pd.isna(row.hit) else "hit" if row.hit else "no hit"
    return {
        "place": int(row.place),
        "gene": str(row.gene_name or row.gene_id),
        "gene_id": str(row.gene_id),
        "action": str(row.action),
        "predicted": number(row.predicted),
        "status": str(row.status),
        "outcome": outcome if row.status == "done" else "",
        "source": text(row.source, ""),
        "open": row.status not in ("done", "abandoned"),
    }


def _tree(found: Proposal | None, ledger: Ledger) -> Mapping[str, Any]:
    told = [vars(one) | {"expected": vars(one.expected)} for one in calibration_of(ledger.trials)[1]]
    tree: dict[str, Any] = {"proposals": None, "trials": plain(ledger.trials), "told": told}
    if found is not None:
        tree |= {
            "proposals": found.rows,
            "expected": found.expected,
            "by_chance": found.by_chance,
            "rests_on": found.rests_on,
            "plate": found.plate,
        }
    return tree
