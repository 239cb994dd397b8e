"""Who scores the edits: said once, where a command begins, and asked where a plan is run."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perturbloop.errors import InputError

if TYPE_CHECKING:
    from perturbloop.store.remote import Remote

PATIENCE = 5.0
"""Seconds in which an address must answer."""


@dataclass
class Sharing:
    """Processes that share the edits of the plans that are run inside `shared_by`."""

    workers: int = 0
    """Processes of a Ray cluster on this machine; 0 = none."""
    cluster: str = ""
    """Address of a Ray cluster that runs; '' = none."""
    store: "Remote | None" = None
    """Where shards are fetched from and sent to; `None` = this machine's disk alone."""
    pool: Any = None
    """What the first plan connected to; the later ones use it too."""
    closing: ExitStack = field(default_factory=ExitStack)
    """Lets go of it at the end."""

    @property
    def alone(self) -> bool:
        """Whether this process scores everything."""
        return not (self.workers or self.cluster)


_sharing: ContextVar[Sharing | None] = ContextVar("sharing", default=None)


def sharing() -> Sharing:
    """Return who shares the edits; this process alone unless asked."""
    return _sharing.get() or Sharing()


@contextmanager
def shared_by(
    workers: int = 0, *, cluster: str = "", store: str = "", home: Path | str = "."
) -> Iterator[None]:
    """Let so many processes score the plans that are run inside; the tables are the same.

    Parameters
    ----------
    workers
        Processes of a Ray cluster on this machine; 0 = this process alone.
    cluster
        Address of a Ray cluster that runs, `HOST:PORT` or `auto` (the one on this machine), of which this machine is a node; its CPUs or GPUs share the edits. Its nodes need
        no disk in common with this machine, and the same perturbloop.
    store
        Place that fsspec knows, such as `s3://BUCKET/study`, where machines without a common disk find each other's shards; '' = none.
    home
        Campaign folder, below which the shards lie.

    Raises
    ------
    InputError
        If the number is negative, both are given, Ray is not installed, nobody answers at the address, or the store cannot be used.

    Examples
    --------
    >>> with shared_by(2):
    ...     sharing().workers
    2
    >>> sharing().alone
    True
    """
    if workers < 0:
        msg = f"`workers` is the number of processes, 0 or more; it is {workers}. Correct it."
        raise InputError(msg)
    if workers and cluster:
        msg = (
            "Edits go to processes of this machine (`--workers`) or to a cluster that runs (`--cluster`); both came. "
            "Leave one out."
        )
        raise InputError(msg)
    if (workers or cluster) and find_spec("ray") is None:
        msg = "Several processes need Ray; it is not installed. Run `pip install 'perturbloop[ray]'`, or leave `--workers` and `--cluster` out."
        raise InputError(msg)
    if cluster:
        require_answer(cluster)
    with ExitStack() as closing:
        before = _sharing.set(Sharing(workers, cluster, _opened(store, Path(home)), closing=closing))
        try:
            yield
        finally:
            _sharing.reset(before)


def _opened(store: str, home: Path) -> "Remote | None":
    if not store:
        return None
    from perturbloop.store.remote import Remote  # fsspec is loaded where it is needed

    return Remote(store, home)


def require_answer(address: str) -> None:
    """Refuse an address at which nobody listens: Ray itself would try for more than a minute, and then end the process.

    Raises
    ------
    InputError
        If it is no address, or nobody answers there.
    """
    found = re.fullmatch(r"\[?([^\s/\[\]]+?)\]?:(\d{1,5})", address)
    if not found and address != "auto":
        msg = (
            f"The address of a Ray cluster is HOST:PORT, or auto on one of its nodes; {address!r} came. Correct it, and type the command "
            "on a node."
        )
        raise InputError(msg)
    if found:
        try:
            socket.create_connection((found[1], int(found[2])), timeout=PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise no_cluster(address, str(error)) from error


def no_cluster(address: str, reason: str) -> InputError:
    """Say that no cluster answers, and how one is started.

    Parameters
    ----------
    address
        Where it was looked for.
    reason
        What the system or Ray says.
    """
    return InputError(
        f"`--cluster` needs a Ray cluster that runs; none answers at {address!r} ({reason}). Start one with "
        "`ray start --head --port=6379` and give its address, or leave `--cluster` out."
    )
