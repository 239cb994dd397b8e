"""Which database holds the ledger of a campaign, and how it is made and opened.

It is the file `campaign.sqlite` of the folder, unless the folder's `ledger.toml` names a database.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomlkit

from perturbloop.errors import StoreError
from perturbloop.store.database import Database, Rows
from perturbloop.store.files import sync, write_text
from perturbloop.store.postgres import Postgres
from perturbloop.store.sql import SqlStore
from perturbloop.store.sqlite import Sqlite

LEDGER_FILE = "campaign.sqlite"
ADDRESS_FILE = "ledger.toml"
_LEAD = "The ledger of this campaign is in a database. No password belongs here: see ~/.pgpass or PGPASSWORD."


def ledger_of(folder: Path) -> Database:
    """Return the database that holds the ledger of a campaign folder."""
    path = folder / ADDRESS_FILE
    if not path.is_file():
        return Sqlite(folder / LEDGER_FILE)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        url, created = tree["url"], tree.get("created")
        if not isinstance(url, str) or not isinstance(created, datetime | None):
            raise TypeError("`url` must be a text, `created` a time")  # noqa: EM101
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        msg = (
            f'`{path}` must say where the ledger is: url = "postgresql://HOST/DATABASE"; it cannot be read: {error}. Correct it, '
            f"or delete it if the ledger is the folder's `{LEDGER_FILE}`."
        )
        raise StoreError(msg) from error
    return Postgres(url, folder, created and created.astimezone(UTC))


def ledger_at(folder: Path, place: str) -> Database:
    """Return the database that a user names for the ledger of a folder: `sqlite`, a file of the folder, or postgresql://…"""
    if place == "sqlite":
        return Sqlite(folder / LEDGER_FILE)
    return Postgres(place, folder)


def settle(folder: Path, place: Database, created: datetime) -> None:
    """Write down, or take back, where the ledger of a folder is.

    Parameters
    ----------
    folder
        Campaign folder.
    place
        Database that holds its ledger.
    created
        When the campaign was made: a ledger of another is refused later.
    """
    path = folder / ADDRESS_FILE
    if isinstance(place, Sqlite):
        path.unlink(missing_ok=True)
        sync(folder)
        return
    document = tomlkit.document()
    document.add(tomlkit.comment(_LEAD))
    document.update({"url": str(place), "created": created})
    write_text(path, tomlkit.dumps(document))


def require_free(folder: Path, place: str) -> None:
    """Refuse, before any work, a place for the ledger of a new campaign that cannot be reached or holds a campaign."""
    database = ledger_at(folder, place)
    if isinstance(database, Postgres):
        database.require_free(_is_left_over)


def create_ledger(folder: Path, place: str, *, config: Mapping[str, Any], package_version: str) -> None:
    """Make the ledger of a new campaign folder, and let the folder name it.

    Parameters
    ----------
    folder
        Campaign folder, which gives its name.
    place
        `sqlite` or postgresql://…; see `ledger_at`.
    config, package_version
        As in `create_store`.
    """
    database = ledger_at(folder, place)
    with create_store(
        database, name=folder.name, config=config, package_version=package_version, again=True
    ) as store:
        settle(folder, database, store.campaign().created)


def create_store(
    place: Database | Path, *, name: str, config: Mapping[str, Any], package_version: str, again: bool = False
) -> SqlStore:
    """Make the ledger of a new campaign and open it; it is whole or not there.

    Parameters
    ----------
    place
        Database to make it in, or SQLite file to make, in a folder that exists.
    name
        Name of the campaign.
    config
        `CampaignConfig.to_dict()`.
    package_version
        Version of perturbloop that makes it.
    again
        Whether it may replace a ledger in which nothing is recorded yet, as a killed `init` leaves one.

    Raises
    ------
    StoreError
        If there is a ledger already, its folder is missing, or the place may not be written to.
    """
    database = _database(place)
    row = {
        "name": name,
        "created": datetime.now(UTC),
        "package_version": package_version,
        "config": dict(config),
        "moved_to": None,
    }
    database.fill({"campaign": [row]}, over=_is_left_over if again else lambda _: False)
    return open_store(database)


def open_store(place: Database | Path, *, writes: bool = True) -> SqlStore:
    """Open the ledger of a campaign.

    Parameters
    ----------
    place
        The database, or the SQLite file.
    writes
        Whether it will be written to. Otherwise the ledger as it is now is copied into memory, which needs no permission to
        write; an older layout is brought up to date there alone.

    Raises
    ------
    StoreError
        If it is missing, damaged, no ledger, cannot be reached, was moved, was written by a newer perturbloop, is that of
        another campaign, or was changed by hand where it must not be.
    """
    store = open_moved(place, writes=writes)
    try:
        require_here(store, _database(place))
    except BaseException:
        store.close()
        raise
    return store


def open_moved(place: Database | Path, *, writes: bool = True) -> SqlStore:
    """Open a ledger as `open_store` does, even one that was moved away."""
    database = _database(place)
    store = SqlStore(database.open(writes=writes), database)
    try:
        database.require_known(store.campaign().created)
        store.targets()
    except BaseException:
        store.close()
        raise
    return store


def require_here(store: SqlStore, place: Database) -> None:
    """Refuse a ledger that was moved away."""
    moved_to = store.moved_to()
    if moved_to is not None:
        msg = (
            f"The ledger of this campaign was moved from `{place}` to `{moved_to}`. Work in the folder as the others have it now; if "
            f"this is that folder, the move was cut off: type the `perturbloop store copy` again that began it (`--to "
            f"{moved_to if '://' in moved_to else 'sqlite'}`)."
        )
        raise StoreError(msg)


def _is_left_over(rows: Rows) -> bool:
    """Whether nothing is recorded in a ledger but its campaign."""
    return not any(found for name, found in rows.items() if name != "campaign") and not any(
        row["moved_to"] for row in rows["campaign"]
    )


def _database(place: Database | Path) -> Database:
    return Sqlite(place) if isinstance(place, Path) else place
