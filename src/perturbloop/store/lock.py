"""One writer per campaign folder."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from perturbloop.errors import StoreError

LOCK_FILE = ".perturbloop.lock"


@contextmanager
def lock(folder: Path | str) -> Iterator[None]:
    """Keep every other perturbloop process out of a campaign folder while the block runs.

    The system frees the lock when the process ends, however it ends; the lock file itself stays and means nothing.

    Raises
    ------
    StoreError
        At once, if the folder is missing, may not be written to, or another process works in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"There is no campaign folder at `{folder}`. Make one with `perturbloop init`, or correct the path."
        raise StoreError(msg)
    held = FileLock(folder / LOCK_FILE, blocking=False)
    try:
        held.acquire()
    except Timeout as error:
        msg = (
            f"The campaign folder `{folder}` is busy: another perturbloop process is working in it. "
            "Nothing was changed. Wait until it ends and run the command again."
        )
        raise StoreError(msg) from error
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        msg = (
            f"Work in the campaign folder `{folder}` needs permission to write there; this user has none. Nothing was changed. "
            "Ask its owner for it, or work in a copy; `report`, `check` and `perturb --dry-run` only read."
        )
        raise StoreError(msg) from error
    try:
        yield
    finally:
        held.release()
