"""What is being done, told to whoever listens; nobody does unless asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tell(work: str, done: int, total: int) -> None:
    """Say how far a piece of work is.

    Parameters
    ----------
    work
        What is being done, in a few words.
    done, total
        How much of it, and of how much.

    Examples
    --------
    >>> with heard_by(print):
    ...     tell("train frozen head", 0, 1)
    train frozen head 0 1
    >>> tell("train frozen head", 1, 1)  # nobody listens
    """
    listener = _listener.get()
    if listener is not None:
        listener(work, done, total)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Send all that is told inside to a listener, and to no other."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


@contextmanager
def also_heard_by(listener: Listener) -> Iterator[None]:
    """Send all that is told inside to a listener, and to whoever listens already."""
    before = _listener.get()

    def both(work: str, done: int, total: int) -> None:
        listener(work, done, total)
        if before is not None:
            before(work, done, total)

    with heard_by(both if before is not None else listener):
        yield
