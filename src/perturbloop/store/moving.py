"""A ledger moves from one database to another."""

import platform
from pathlib import Path

from perturbloop.errors import InputError
from perturbloop.store.database import Database, Rows
from perturbloop.store.ledger import ledger_at, ledger_of, open_store, settle
from perturbloop.store.lock import lock
from perturbloop.store.sqlite import Sqlite


def move(folder: Path, to: str) -> dict[str, int]:
    """Copy the ledger of a campaign elsewhere, whole or not at all, and let the folder name the new place.

    The ledger that is left stays where it is as a copy that says where it went, and is not opened any more.

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
        with open_store(source) as store:
            store.hold()
            rows, campaign = store.rows(), store.campaign()
            target.fill(rows, over=lambda old: _may_replace(old, rows))
            settle(folder, target, campaign.created)
            store.leave(_called(target))
    return {name: len(found) for name, found in rows.items()}


def _may_replace(old: Rows, rows: Rows) -> bool:
    """Whether a ledger is this one: what a killed copy left, or what was left when it moved away."""
    kept, came = old["campaign"][0], rows["campaign"][0]
    return old == rows or (kept["moved_to"] is not None and kept["created"] == came["created"])


def _called(place: Database) -> str:
    """Name of a place for whoever works elsewhere."""
    return f"{Path(str(place)).resolve()} on {platform.node()}" if isinstance(place, Sqlite) else str(place)
