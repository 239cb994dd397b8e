"""What is being done to the campaign now, and what ended that the reader has not seen."""

from urllib.parse import urlsplit

from starlette.requests import Request

from perturbloop.errors import PerturbloopError
from perturbloop.web.jobs import Job, Jobs
from perturbloop.web.served import Served
from perturbloop.web.view import View
from perturbloop.web.writing import whole


def doing(served: Served, request: Request) -> View:
    """Progress and time left, a new round, and the end of a command."""
    finished, seen = _finished(served), request.query_params.get("round", "")
    newer = finished[-1] if finished and str(finished[-1]) != seen else None
    jobs, job_seen = request.app.state.jobs, request.query_params.get("job", "")
    ended = _ended(jobs, job_seen, request)
    now = served.doing()
    tree = {
        "round": finished[-1] if finished else None,
        "job": _told(jobs.last),
        "doing": None if now is None else vars(now),
    }
    return View("doing.html", {"newer": newer, "seen": seen, "job_seen": job_seen, "ended": ended}, tree)


def _finished(served: Served) -> tuple[int, ...]:
    """Finished rounds; none while the ledger cannot be reached, which every page says."""
    try:
        return served.ledger().finished
    except (PerturbloopError, OSError):
        return ()


def _ended(jobs: Jobs, seen: str, request: Request) -> Job | None:
    """The last command, if it ended since the page was made, and the page is not the one that shows it."""
    job = jobs.last
    number = whole(seen)
    if job is None or job.runs or (number is not None and job.number <= number):
        return None
    page = urlsplit(request.headers.get("hx-current-url", ""))
    here = f"{page.path}?{page.query}" if page.query else page.path
    return None if here == job.shown_at else job


def _told(job: Job | None) -> dict[str, object] | None:
    if job is None:
        return None
    return {"number": job.number, "title": job.title, "runs": job.runs, "refusal": job.refusal}
