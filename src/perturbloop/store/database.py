"""Where the tables of a ledger stand: what every database can do, and its rows as a whole."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, StaticPool, String, create_engine, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from perturbloop.errors import StoreError, some
from perturbloop.store import tables
from perturbloop.store.migrations import make, migrate

Rows = Mapping[str, list[dict[str, Any]]]
"""Every row of a ledger, by table; the migrations are left out."""
_OF_ROWS = (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError)
"""What SQLAlchemy and JSON raise where a cell of the ledger does not hold what it should."""


class Database(ABC):
    """A place for one ledger; as text it is what messages call it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Campaign folder: what paths of the ledger are relative to."""

    @abstractmethod
    def open(self, *, writes: bool) -> Engine:
        """Open the ledger that is here, in today's layout; without `writes` as a copy in memory that takes nothing.

        Raises
        ------
        StoreError
            If it is missing, damaged, no ledger, written by a newer perturbloop, or cannot be reached.
        """

    @abstractmethod
    def fill(self, rows: Rows, *, over: Callable[[Rows], bool]) -> None:
        """Make a ledger of these rows, whole or not at all; one that is here is replaced where `over` says so of its rows.

        Raises
        ------
        StoreError
            If there is a ledger already, the place cannot be written to, or the rows did not arrive as they are.
        """

    @abstractmethod
    def hold(self, engine: Engine) -> None:
        """Keep other machines out until the engine is disposed of, or its process ends, however it ends."""

    @abstractmethod
    def require_known(self, created: datetime) -> None:
        """Refuse a campaign that is another than the folder's, by the time when it was made."""

    @abstractmethod
    def restore(self) -> str:
        """Say how to get a damaged ledger back, up to the full stop."""

    def said(self, cause: BaseException) -> str | None:
        """Say what is no damage, after the ledger's name; nothing where it is damage."""
        code = str(getattr(cause, "sqlite_errorname", ""))
        return next((said for start, said in _SAID.items() if code.startswith(start)), None)

    def damaged(self, state: object) -> str:
        """Say that the ledger cannot be used, and what to do."""
        return (
            f"The campaign ledger `{self}` cannot be used: {state}. {self.restore()}, or start the campaign anew "
            "with `perturbloop init` in another folder; finished tables in `rounds/` stay readable."
        )

    @contextmanager
    def spoken(self) -> Iterator[None]:
        """Turn the database's errors into one that says which ledger, what came and what to do."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, *_OF_ROWS) as error:
            cause = getattr(error, "orig", None) or error
            said = self.said(cause)
            msg = self.damaged(cause) if said is None else f"The ledger `{self}` {said}"
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
_HELD = [table for table in tables.metadata.sorted_tables if table is not tables.migration]
"""Tables whose rows make a ledger, each after those that it points to."""


def rows_of(connection: Connection) -> Rows:
    """Every row of a ledger of today's layout, by table, in the order of the keys."""
    return {
        table.name: [
            dict(row)
            for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
        ]
        for table in _HELD
    }


def put(connection: Connection, rows: Rows, place: Database) -> None:
    """Make the tables, write the rows, read them back and compare.

    Parameters
    ----------
    connection
        Connection in a transaction, which an error undoes.
    rows
        Every row of the ledger, by table.
    place
        Database, for messages.
    """
    make(connection)
    for table in _HELD:
        if rows.get(table.name):
            connection.execute(table.insert(), rows[table.name])
    found = rows_of(connection)
    wrong = [
        f"{name}: {len(rows.get(name, []))} rows sent, {len(came)} came"
        for name, came in found.items()
        if came != rows.get(name, [])
    ]
    if wrong:
        msg = f"`{place}` must hold every row as it was sent; these tables differ: {some(wrong)}. Nothing was changed there."
        raise StoreError(msg)


def in_memory(connection: Connection) -> Engine:
    """Copy the ledger of a connection, of any layout that is known, into memory and bring it up to date there."""
    there = MetaData()
    known = set(inspect(connection).get_table_names())
    there.reflect(connection, only=[name for name in tables.metadata.tables if name in known])
    engine = memory(sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None))
    for table in there.tables.values():
        for column in table.columns:
            column.type, column.server_default = column.type.as_generic(), None
            if isinstance(column.type, String):
                column.type.collation = None
    with engine.begin() as copy:
        there.create_all(copy)
        for table in there.sorted_tables:
            if rows := [dict(row) for row in connection.execute(select(table)).mappings()]:
                copy.execute(table.insert(), rows)
    migrate(engine)
    return engine


def memory(raw: sqlite3.Connection) -> Engine:
    """Engine of a database in memory."""
    return create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)


def read_only(engine: Engine) -> Engine:
    """Let a database in memory take nothing more."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    return engine


def taken(place: Database, rows: Rows) -> StoreError:
    """Say that a place holds a ledger already."""
    names = ", ".join(
        f"`{row['name']}`, made {row['created']:%Y-%m-%d %H:%M} UTC" for row in rows["campaign"]
    )
    msg = (
        f"There is a campaign at `{place}` already: {names}. Go on with it by `perturbloop play` in its folder, or name another "
        "place for this one."
    )
    return StoreError(msg)
