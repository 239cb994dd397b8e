"""Memory that is given back: a server lives long, and what reading one table needed for a moment would stay with it."""

import ctypes
from contextlib import suppress

M_ARENA_MAX = -8
"""Option of glibc's `mallopt`."""


def share_arenas() -> None:
    """Let all threads take memory from two places, where the C library has such: each would keep what it once needed."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def give_back() -> None:
    """Return free memory to the system: Arrow keeps some 40 MB of a large round, the C library as much."""
    import pyarrow

    pyarrow.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
