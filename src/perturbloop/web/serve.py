"""A server for one campaign, on this machine unless another address is named."""

import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from perturbloop.errors import InputError
from perturbloop.loop.folder import open_campaign
from perturbloop.web.access import Access, bracketed, is_wildcard
from perturbloop.web.memory import share_arenas

NAMELESS = (
    "At '{host}' others reach this machine by its name or address, which must be known; none came. Name it with `--name NAME`, as it is "
    "typed in a browser, or listen at one address: `--host ADDRESS`."
)
MISSING = "Pages need the packages of the extra `web`; `{name}` is not installed. Install them with `pip install 'perturbloop[web]'`."


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    names: tuple[str, ...] = (),
    read_only: bool = False,
    on_start: Callable[[str], None],
) -> None:
    """Serve a campaign until it is stopped.

    Parameters
    ----------
    folder
        Campaign folder.
    host, port
        Where to listen; port 0 = any that is free.
    names
        Other names that readers type for this machine; one is needed where `host` stands for all its addresses.
    read_only
        Whether nothing can be written.
    on_start
        Called with the address to open, once the port is held.

    Raises
    ------
    InputError
        If the packages of the extra are missing, the port is taken, or nobody knows by what name the machine is reached.
    """
    try:
        import uvicorn

        from perturbloop.web.app import application
    except ModuleNotFoundError as error:
        raise InputError(MISSING.format(name=error.name)) from error
    if is_wildcard(host) and not names:
        raise InputError(NAMELESS.format(host=host))
    with open_campaign(folder):
        pass  # refused now, where there is none
    listener = _listener(host, port)
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(24)
    access = Access.at(host, port, token=token, names=names, read_only=read_only)
    share_arenas()
    app = application(folder, access)
    if (shown := app.state.served.shown()) is not None:
        _ = shown.pages  # read now, not while the first reader waits
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    shown_host = names[0] if is_wildcard(host) else host
    on_start(f"http://{bracketed(shown_host)}:{port}/?token={token}")
    uvicorn.Server(config).run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    """Hold a port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # who opens the address before the server answers waits, and is not refused
    except OSError as error:
        listener.close()
        msg = f"Pages need an address of this machine with a free port; {host} port {port} cannot be had: {error.strerror}. Name another with `--port`."
        raise InputError(msg) from error
    return listener
