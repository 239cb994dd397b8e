"""PostgreSQL: a ledger that several people share, and what its server refuses, in words. Needs the extra `postgres`."""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, final

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, inspect

from perturbloop.errors import StoreError, some
from perturbloop.store import tables
from perturbloop.store.address import database_exists, parsed
from perturbloop.store.database import Database, Rows, in_memory, put, read_only, rows_of, taken
from perturbloop.store.migrations import migrate, pending

BUSY_SECONDS = 20
"""How long a transaction waits for another writer's."""
_DEFAULTS = {"connect_timeout": "10", "keepalives_idle": "60", "client_encoding": "UTF8"}
_SETTINGS = "SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 6"
"""The server notices within two minutes that a machine is gone, and frees its locks."""
_WRITING = 0x7065727475726221
"""Lock of the database that every writing transaction takes first, so that they come one after the other."""
_ALONE = "LOCK TABLE migration IN ACCESS EXCLUSIVE MODE"
_BESIDE = "LOCK TABLE migration IN ACCESS SHARE MODE"
"""Who changes the layout waits for readers, and they for it: a snapshot of before would not see the rows of tables made anew."""
_HOLDING = "'campaign'::regclass::oid::bigint"
"""Lock of the one process that works in a campaign; it ends with its connection."""
_HOLDER = f"""
SELECT usename || ', ' || application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = 0 AND objsubid = 1 AND objid::bigint = {_HOLDING}
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@final
class Postgres(Database):
    """A database of a PostgreSQL server, or the schema of it that the address names; it holds one campaign.

    Parameters
    ----------
    url
        Its address, without a password: libpq, the client's own library, finds one in PGPASSWORD or ~/.pgpass.
    folder
        Campaign folder.
    created
        When the folder's campaign was made, where that is known: a ledger of another campaign is refused.
    """

    def __init__(self, url: str, folder: Path, created: datetime | None = None) -> None:
        super().__init__(folder)
        self._parsed = parsed(url)
        self._url, self._created = url, created

    def __str__(self) -> str:
        return self._url

    @cached_property
    def _parameters(self) -> dict[str, str]:
        return (
            _DEFAULTS | {"application_name": f"perturbloop {os.getpid()} on {platform.node()}"} | self._parsed
        )

    def open(self, *, writes: bool) -> Engine:
        """Connect; to read, copy the ledger into memory, for which a user who may only read is enough.

        An older layout is brought up to date only by the one process that holds the campaign.
        """
        engine = self._engine()
        try:
            with self.spoken():
                with engine.connect() as connection:
                    if not inspect(connection).has_table("migration"):
                        raise StoreError(self.damaged("it holds no campaign"))
                if not writes:
                    return _copy(engine)
                if pending(engine):
                    self.hold(engine)
                migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        finally:
            if not writes:
                engine.dispose()
        return engine

    def require_free(self, over: Callable[[Rows], bool]) -> None:
        """Refuse what `fill` would refuse, before any work."""
        with self._connected() as engine, engine.connect() as connection:
            self._there(connection, over)

    def fill(self, rows: Rows, *, over: Callable[[Rows], bool]) -> None:
        """Make tables and rows in one transaction."""
        with self._connected() as engine, engine.execution_options(writes=True).begin() as connection:
            if self._there(connection, over):
                self._hold(connection)  # until the connection ends
                connection.exec_driver_sql(_ALONE)
                tables.metadata.drop_all(connection)
            put(connection, rows, self)

    def _there(self, connection: Connection, over: Callable[[Rows], bool]) -> bool:
        """Whether there is a ledger that may be replaced; any other is refused, and tables that are no ledger's."""
        there = set(inspect(connection).get_table_names()) & set(tables.metadata.tables)
        if there and "migration" not in there:
            msg = (
                f"A ledger needs a database, or a schema, of its own; `{self}` has tables that are none of a ledger: {some(sorted(there))}. "
                "Name another database."
            )
            raise StoreError(msg)
        if there:
            with in_memory(connection).connect() as copy:
                old = rows_of(copy)
            if old["campaign"] and not over(old):
                raise taken(self, old)
        return bool(there)

    def hold(self, engine: Engine) -> None:
        """Take the campaign's lock on the one connection; the server frees it when that ends, and no other takes its place."""
        with self.spoken(), engine.connect() as connection:
            self._hold(connection)
        event.listen(engine, "do_connect", self._lost)

    def _hold(self, connection: Connection) -> None:
        if connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_HOLDING})").scalar_one():
            return
        who = connection.exec_driver_sql(_HOLDER).scalar()
        msg = (
            f"The campaign of `{self.folder}` is busy: another process is working in it ({who or 'it has just ended'}). "
            "Nothing was changed. Wait until it ends and run the command again."
        )
        raise StoreError(msg)

    def _lost(self, *_: Any) -> NoReturn:
        msg = f"The ledger `{self}` {_LOST}"
        raise StoreError(msg)

    def require_known(self, created: datetime) -> None:
        """Refuse the ledger of another campaign."""
        if self._created is not None and created != self._created:
            msg = (
                f"`{self.folder}` needs the ledger of its campaign, made {self._created}; `{self}` holds one that was made {created}. "
                "Correct the address in the folder's `ledger.toml`, or restore the database from a copy (pg_dump)."
            )
            raise StoreError(msg)

    def restore(self) -> str:
        """Say how to get the database back."""
        return "Restore the database from a copy (pg_dump)"

    def said(self, cause: BaseException) -> str | None:
        """Say what is no damage, after the ledger's name."""
        import psycopg

        if not isinstance(cause, psycopg.Error):
            return super().said(cause)
        if cause.pgconn is not None:  # no connection came about
            return self._unreached(cause)
        state = cause.sqlstate or ("08" if isinstance(cause, psycopg.OperationalError) else "")
        return next((said for start, said in _SAID.items() if state.startswith(start)), None)

    def _unreached(self, cause: Any) -> str:
        words, database = " ".join(str(cause).split()), self._parameters.get("dbname")
        if database and not database_exists(self._parameters):
            return (
                f"needs a database `{database}`; its server has none of that name. Make it (`createdb {database}`), or correct "
                "the address."
            )
        if cause.pgconn.needs_password:
            return f"asks for a password, and none came ({words}). {_PASSWORD}"
        if cause.pgconn.used_password:
            return f"did not let this user in with the password that came ({words}). {_PASSWORD}"
        return f"cannot be reached: {words}. See whether its server runs and lets this user in, or correct the address; nothing is lost."

    @contextmanager
    def _connected(self) -> Iterator[Engine]:
        engine = self._engine()
        try:
            with self.spoken():
                yield engine
        finally:
            engine.dispose()

    def _engine(self) -> Engine:
        """One connection, made when it is first used: what holds the campaign's lock is what writes."""
        engine = create_engine(
            "postgresql+psycopg://",
            connect_args=self._parameters,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            use_native_hstore=False,
        )

        @event.listens_for(engine, "connect")
        def _settings(raw: Any, _: Any) -> None:
            raw.execute(_SETTINGS)
            raw.commit()

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            options = connection.get_execution_options()
            if options.get("writes", False):
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITING})")
            if options.get("changes_layout", False):
                connection.exec_driver_sql(_ALONE)

        return engine


