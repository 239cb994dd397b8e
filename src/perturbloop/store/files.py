"""Files that a campaign writes and reads back: whole or absent, on the disk before they get their name, known by what they hold."""

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop.errors import PerturbloopError, StoreError

PARTIAL = ".partial"
"""End of the name of what is being written."""
LATELY = 3600
"""Seconds after which nobody goes on writing a file."""
_NOT_DAMAGE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a place for a file or folder beside `path`; it takes that name at the end of the block, whole and on the disk.

    A power cut may otherwise leave the new name over an empty file. What an error leaves behind is removed; what a kill
    leaves, `sweep` removes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    _remove(beside)
    try:
        yield beside
        settle(beside)
        if beside.is_dir():
            _remove(path)
        beside.replace(path)
        sync(path.parent)
    finally:
        _remove(beside)


@contextmanager
def undone(folder: Path) -> Iterator[None]:
    """Where an error ends the block, remove a folder that was not there before, and those above it that it alone needed."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    except BaseException:
        for place in made[:1]:
            shutil.rmtree(place, ignore_errors=True)
        for place in made[1:]:
            with suppress(OSError):
                place.rmdir()
        raise


def settle(path: Path) -> None:
    """Bring a file, or all files of a folder, to the disk; those of a folder are for all to read who may read their neighbors.

    Libraries that write weights ask for permissions of the owner alone.
    """
    if not path.is_dir():
        sync(path)
        return
    files = [found for found in path.rglob("*") if found.is_file()]
    mode = plain_mode(path)
    for file in files:
        file.chmod(mode)
        sync(file)
    for folder in {path, *(file.parent for file in files)}:
        sync(folder)


def plain_mode(folder: Path) -> int:
    """Permissions that a file of this folder gets where nobody asks for others."""
    probe = _beside(folder / "mode")
    probe.touch()
    mode = probe.stat().st_mode & 0o777
    probe.unlink()
    return mode


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_first(path: Path, text: str) -> None:
    """Write a text file where there is none; of several processes, on any machines that share the disk, the first decides what it says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    try:
        beside.write_text(text, encoding="utf-8")
        sync(beside)
        os.link(beside, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        beside.replace(path)
    finally:
        _remove(beside)


def write_json(path: Path, tree: Any) -> None:
    """Write plain values as JSON."""
    write_text(path, json.dumps(tree, indent=2, default=_plain))


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet with checksums, so that `read_table` notices a flipped bit."""
    with whole(path) as beside:
        frame.to_parquet(beside, index=False, write_page_checksum=True)


def read_json(path: Path, *, todo: str = "") -> Any:
    """Read a JSON file that the campaign wrote, in words where it is damaged."""
    with own(path, todo=todo):
        return json.loads(path.read_text(encoding="utf-8"))


def read_table(path: Path, *, todo: str = "", columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table that the campaign wrote, in words where it is damaged.

    Parameters
    ----------
    path
        The file.
    todo
        What to do where it is damaged.
    columns
        Columns to read, of which those are left out that it lacks; all where it is empty.
    """
    from pyarrow.parquet import read_schema  # slow, and not needed by commands that read no table

    with own(path, todo=todo):
        held = set(read_schema(path).names) if columns else set()
        wanted = [name for name in columns if name in held] if columns else None
        return pd.read_parquet(path, columns=wanted, page_checksum_verification=True)


@contextmanager
def own(path: Path, *, todo: str = "") -> Iterator[None]:
    """Say which file is damaged, and what to do, whatever goes wrong in reading what the campaign itself wrote.

    Parameters
    ----------
    path
        The file that is read.
    todo
        What to do, as a sentence; to delete that file and run the same command again where it is left out.

    Raises
    ------
    StoreError
        In place of any error but those that say that the file may not be read now.
    """
    try:
        yield
    except PerturbloopError:
        raise
    except Exception as error:  # a damaged file makes its reader raise anything
        if isinstance(error, OSError) and error.errno in _NOT_DAMAGE:
            raise
        gone = isinstance(error, FileNotFoundError)
        what = "it is gone" if gone else f"it cannot be read ({type(error).__name__})"
        todo = todo or f"Delete `{path}` and run the same command again: it is made anew."
        msg = f"`{path}` must be as perturbloop wrote it; {what}. {todo} Nothing else is lost."
        raise StoreError(msg) from error


def sweep(folder: Path) -> None:
    """Remove what killed runs left half written; only for the holder of the campaign's lock, since others may be writing.

    Parts of a run write without the lock: what a living process of this machine, or lately one of another, writes is left alone.
    """
    for path in sorted(folder.rglob(f"*{PARTIAL}")):
        if not _is_being_written(path):
            _remove(path)


def _beside(path: Path) -> Path:
    """Where this process, and no other on any machine, writes what will become `path`."""
    return path.with_name(f"{path.name}.{os.getpid()}@{platform.node()}{PARTIAL}")


def _is_being_written(path: Path) -> bool:
    found = re.search(rf"\.(\d+)@(.*){re.escape(PARTIAL)}$", path.name)
    if not found:
        return False
    if found[2] != platform.node():
        with suppress(FileNotFoundError):
            return time.time() - path.stat().st_mtime < LATELY
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return False
    except OSError:  # it lives, and is somebody else's
        return True
    return int(found[1]) != os.getpid()


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file holds no content but the few lines by which Git LFS would find it, as in a clone made without it."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


_POINTER = b"version https://git-lfs"


def file_digest(path: Path) -> str:
    """Hash of a file's bytes, read in pieces; of a folder that of the names and bytes of all its files."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        held = [[file.relative_to(path).as_posix(), file_digest(file)] for file in files]
        return hashlib.sha256(json.dumps(held).encode()).hexdigest()[:16]
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def size_of(path: Path | str) -> int:
    """Bytes of a file, or of all files of a folder; none where there is neither."""
    path = Path(path)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def contents(path: Path) -> list[Any] | None:
    """Size in bytes and digest of a file; of a folder the size of all its files; nothing where there is none.

    What lies in a folder of models or shards carries checksums of its own, so that it need not be read for this.
    """
    if path.is_dir():
        return [size_of(path), ""]
    return [size_of(path), file_digest(path)] if path.is_file() else None


def sync(path: Path) -> None:
    """Bring a file, or the names that a folder holds, to the disk."""
    if os.name != "posix" and path.is_dir():
        return  # such systems do not open folders
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
