"""Files that machines without a common disk hand to each other: an object store, or any place that fsspec knows.

What lies there is named by the hash of what it holds: whoever fetches a file knows that it is whole, and two machines that made
the same shard do not overwrite each other.
"""

import hashlib
import os
import platform
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from perturbloop.errors import InputError, PerturbloopError, StoreError
from perturbloop.store.files import PARTIAL, whole, write_first

AT_ONCE = 256
"""Files fetched together."""
WHOLE_BY_PUT = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"})
"""Protocols under which a name appears with all that it holds, or not at all."""
PACKAGES = {
    "s3": "perturbloop[s3]",
    "s3a": "perturbloop[s3]",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
}
"""What is installed for a protocol; others are named by fsspec."""
MARK = "perturbloop"
"""Name of the file by which a place was tried."""


def shown(url: str) -> str:
    """Address without a password or query, to be told and logged.

    >>> shown("ftp://lab:secret@host/place?key=x"), shown("s3://bucket/study")
    ('ftp://lab:…@host/place', 's3://bucket/study')
    """
    return re.sub(r"(://[^/@:]*:)[^@]*@", r"\1…@", url.partition("?")[0])


class Remote:
    """A place beside the disk of this machine, and the folder whose files go there under the same names."""

    def __init__(self, url: str, home: Path) -> None:
        """Open it, and try whether it may be written and read, before any work.

        Parameters
        ----------
        url
            Where the files go: s3://BUCKET/NAME, or what else fsspec knows; a path of this machine as well.
        home
            Folder of this machine; a file of it keeps its name below.

        Raises
        ------
        InputError
            If no package speaks the protocol, or the place may not be written and read.
        """
        self.url, self.home = url, home
        self.fs, self.root = _opened(url)
        try:
            self._put(f"{self.root}/{MARK}", b"Shards of perturbloop, named by their hashes.\n")
            self.fs.cat_file(f"{self.root}/{MARK}")
        except Exception as error:  # each protocol has errors of its own
            msg = (
                f"`--store` needs a place that may be written and read; {shown(url)!r} may not ({_said(error)}). Correct the address, make the "
                "bucket, or give this machine the credentials for it."
            )
            raise InputError(msg) from error

    def meet(self, paths: Iterable[Path], label: str) -> None:
        """Fetch of these files what is there and not here, and send what is here and not there; files that are not whole are left.

        Parameters
        ----------
        paths
            Files of one folder of this machine.
        label
            Hash of what the files are shards of; those of others are not taken.
        """
        wanted = {path.stem: path for path in paths}
        if not wanted:
            return
        with self._reached():
            there = self._names(self._folder(next(iter(wanted.values())), label))
        missing = [name for name in there if (path := wanted.get(_stem(name))) and not path.is_file()]
        for start in range(0, len(missing), AT_ONCE):
            with self._reached():
                found = self.fs.cat(missing[start : start + AT_ONCE], on_error="return")
            for name, held in found.items():
                if isinstance(held, bytes) and _digest(held) == _digest_of(name):
                    with whole(wanted[_stem(name)]) as beside:
                        beside.write_bytes(held)
        known = {_stem(name) for name in there}
        for stem, path in wanted.items():
            if stem not in known and path.is_file():
                self.send(path, label)

    def send(self, path: Path, label: str) -> None:
        """Put a file of this machine there.

        Parameters
        ----------
        path, label
            As of `meet`.
        """
        held = path.read_bytes()
        with self._reached():
            self._put(f"{self._folder(path, label)}/{path.stem}-{_digest(held)}{path.suffix}", held)

    def first(self, path: Path, text: str) -> str:
        """Text of a file that all machines share: what the first of them wrote there, which may be this one."""
        name = f"{self._folder(path)}/{path.name}"
        with self._reached():
            if "file" in self.protocols:
                write_first(Path(name), text)
            elif not self.fs.exists(name):
                with suppress(FileExistsError):
                    self.fs.pipe_file(name, text.encode(), mode="create")
            return str(self.fs.cat_file(name).decode())

    @property
    def protocols(self) -> tuple[str, ...]:
        """Names of the protocol."""
        named = self.fs.protocol
        return (named,) if isinstance(named, str) else tuple(named)

    def _folder(self, path: Path, label: str = "") -> str:
        return "/".join(
            part for part in (self.root, path.parent.relative_to(self.home).as_posix(), label) if part
        )

    def _names(self, folder: str) -> list[str]:
        self.fs.invalidate_cache()  # others write there
        try:
            return sorted(name for name in self.fs.ls(folder, detail=False) if not name.endswith(PARTIAL))
        except FileNotFoundError:
            return []

    def _put(self, name: str, held: bytes) -> None:
        if WHOLE_BY_PUT.intersection(self.protocols):
            self.fs.pipe_file(name, held)
            return
        self.fs.makedirs(name.rpartition("/")[0], exist_ok=True)
        beside = f"{name}.{os.getpid()}@{platform.node()}{PARTIAL}"
        self.fs.pipe_file(beside, held)
        self.fs.mv(beside, name)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Say what to do where the place cannot be reached in the middle of the work."""
        try:
            yield
        except PerturbloopError:
            raise
        except Exception as error:  # each protocol has errors of its own
            msg = (
                f"The place of `--store`, {shown(self.url)!r}, was reached before and is not now ({_said(error)}). Run the same command again: what "
                "was made is kept in the campaign's folder, and sent then."
            )
            raise StoreError(msg) from error


def _opened(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    protocol = url.partition("://")[0] if "://" in url else ""
    try:
        fs, root = url_to_fs(url)
    except ImportError as error:
        package = PACKAGES.get(protocol)
        todo = f"Run `pip install '{package}'`" if package else "Install what it names"
        msg = f"`--store {shown(url)}` needs a package that is not installed ({error}). {todo}, or give a place of another kind."
        raise InputError(msg) from error
    except Exception as error:
        msg = (
            f"`--store` takes an address that fsspec knows, such as s3://BUCKET/study, or a path; {shown(url)!r} came ({_said(error)}). "
            "Correct it."
        )
        raise InputError(msg) from error
    return fs, root.rstrip("/")


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition("-")[0]


def _digest_of(name: str) -> str:
    return name.rpartition("-")[2].partition(".")[0]


def _digest(held: bytes) -> str:
    return hashlib.sha256(held).hexdigest()[:16]
