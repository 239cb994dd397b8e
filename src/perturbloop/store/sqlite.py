"""SQLite itself: how a ledger's file is opened, copied and waited for, and its errors in words."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from sqlalchemy import Connection, Engine, NullPool, StaticPool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from perturbloop.errors import StoreError
from perturbloop.store.base import Campaign, Input, Round, Step, Target

Noun = TypeVar("Noun", Campaign, Round, Input, Step, Target)

BUSY_SECONDS = 20
"""How long a statement waits for another process's transaction."""


def snapshot(path: Path) -> Engine:
    """Copy the ledger into memory; where its folder is read-only, SQLite must be told that nobody writes."""
    memory = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    place = path.resolve().as_uri()
    modes = ["rw", "ro"] + ["ro&immutable=1"] * (not path.with_name(f"{path.name}-wal").exists())
    for mode in modes:
        try:
            with closing(sqlite3.connect(f"{place}?mode={mode}", uri=True, timeout=BUSY_SECONDS)) as source:
                source.backup(memory)
            break
        except sqlite3.Error as error:
            if not isinstance(error, sqlite3.OperationalError) or mode == modes[-1]:
                memory.close()
                raise
    return create_engine("sqlite://", creator=lambda: memory, poolclass=StaticPool)


def connect(path: Path) -> Engine:
    """Connect to SQLite: foreign keys, write-ahead log, busy timeout, and transactions that hold table changes too."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _settings(raw: Any, _: Any) -> None:
        raw.isolation_level = None  # sqlite3 would begin by itself, and not for table changes
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


_OF_ROWS = (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError)
"""What SQLAlchemy and JSON raise where a cell of the ledger does not hold what it should."""


@contextmanager
def spoken(path: Path) -> Iterator[None]:
    """Turn the database's errors into one that says which file, what came and what to do."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, *_OF_ROWS) as error:
        cause = getattr(error, "orig", None) or error
        code = str(getattr(cause, "sqlite_errorname", ""))
        said = next((said for start, said in _SAID.items() if code.startswith(start)), None)
        msg = damaged(path, cause) if said is None else f"The ledger `{path}` {said}"
        raise StoreError(msg) from error


_SAID = {
    "SQLITE_BUSY": "is busy: another process is writing to it. Wait until it ends and try again.",
    "SQLITE_LOCKED": "is busy: another process is writing to it. Wait until it ends and try again.",
    "SQLITE_FULL": "needs room: the disk is full. Make room and run the same command again; nothing is lost.",
    "SQLITE_READONLY": "may not be written to by this user. Ask its owner for permission, or work in a copy; nothing is lost.",
    "SQLITE_CANTOPEN": (
        "cannot be opened: this user may not read it or write beside it, or too many files are open. Ask its owner for "
        "permission, or close other programs; nothing is lost."
    ),
    "SQLITE_IOERR": "cannot be read or written: the disk refuses or is full. Make room, or check it, and run the same command again; nothing is lost.",
}
"""What is no damage, by the start of SQLite's name of the error."""


def damaged(path: Path, state: object) -> str:
    """Say that a ledger cannot be used, and what to do."""
    return (
        f"The campaign ledger `{path}` cannot be used: {state}. Restore it from a copy, or start the campaign anew "
        "with `perturbloop init` in another folder; finished tables in `rounds/` stay readable."
    )


def noun(kind: type[Noun], row: Mapping[Any, Any]) -> Noun:
    """Build a noun from a row whose cells hold what its fields say; SQLite itself takes anything anywhere."""
    cells = {name: row[name] for name in get_type_hints(kind)}
    for name, hint in get_type_hints(kind).items():
        _require_type(cells[name], hint, name)
    return kind(**cells)


def _require_type(value: Any, hint: Any, name: str) -> None:
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        fits = value in parts
    elif isinstance(hint, UnionType):
        fits = isinstance(value, parts)
    else:
        fits = isinstance(value, get_origin(hint) or hint)
    if fits and isinstance(value, dict) and parts[1] is not Any:
        for item in value.values():
            _require_type(item, parts[1], name)
    if not fits:
        msg = f"a cell of `{name}` holds {value!r}"
        raise ValueError(msg)
