"""Changes of the ledger's layout, oldest first: each is applied and recorded in one transaction.

A released migration is never edited: a later change is a new function below it, and says in its name what it does.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, MetaData, Table, and_, inspect, select

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


@migration
def m002_scores_by_rule_and_targets(connection: Connection) -> None:
    """Let a metric have several rows: one per rule of a call and per set of targets; a row is known by its place."""
    old = Table("score", MetaData(), autoload_with=connection)
    if "targets" in old.columns:  # made just now
        return
    rows = [dict(row) for row in connection.execute(select(old)).mappings()]
    old.drop(connection)
    tables.score.create(connection)
    added = {"interval": "bootstrap", "declared": True, "targets": "held-out"}
    if rows:
        connection.execute(tables.score.insert(), [row | added for row in rows])


@migration
def m003_order_and_contents(connection: Connection) -> None:
    """Order steps and inputs by a rising number, since clocks are set back, and keep what outputs held."""
    added = {
        "step": {"contents": "JSON NOT NULL DEFAULT '{}'", "place": "INTEGER NOT NULL DEFAULT 0"},
        "input": {"place": "INTEGER NOT NULL DEFAULT 0"},
    }
    order = {"step": ("round", "started", "name"), "input": ("added", "path")}
    for name, columns in added.items():
        known = {column["name"] for column in inspect(connection).get_columns(name)}
        if known.issuperset(columns):  # made just now
            continue
        for column, kind in columns.items():
            connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {column} {kind}")
        table = Table(name, MetaData(), autoload_with=connection)
        keys = list(table.primary_key)
        rows = connection.execute(select(*keys).order_by(*(table.c[one] for one in order[name]))).all()
        for place, row in enumerate(rows):
            found = and_(*(key == value for key, value in zip(keys, row, strict=True)))
            connection.execute(table.update().where(found).values(place=place))


@migration
def m004_flags_of_proposals(connection: Connection) -> None:
    """Keep the caution flags of a proposed gene."""
    if "flags" not in {column["name"] for column in inspect(connection).get_columns("proposal")}:
        connection.exec_driver_sql("ALTER TABLE proposal ADD COLUMN flags TEXT NOT NULL DEFAULT ''")


@migration
def m005_trials(connection: Connection) -> None:
    """Keep what was expected of a proposed gene, and what became of the genes that were taken into a batch."""
    known = {column["name"] for column in inspect(connection).get_columns("proposal")}
    for name in ("probability", "ci_low", "ci_high", "shift"):
        if name not in known:
            connection.exec_driver_sql(f"ALTER TABLE proposal ADD COLUMN {name} FLOAT")
    tables.trial.create(connection, checkfirst=True)


@migration
def m006_chief_reason(connection: Connection) -> None:
    """Keep the chief reason of a proposed gene."""
    if "because" not in {column["name"] for column in inspect(connection).get_columns("proposal")}:
        connection.exec_driver_sql("ALTER TABLE proposal ADD COLUMN because TEXT NOT NULL DEFAULT ''")


@migration
def m007_moved_ledgers(connection: Connection) -> None:
    """Keep where a ledger was moved to, for whoever still opens it here."""
    if "moved_to" not in {column["name"] for column in inspect(connection).get_columns("campaign")}:
        connection.exec_driver_sql("ALTER TABLE campaign ADD COLUMN moved_to TEXT")


def make(connection: Connection) -> None:
    """Make the tables of today where there are none."""
    for name, function in MIGRATIONS:
        function(connection)
        _note(connection, name)


def pending(engine: Engine) -> list[str]:
    """Names of what is missing, oldest first; a ledger that a newer perturbloop wrote is refused."""
    with engine.connect() as connection:
        done = _applied(connection)
    unknown = [name for name in done if name not in dict(MIGRATIONS)]
    if unknown:
        msg = f"The ledger was written by a newer perturbloop (it has {some(unknown)}). Upgrade perturbloop to open it."
        raise StoreError(msg)
    return [name for name, _ in MIGRATIONS if name not in done]


def migrate(engine: Engine) -> None:
    """Apply what is missing, one transaction each."""
    for name in pending(engine):
        with engine.execution_options(writes=True, changes_layout=True).begin() as connection:
            if name not in _applied(connection):  # another process may have been first
                dict(MIGRATIONS)[name](connection)
                _note(connection, name)


def _note(connection: Connection, name: str) -> None:
    connection.execute(tables.migration.insert().values(name=name, applied=datetime.now(UTC)))


def _applied(connection: Connection) -> list[str]:
    if not inspect(connection).has_table("migration"):
        return []
    return list(connection.scalars(select(tables.migration.c.name)))
