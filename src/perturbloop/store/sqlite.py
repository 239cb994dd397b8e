"""SQLite itself: how a ledger's file is made, opened, copied and waited for."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, final

from sqlalchemy import Connection, Engine, NullPool, create_engine, event

from perturbloop.errors import StoreError
from perturbloop.store.database import Database, Rows, memory, put, read_only, rows_of, taken
from perturbloop.store.files import plain_mode, sync
from perturbloop.store.migrations import migrate

BUSY_SECONDS = 20
"""How long a statement waits for another process's transaction."""


@final
class Sqlite(Database):
    """One SQLite file in the campaign's folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def open(self, *, writes: bool) -> Engine:
        """Open the file, or copy it into memory, which needs no permission to write."""
        if not self._path.is_file():
            msg = (
                f"There is no campaign ledger at `{self}`. Restore it from a copy, make a campaign with `perturbloop init`, or correct "
                "the path."
            )
            raise StoreError(msg)
        with self.spoken():
            engine = connect(self._path) if writes else snapshot(self._path)
        try:
            with self.spoken(), engine.connect() as connection:
                state = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if state != "ok":
                raise StoreError(self.damaged(state))
            with self.spoken():
                migrate(engine)
                return engine if writes else read_only(engine)
        except BaseException:
            engine.dispose()
            raise

    def fill(self, rows: Rows, *, over: Callable[[Rows], bool]) -> None:
        """Make the file beside its place and rename it."""
        if not self.folder.is_dir():
            msg = f"The ledger needs a folder to stand in; `{self.folder}` does not exist. Make it first."
            raise StoreError(msg)
        if self._path.exists():
            self._require_over(over)
        beside = self._path.with_name(self._path.name + ".new")
        beside.unlink(missing_ok=True)
        with self.spoken():
            engine = connect(beside)
            with engine.begin() as connection:
                put(connection, rows, self)
            beside.chmod(plain_mode(self.folder))  # SQLite asks for permissions of its own
            engine.dispose()
        for end in ("-wal", "-shm"):  # of the file that goes: SQLite would read them into the new one
            self._path.with_name(self._path.name + end).unlink(missing_ok=True)
        beside.replace(self._path)
        sync(self.folder)

    def _require_over(self, over: Callable[[Rows], bool]) -> None:
        engine = self.open(writes=False)
        with self.spoken(), engine.connect() as connection:
            old = rows_of(connection)
        engine.dispose()
        if not over(old):
            raise taken(self, old)

    def hold(self, engine: Engine) -> None:
        """Do nothing: whoever sees the file sees the lock of its folder."""

    def require_known(self, created: datetime) -> None:
        """Do nothing: the file stands in the folder."""

    def restore(self) -> str:
        """Say how to get the file back."""
        return "Restore it from a copy"


def snapshot(path: Path) -> Engine:
    """Copy the ledger into memory; where its folder is read-only, SQLite must be told that nobody writes."""
    copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    place = path.resolve().as_uri()
    modes = ["rw", "ro"] + ["ro&immutable=1"] * (not path.with_name(f"{path.name}-wal").exists())
    for mode in modes:
        try:
            with closing(sqlite3.connect(f"{place}?mode={mode}", uri=True, timeout=BUSY_SECONDS)) as source:
                source.backup(copy)
            break
        except sqlite3.Error as error:
            if not isinstance(error, sqlite3.OperationalError) or mode == modes[-1]:
                copy.close()
                raise
    return memory(copy)


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
