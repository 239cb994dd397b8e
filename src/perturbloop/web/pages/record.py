"""What was measured comes back: a table is uploaded, shown as it was understood, confirmed, and a round is played."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from perturbloop.errors import InputError
from perturbloop.report.layout import count
from perturbloop.schema import RecordedScreen, ScreenConfig, name_of, recorded_from
from perturbloop.schema.words import MEANT
from perturbloop.web.jobs import Job, Jobs
from perturbloop.web.pasted import as_table
from perturbloop.web.served import Served
from perturbloop.web.understood import FIELDS, NEEDED, WORDS, Understood, config_of, understood
from perturbloop.web.uploads import Upload, keep_for_good, let_go, place_of
from perturbloop.web.view import View
from perturbloop.web.writing import whole, word

RECORDS, PLAYS = "Record {name}", "Play the round"
GONE = "This file is not kept any more: unconfirmed files are forgotten after an hour. Upload it again."
BOTH = "One thing is recorded at a time; a file and a pasted list came. Leave one of them out."
NAMED = ("name", *FIELDS)
KINDS = ("screen", "outcomes")


def record(served: Served, request: Request) -> View:
    """What is recorded so far, and what was understood of a file that is not confirmed yet."""
    asked: Mapping[str, str] = request.query_params
    done = _done(request.app.state.jobs, asked.get("done", ""))
    said = ""
    if done is not None and done.refusal:
        said, asked = done.refusal, done.about or asked
    return page(served, request, asked, said=said, done=done)


def page(
    served: Served,
    request: Request,
    told: Mapping[str, str],
    *,
    said: str = "",
    done: Job | None = None,
    typed: Mapping[str, str] | None = None,
) -> View:
    """The page.

    Parameters
    ----------
    served, request
        The campaign, and what came.
    told
        Fields of the link or the form: `file`, `as`, and the options of a screen.
    said
        Why something was refused; empty where nothing was.
    done
        The command that recorded.
    typed
        What was pasted, where it was refused.
    """
    upload = request.app.state.uploads.find(told.get("file", ""))
    if told.get("file") and upload is None and not said and done is None:
        said = GONE
    given = {name: told.get(name, "").strip()[:200] for name in NAMED}
    kind = told.get("as", "") if told.get("as", "") in KINDS else ""
    found = None if upload is None else understood(upload, given, served, kind=kind)
    recorded, since = _recorded(served), served.recorded_since()
    context = {
        "recorded": recorded,
        "since": since,
        "upload": upload,
        "told": given | {"name": given["name"] or (upload.stem if upload else "")},
        "found": found,
        "needed": NEEDED,
        "fields": FIELDS,
        "words": WORDS,
        "meant": MEANT,
        "said": upload.named(said) if upload else said,
        "done": done,
        "result": _result(done),
        "typed": typed or {},
        "taken_names": [one["name"] for one in recorded],
        "goal": served.ledger().config.cells.goal,
        "start": served.ledger().config.cells.start,
    }
    tree = {
        "recorded": recorded,
        "since": list(since),
        "understood": None if found is None else vars(found) | {"complete": found.complete},
    }
    return View(
        "record.html", context, tree, pd.DataFrame(recorded, columns=["name", "what", "modality", "file"])
    )


def upload(request: Request, form: FormData) -> str:
    """Keep a file, or a pasted list, until it is confirmed."""
    uploads, file, pasted = request.app.state.uploads, form.get("file"), word(form, "pasted")
    if isinstance(file, UploadFile) and file.filename:
        if pasted:
            raise InputError(BOTH)
        kept = uploads.keep(file.file, file.filename)
    else:
        import io

        content, ending = as_table(pasted, word(form, "are"))
        kept = uploads.keep(io.BytesIO(content), f"pasted list.{ending}")
    return f"/record?file={kept.id}"


def upload_again(request: Request, form: FormData, said: str) -> View:
    """The page once more, with what was pasted.

    Parameters
    ----------
    request, form
        What came.
    said
        Why it was refused.
    """
    typed = {name: word(form, name) for name in ("pasted", "are")}
    return page(request.app.state.served, request, {}, said=said, typed=typed)


def confirm(request: Request, form: FormData) -> str:
    """Record what was understood."""
    state, told = request.app.state, _told(form)
    kept = state.uploads.find(told.get("file", ""))
    if kept is None:
        raise InputError(GONE)
    found = understood(kept, told, state.served, kind=told.get("as", ""))
    _require_complete(found)
    place, own = place_of(kept, state.served.folder), []

    def copied() -> None:
        if not place.is_file():
            own.append(place)  # by this request: any other may be read by another command
            keep_for_good(kept, place)

    def take_back() -> None:
        if own and not _is_recorded(state.served, place.name):
            let_go(place)

    def at_end(job: Job) -> None:
        job.refusal = kept.named(job.refusal.replace(str(place), kept.name).replace(place.name, kept.name))
        if job.refusal:
            take_back()
        else:
            state.uploads.drop(kept)

    name = config_of(told, kept).name if found.kind == "screen" else kept.name
    words = _words(found, told, kept, str(place), replaces=word(form, "replace") == "1")
    try:
        job = state.jobs.start(
            words,
            title=RECORDS.format(name=name),
            shown_at="/record?done={number}",
            about=told,
            first=copied,
            at_end=at_end,
        )
    except Exception:
        take_back()
        raise
    address: str = job.shown_at
    return address


def confirm_again(request: Request, form: FormData, said: str) -> View:
    """The page once more, with all that was typed and the file kept.

    Parameters
    ----------
    request, form
        What came.
    said
        Why it was refused.
    """
    return page(request.app.state.served, request, _told(form), said=said)


def play(request: Request, form: FormData) -> str:
    """Play the round."""
    request.app.state.jobs.start(("play",), title=PLAYS, shown_at="/overview")
    done = whole(word(form, "done"))
    return "/record" if done is None else f"/record?done={done}"


def play_again(request: Request, form: FormData, said: str) -> View:
    """The page once more.

    Parameters
    ----------
    request, form
        What came.
    said
        Why it was refused.
    """
    return page(request.app.state.served, request, {}, said=said)


def _told(form: FormData) -> dict[str, str]:
    return {name: word(form, name)[:200] for name in ("file", "as", *NAMED)}


def _require_complete(found: Understood) -> None:
    if found.refusal:
        raise InputError(found.refusal)
    if found.asks:
        said = "; ".join(f"“{FIELDS[name]}”: {why}" for name, why in found.asks.items())
        msg = f"Before this is recorded, fill in {said}."
        raise InputError(msg)


def _words(
    found: Understood, told: Mapping[str, str], kept: Upload, path: str, *, replaces: bool
) -> tuple[str, ...]:
    """The command that records it."""
    if found.kind == "outcomes":
        return "record", f"--outcomes={path}"
    own = {name: told.get(name, "") for name in FIELDS} | {"name": told.get("name") or kept.stem}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in own.items() if value]
    return "record", f"--screen={path}", *flags, *(["--replace"] if replaces else [])


def _done(jobs: Jobs, text: str) -> Job | None:
    """The command of a number, where it recorded something."""
    number = whole(text)
    job = None if number is None else jobs.numbered(number)
    return job if job is not None and job.words[0] == "record" else None


def _result(done: Job | None) -> tuple[str, ...]:
    """What was recorded, in words."""
    if done is None or not isinstance(done.result, Mapping):
        return ()
    tree = done.result
    if "trials" in tree:
        hits = sum(bool(row.get("hit")) for row in tree["trials"])
        said = [
            f"Told by hand: {count(len(tree['trials']), 'gene')}, {count(hits, 'hit')}. They say how well batches are foretold; the "
            "ranking learns from them where they are recorded as a screen."
        ]
        return tuple(said)
    entry = recorded_from(tree)
    own = (
        [f"Recorded: {entry.name}, {entry.modality}.", *entry.lines]
        if isinstance(entry, RecordedScreen)
        else []
    )
    return (*entry.judging, *entry.warnings, *own)


def _recorded(served: Served) -> list[dict[str, Any]]:
    """What the ledger holds, with what the last round said of it."""
    shown = served.shown()
    said = {} if shown is None else {_name(one): one for one in shown.report.recorded}
    rows = []
    for entry in served.ledger().config.recorded:
        known = said.get(name_of(entry))
        rows.append(
            {
                "name": name_of(entry),
                "what": "screen" if isinstance(entry, ScreenConfig) else "cells",
                "modality": entry.modality,
                "file": Path(entry.path).name,
                "lines": []
                if known is None
                else [repr(known)]
                if not isinstance(known, RecordedScreen)
                else known.lines,
            }
        )
    return rows


def _name(entry: Any) -> str:
    return str(entry.name if isinstance(entry, RecordedScreen) else entry.source)


def _is_recorded(served: Served, name: str) -> bool:
    """Whether the campaign remembers a file of this name."""
    served.forget()
    return any(one.path.endswith(name) for one in served.ledger().config.recorded)
