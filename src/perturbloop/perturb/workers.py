"""How many processes score edits: said once, where a command begins, and asked where a plan is run."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from perturbloop.errors import InputError

_workers: ContextVar[int] = ContextVar("workers", default=0)


def workers() -> int:
    """Processes of a local Ray cluster that share the edits; 0 = this process alone."""
    return _workers.get()


@contextmanager
def shared_by(number: int) -> Iterator[None]:
    """Let so many processes score the plans that are run inside; the tables are the same.

    Parameters
    ----------
    number
        Processes of a local Ray cluster; 0 = this process alone.

    Raises
    ------
    InputError
        If the number is negative.

    Examples
    --------
    >>> with shared_by(2):
    ...     workers()
    2
    >>> workers()
    0
    """
    if number < 0:
        msg = f"`workers` is the number of processes, 0 or more; it is {number}. Correct it."
        raise InputError(msg)
    before = _workers.set(number)
    try:
        yield
    finally:
        _workers.reset(before)
