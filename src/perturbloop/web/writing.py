"""What a form asks for: done, then shown at the address of what came of it; refused, then told on the page it came from."""

from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from perturbloop.errors import InputError, PerturbloopError
from perturbloop.web.templates import rendered
from perturbloop.web.view import View, refusal, said_of

MOST_FIELDS, MOST_TEXT = 2000, 4 << 20
"""Most fields of a form, and most bytes of one that is no file."""
Act = Callable[[Request, FormData], str]
"""Does what a form asks for; the address that shows what came of it."""
Again = Callable[[Request, FormData, str], View]
"""The page a form came from, with why it was refused and all that was typed."""


def done(act: Act, again: Again) -> Callable[[Request], Awaitable[Response]]:
    """Make the endpoint of a form.

    Parameters
    ----------
    act
        Does what is asked.
    again
        Shows the page once more where that was refused.
    """

    async def endpoint(request: Request) -> Response:
        async with request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_TEXT) as form:
            return await run_in_threadpool(_answer, request, form)

    def _answer(request: Request, form: FormData) -> Response:
        try:
            _require_text(form)
            return RedirectResponse(act(request, form), 303)
        except (PerturbloopError, OSError) as error:
            said = said_of(error)
        try:
            view = again(request, form, said)
            page = rendered(request, view.template, view.context)
        except (PerturbloopError, OSError) as error:  # the ledger cannot be reached
            view = refusal(error)
            page = rendered(request, view.template, view.context)
        return HTMLResponse(page, 422, headers={"hx-push-url": "false"})

    endpoint.__name__ = act.__name__
    return endpoint


def _require_text(form: FormData) -> None:
    wrong = [name for name, value in form.multi_items() if isinstance(value, str) and "\0" in value]
    if wrong:
        msg = f"A field holds text; `{wrong[0][:40]}` holds a NUL character. Type it anew."
        raise InputError(msg)


def whole(text: str) -> int | None:
    """Number that a text says; `None` where it says none, or one that nothing here counts to.

    >>> whole("12"), whole(""), whole("-1"), whole("9" * 5000)
    (12, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def word(form: FormData, name: str) -> str:
    """Text of a field; empty where it did not come, or is a file."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def words(form: FormData, name: str) -> list[str]:
    """Texts of all fields of a name."""
    return [value for value in form.getlist(name) if isinstance(value, str)]
