"""Bytes of a text file, plain or gzipped, never more than a stated size: a small file may unpack to more than the memory holds."""

import gzip
import zlib
from pathlib import Path

from perturbloop.errors import InputError

MOST_BYTES = 2**30
"""Largest text that is read, unpacked: some times a table of all genes with a hundred columns."""


def read_bytes(path: Path, *, what: str = "a text file") -> bytes:
    """Read a file, unpacked where it is gzipped, and stop where it grows too large.

    Parameters
    ----------
    path
        The file.
    what
        What it must be, in words.

    Raises
    ------
    InputError
        If it is missing, damaged, or holds more than `MOST_BYTES`.
    """
    if not path.exists():
        msg = f"A file is needed at `{path}`, {what}; there is none. Correct the path."
        raise InputError(msg)
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            file = gzip.GzipFile(fileobj=plain) if packed else plain
            raw = file.read(MOST_BYTES + 1)
    except PermissionError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        msg = f"`{path}` must be {what}, plain or gzipped; it cannot be read: {error}. Correct the path, or copy the file again."
        raise InputError(msg) from None
    if len(raw) > MOST_BYTES:
        msg = (
            f"`{path}` must be {what} of at most {MOST_BYTES:,} bytes{' once it is unpacked' if packed else ''}; it holds more. Keep "
            "the rows and columns that are needed."
        )
        raise InputError(msg)
    return raw
