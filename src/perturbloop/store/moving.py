"""A ledger moves from one database to another."""

import platform
from pathlib import Path

from perturbloop.errors import InputError, StoreError
from perturbloop.store.database import Database, Rows, taken
from perturbloop.store.ledger import ledger_at, ledger_of, open_moved, require_here, settle
from perturbloop.store.lock import lock
from perturbloop.store.sql import SqlStore
from perturbloop.store.sqlite import Sqlite


def move(folder: Path, to: str) -> dict[str, int]:
    """Copy the ledger of a campaign elsewhere, whole or not at all, and let the folder name the new place.

    The ledger that is left stays where it is as a copy that says where it went, and is not opened any more. Never can both be
    opened: the copy says that it is none until the ledger that is left says where it went. A move that was killed at any moment goes on
    when it is asked for again.

    Parameters
    ----------
    folder
        Campaign folder.
    to
        `sqlite`, the file of the folder, or postgresql://HOST/DATABASE.

    Returns
    -------
    Rows that were copied and compared, by table.

    Raises
    ------
    InputError
        If the ledger is there already.
    StoreError
        If another process works in the campaign, the place holds another ledger or cannot be reached, or a row did not
        arrive as it was.
    """
    with lock(folder):
        source, target = ledger_of(folder), ledger_at(folder, to)
        if str(source) == str(target):
            msg = f"The ledger must move to another place; it is at `{target}` already. Name another, or leave it."
            raise InputError(msg)
        with open_moved(source) as old:
            old.hold()
            if old.moved_to() != _called(target):  # else a killed move goes on from there
                require_here(old, source)
                target.fill(_moved(old.rows(), _called(source)), over=lambda rows: _may_replace(rows, old))
            with open_moved(target) as new:
                new.hold()
                _require_copy(new, old, target, _called(source))
                old.mark(_called(target))
                new.mark(None)
                settle(folder, target, old.campaign().created)
            return {name: len(found) for name, found in old.rows().items()}


def _moved(rows: Rows, to: str | None) -> Rows:
    """Rows of a ledger that says where it went."""
    return {**rows, "campaign": [row | {"moved_to": to} for row in rows["campaign"]]}


def _may_replace(rows: Rows, by: SqlStore) -> bool:
    """Whether rows are what was left of this campaign when it moved away, or what a killed copy left."""
    kept = rows["campaign"][0]
    return kept["moved_to"] is not None and kept["created"] == by.campaign().created


def _require_copy(new: SqlStore, old: SqlStore, place: Database, source: str) -> None:
    """Refuse what is not, or is not any more, the copy of a ledger."""
    if new.campaign().created != old.campaign().created:
        raise taken(place, new.rows())
    if old.moved_to() is not None and new.moved_to() != source:
        require_here(new, place)
    elif new.rows() != _moved(old.rows(), source):
        msg = f"`{place}` must hold what was copied there; another process has copied over it. Nothing was changed; run the command again."
        raise StoreError(msg)


def _called(place: Database) -> str:
    """Name of a place for whoever works elsewhere."""
    return f"{Path(str(place)).resolve()} on {platform.node()}" if isinstance(place, Sqlite) else str(place)
