"""Changes of the ledger's layout, oldest first: each is applied and recorded in one transaction.

A released migration is never edited: a later change is a new function below it, and says in its name what it does.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, inspect, select

from perturbloop.errors import StoreError, some
from perturbloop.store import tables

Migration = Callable[[Connection], None]
MIGRATIONS: list[tuple[str, Migration]] = []


def migration(function: Migration) -> Migration:
    """Register a migration under its function's name."""
    MIGRATIONS.append((function.__name__, function))
    return function


@migration
def m001_first_tables(connection: Connection) -> None:
    """Make every table of version 0.1."""
    tables.metadata.create_all(connection)


def migrate(engine: Engine) -> None:
    """Apply what is missing; refuse a ledger that a newer perturbloop wrote."""
    done = _applied(engine)
    unknown = [name for name in done if name not in dict(MIGRATIONS)]
    if unknown:
        msg = f"The ledger was written by a newer perturbloop (it has {some(unknown)}). Upgrade perturbloop to open it."
        raise StoreError(msg)
    for name, function in MIGRATIONS:
        if name not in done:
            with engine.begin() as connection:
                function(connection)
                connection.execute(tables.migration.insert().values(name=name, applied=datetime.now(UTC)))


def _applied(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        if not inspect(connection).has_table("migration"):
            return []
        return list(connection.scalars(select(tables.migration.c.name)))
