"""Files that came from a browser: bounded, unpacked nowhere, under names that the server made, gone after an hour or with it."""

import contextlib
import gzip
import hashlib
import re
import secrets
import shutil
import tempfile
import threading
import time
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from perturbloop.errors import InputError, printable

MOST_BYTES = 128 << 20
"""Most bytes of a table, once it is unpacked: six times one of 20,000 genes and a hundred columns."""
MOST_RATIO, RATIO_FROM, MOST_PARTS = 200, 4 << 20, 2000
"""How many times its size a workbook may unpack to, from which unpacked size on, and how many parts it may have."""
KEPT, SECONDS = 16, 3600.0
"""How many files are kept at once, and how long."""
MOST_LINES, MOST_COLUMNS, MOST_CELLS = 2_000_000, 2000, 10_000_000
"""Lines and columns of a text table, and how many cells they make together: 500 columns of 20,000 genes."""
ENDINGS = ("csv", "tsv", "txt", "tab", "rnk", "xlsx", "xlsm")
"""Endings that are kept, since the readers go by them; any other is read as text."""
NOT_TABLES = {
    "xls": "Save it as .xlsx, or as CSV.",
    **dict.fromkeys(
        ("h5ad", "h5", "zarr"),
        "Cells are recorded with `perturbloop record --perturbed` on the machine itself.",
    ),
}
"""Endings of files that no page reads, and what to do instead."""
CHUNK = 1 << 20
_ID = re.compile(r"[A-Za-z0-9_-]{20,40}")
_ON_THE_MACHINE = "Record a larger file with `perturbloop record` on the machine itself."


@runtime_checkable
class Readable(Protocol):
    """What bytes are read from, piece by piece."""

    def read(self, size: int = -1, /) -> bytes:
        """Next bytes; none at the end."""
        ...


@dataclass(frozen=True)
class Upload:
    """A file that came."""

    id: str
    """What the page calls it; nobody else can guess it."""
    path: Path
    """Where it lies, under a name of the server's own."""
    name: str
    """What its sender calls it: shown, never opened."""
    size: int
    digest: str
    """SHA-256 of its content."""
    came: float
    """When, by a clock that only goes forward."""
    kept: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was understood of it."""

    @property
    def stem(self) -> str:
        """Its name without endings, as a screen is called by default."""
        bare = self.name.removesuffix(".gz")
        return (bare.rpartition(".")[0] or bare)[:80] or "screen"

    def named(self, text: str) -> str:
        """Text in which the file is called as its sender calls it."""
        return text.replace(str(self.path), self.name).replace(self.path.name, self.name)


class Uploads:
    """Files that await to be confirmed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Upload] = {}
        self._folder: Path | None = None

    def keep(self, file: Readable, name: str) -> Upload:
        """Keep a file, or refuse it.

        Parameters
        ----------
        file
            Its content.
        name
            What its sender calls it.

        Raises
        ------
        InputError
            If it is no table by its name, empty, too large, or unpacks to too much.
        """
        shown = shown_name(name)
        require_table(shown)
        made = secrets.token_urlsafe(18)
        with self._lock:
            self._sweep()
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="perturbloop-"))  # for this user alone
            path = self._folder / f"{made.strip('-')}{ending_of(shown)}"
        try:
            size, digest = _copied(file, path)
            require_harmless(path, shown)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        upload = Upload(made, path, shown, size, digest, time.monotonic())
        with self._lock:
            self._held[made] = upload
        return upload

    def find(self, name: str) -> Upload | None:
        """The file of this id, if it is still kept."""
        with self._lock:
            self._sweep()
            return self._held.get(name) if _ID.fullmatch(name) else None

    def drop(self, upload: Upload) -> None:
        """Forget a file."""
        with self._lock:
            self._held.pop(upload.id, None)
            upload.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Forget all."""
        with self._lock:
            self._held.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _sweep(self) -> None:
        """Forget what is too old, and the oldest where there are too many."""
        now = time.monotonic()
        order = sorted(self._held.values(), key=lambda one: one.came)
        for one in order[: max(0, len(order) - KEPT + 1)] + [
            one for one in order if now - one.came > SECONDS
        ]:
            self._held.pop(one.id, None)
            one.path.unlink(missing_ok=True)


def shown_name(name: str) -> str:
    """Last part of what a sender calls a file, without control characters.

    >>> shown_name("C:\\\\data\\\\il2.csv"), shown_name("../../etc/passwd"), shown_name("")
    ('il2.csv', 'passwd', 'upload')
    """
    last = re.split(r"[\\/]", printable(name))[-1].strip()
    return last[-120:] or "upload"


def ending_of(name: str) -> str:
    """Ending that a file is kept under.

    >>> ending_of("a.csv.gz"), ending_of("a.gene_summary"), ending_of("A.XLSX"), ending_of("x.exe.gz")
    ('.csv.gz', '.txt', '.xlsx', '.txt.gz')
    """
    lower = name.lower()
    packed = ".gz" if lower.endswith(".gz") else ""
    last = lower.removesuffix(".gz").rpartition(".")[2]
    return f".{last if last in ENDINGS else 'txt'}{packed}"


def require_table(name: str) -> None:
    """Refuse by its name what no page reads, before it is copied.

    Parameters
    ----------
    name
        What its sender calls it.
    """
    ending = name.lower().removesuffix(".gz").rpartition(".")[2]
    if ending in NOT_TABLES:
        msg = f"A table is needed, as text or .xlsx; '{name}' ends with .{ending}. {NOT_TABLES[ending]}"
        raise InputError(msg)


def require_harmless(path: Path, name: str) -> None:
    """Refuse a file that unpacks to more than a table holds, before anything reads it.

    Parameters
    ----------
    path
        Where it lies.
    name
        What its sender calls it, for the message.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04" or path.suffix in (".xlsx", ".xlsm"):
        _require_small_zip(path, name)
    else:
        _require_small_text(path, name, packed=start[:2] == b"\x1f\x8b")