def _copy(engine: Engine) -> Engine:
    """Copy the ledger as it is at one moment, between two changes of its layout."""
    with engine.execution_options(isolation_level="REPEATABLE READ").connect() as connection:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
        connection.exec_driver_sql(_BESIDE)
        return read_only(in_memory(connection))


_PASSWORD = (
    "Put the right one into ~/.pgpass (HOST:PORT:DATABASE:USER:PASSWORD, readable by you alone) or PGPASSWORD, and run the same command "
    "again."
)
_LOST = (
    "was cut off: the connection ended before this was written down. Run the same command again: the step that was under way is done "
    "again, and nothing else is lost."
)
_BUSY = "is busy: another process is writing to it. Wait until it ends and try again."
_SAID = {
    "57P": _LOST,
    "08": _LOST,
    "55P03": _BUSY,
    "40": _BUSY,
    "53": "needs room: its server has no more of disk, memory or connections. Make room there and run the same command again; nothing is lost.",
    "42501": (
        "may not be written to, or read, by this user. Ask its owner for the right to (GRANT), or for a database of your own; "
        "nothing is lost."
    ),
    "25006": "may not be written to: its server only reads, as a replica does. Name the server that writes; nothing is lost.",
    "3F000": "needs a schema, and the one that its address names does not exist. Make it (CREATE SCHEMA), or correct the address.",
}
"""What is no damage, by the start of SQLSTATE, PostgreSQL's code of the error."""
