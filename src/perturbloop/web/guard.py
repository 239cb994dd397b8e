"""What stands before every page: only its own reader, from its own pages, and no more than a bounded request."""

from html import escape

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perturbloop.web.access import Access, same

READING = frozenset({"GET", "HEAD"})
MOST_DIGITS = 15
"""Most digits of the length of a request."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing is loaded from elsewhere, no script or style stands in a page, and no page stands in another's frame."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
ENTRY = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>perturbloop</title>
<link rel="icon" href="/static/icon.svg"><meta http-equiv="refresh" content="0; url=/"></head><body><p><a href="/">Open the campaign</a></p></body></html>"""
"""Answer to the printed address: a page, since a browser that came from elsewhere would not send the strict cookie to a redirect."""
NO_TOKEN = "Open the address that `perturbloop serve` printed: each start makes another token, which is needed once, and this browser did not bring it."


class Refused(Exception):
    """A request that is not answered."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Guard:
    """ASGI middleware that checks host, token or cookie, origin, CSRF header and size of each request, and adds the security headers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no page opens a websocket
        sending = _secured(send)
        try:
            enters = self._check(scope)
        except Refused as refusal:
            await _refusal(refusal, scope)(scope, receive, sending)
            return
        if enters:
            entry = HTMLResponse(ENTRY)
            entry.set_cookie(
                self.access.cookie, self.access.session, httponly=True, samesite="strict", path="/"
            )
            await entry(scope, receive, sending)
            return
        try:
            await self.app(scope, self._bounded(receive), sending)
        except Refused as refusal:
            await _refusal(refusal, scope)(scope, receive, sending)

    def _check(self, scope: Scope) -> bool:
        """Refuse what may not come in; whether it is the printed address."""
        headers, access = Headers(scope=scope), self.access
        host = headers.get("host", "").lower()
        if host not in access.hosts:
            raise Refused(
                421,
                "This server answers to its own name only; open the address that `perturbloop serve` printed.",
            )
        reads = scope["method"] in READING
        token = QueryParams(scope["query_string"]).get("token")
        if reads and scope["path"] == "/" and token is not None:
            if not access.knows(token):
                raise Refused(403, NO_TOKEN)
            return True
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        by_token = bool(bearer) and access.knows(bearer)
        if not by_token and not same(_cookie(headers, access.cookie), access.session):
            raise Refused(403, NO_TOKEN)
        if not reads:
            self._check_write(headers, host, by_token=by_token)
        return False

    def _check_write(self, headers: Headers, host: str, *, by_token: bool) -> None:
        if self.access.read_only:
            raise Refused(403, "This server was started with `--read-only`: nothing can be written here.")
        origin = headers.get("origin", "").lower().removesuffix(":80")
        if not by_token and origin != f"http://{host}".removesuffix(":80"):
            raise Refused(403, "Only a page of this server may write; this request came from elsewhere.")
        if not by_token and not same(headers.get("x-csrf-token", ""), self.access.csrf):
            raise Refused(
                403,
                "A write must come from a page that this server showed since it was started. Reload the page and try again.",
            )
        declared = headers.get("content-length", "")
        digits = declared if declared.isascii() and declared.isdigit() else "0"
        if len(digits) > MOST_DIGITS or int(digits) > self.access.most_bytes:
            raise self._too_much()

    def _bounded(self, receive: Receive) -> Receive:
        """Count what comes, whatever was declared."""
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > self.access.most_bytes:
                raise self._too_much()
            return message

        return counted

    def _too_much(self) -> Refused:
        most = self.access.most_bytes >> 20
        return Refused(
            413,
            f"At most {most:,} MB can be uploaded. Record a larger file with `perturbloop record` on the machine itself.",
        )


def _refusal(refusal: Refused, scope: Scope) -> Response:
    """Why, in words; a page that asked for a part of itself shows it above the rest, and keeps what was typed."""
    if Headers(scope=scope).get("hx-request") != "true":
        return PlainTextResponse(refusal.why, refusal.status)
    said = f'<p id="refused" class="alarm" role="alert">{escape(refusal.why)}</p>'
    here = {
        "hx-retarget": "#refused",
        "hx-reselect": "#refused",
        "hx-reswap": "outerHTML",
        "hx-push-url": "false",
    }
    return HTMLResponse(said, refusal.status, headers=here)


def _cookie(headers: Headers, name: str) -> str:
    """Value of a cookie; odd ones of other servers of this machine beside it are passed over."""
    return str(cookie_parser(headers.get("cookie", "")).get(name, ""))


def _secured(send: Send) -> Send:
    """Add the headers that hold for every answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "private, no-cache")
        await send(message)

    return sending