def _require_small_text(path: Path, name: str, *, packed: bool) -> None:
    """Go through it piece by piece, keep nothing, and stop where it grows too large."""
    counted = _Counted(name)
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            while piece := file.read(CHUNK):
                counted.add(piece)
        counted.add(b"\n")
    except (OSError, EOFError, zlib.error) as error:
        msg = f"'{name}' must be a whole gzipped file; it cannot be unpacked: {error}. Pack it again."
        raise InputError(msg) from None


@dataclass
class _Counted:
    """Size of a text table: each row of it has as many cells as the longest."""

    name: str
    size: int = 0
    lines: int = 0
    columns: int = 1
    begun: tuple[int, ...] = (0, 0, 0)
    """Separators so far of the line that has no end yet."""

    def add(self, piece: bytes) -> None:
        """Count a piece, and refuse a table that is too large so far."""
        self.size += len(piece)
        first, *others = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self.begun = tuple(a + b for a, b in zip(self.begun, _separators(first), strict=True))
        self.columns = max(self.columns, 1 + max(self.begun))
        for line in others:
            if len(line) >= self.columns:  # a shorter one cannot have more
                self.columns = max(self.columns, 1 + max(_separators(line)))
        if others:
            self.lines, self.begun = self.lines + len(others), _separators(others[-1])
        if self.size > MOST_BYTES:
            raise _too_large(self.name)
        if self.lines > MOST_LINES or self.columns > MOST_COLUMNS or self.lines * self.columns > MOST_CELLS:
            msg = (
                f"'{self.name}' must hold at most {MOST_LINES:,} lines, {MOST_COLUMNS:,} columns and {MOST_CELLS:,} cells; it holds more. "
                f"Keep the rows and columns that are needed. {_ON_THE_MACHINE}"
            )
            raise InputError(msg)


def _separators(line: bytes) -> tuple[int, ...]:
    return tuple(map(line.count, (b"\t", b",", b";")))


def _require_small_zip(path: Path, name: str) -> None:
    """By the sizes that it declares: what reads it stops at these."""
    try:
        with zipfile.ZipFile(path) as packed:
            parts = packed.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        msg = f"'{name}' must be a workbook; it cannot be read: {error}. Save it again as .xlsx, or as CSV."
        raise InputError(msg) from None
    total = sum(one.file_size for one in parts)
    swells = total > RATIO_FROM and total > MOST_RATIO * path.stat().st_size
    if total > MOST_BYTES or swells or len(parts) > MOST_PARTS:
        raise _too_large(name)


def _too_large(name: str) -> InputError:
    return InputError(
        f"'{name}' must hold at most {MOST_BYTES >> 20:,} MB once it is unpacked; it holds more. Keep the rows and columns that are "
        f"needed. {_ON_THE_MACHINE}"
    )


def _copied(file: Readable, path: Path) -> tuple[int, str]:
    """Write a file; its size and digest."""
    size, hasher = 0, hashlib.sha256()
    with path.open("xb") as kept:
        while piece := file.read(CHUNK):
            size += len(piece)
            if size > MOST_BYTES:
                msg = f"A table of at most {MOST_BYTES >> 20:,} MB can be uploaded; this one is larger. {_ON_THE_MACHINE}"
                raise InputError(msg)
            hasher.update(piece)
            kept.write(piece)
    if not size:
        msg = "A file is needed; an empty one came. Choose another."
        raise InputError(msg)
    return size, hasher.hexdigest()


def place_of(upload: Upload, folder: Path) -> Path:
    """Where a confirmed file lies in a campaign, which remembers it: `uploads/`, by the hash of its content.

    Parameters
    ----------
    upload
        The file.
    folder
        Campaign folder.
    """
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", upload.stem).strip("-.") or "table"
    return folder.resolve() / "uploads" / f"{upload.digest[:16]}-{stem[:60]}{ending_of(upload.name)}"


def keep_for_good(upload: Upload, place: Path) -> None:
    """Copy a confirmed file to where it lies from now on.

    Parameters
    ----------
    upload
        The file.
    place
        `place_of` it.
    """
    place.parent.mkdir(exist_ok=True)
    beside = place.with_name(f"{place.name}.partial")
    shutil.copyfile(upload.path, beside)
    beside.replace(place)


def let_go(place: Path) -> None:
    """Take back a kept file that was refused."""
    with contextlib.suppress(OSError):
        place.unlink(missing_ok=True)
