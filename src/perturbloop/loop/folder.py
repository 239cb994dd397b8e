"""The campaign folder: its config file, its ledger, its places."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop import __version__
from perturbloop.errors import StoreError
from perturbloop.schema import CampaignConfig, RecordedFile, ScreenConfig
from perturbloop.store import CampaignStore, lock, open_store
from perturbloop.store.campaign_file import CONFIG_FILE, read_config, with_full_paths, write_config
from perturbloop.store.files import own, read_table, sweep
from perturbloop.store.ledger import ADDRESS_FILE, LEDGER_FILE, create_ledger, ledger_of, require_free
from perturbloop.store.working import noted


@dataclass(frozen=True)
class CampaignFolder:
    """An open campaign; its store is closed at the end of a `with`."""

    folder: Path
    config: CampaignConfig
    store: CampaignStore
    writes: bool = False
    """Whether this process may change it."""

    def __enter__(self) -> "CampaignFolder":
        """Return itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the store."""
        self.store.close()

    @property
    def fold_of(self) -> dict[str, int]:
        """Fold of every gene that was ever measured; it never changes."""
        return {target.gene_id: target.fold for target in self.store.targets()}

    def round_folder(self, number: int) -> Path:
        """Folder of a round."""
        return self.folder / "rounds" / f"{number:03d}"

    def relative(self, path: Path) -> str:
        """Path as the ledger records it."""
        return str(path.relative_to(self.folder))

    def same_place(self, entry: RecordedFile) -> RecordedFile | None:
        """Return what is recorded where an entry belongs: of the same path and modality, or a screen of the same name."""
        return next((one for one in self.config.recorded if _place(one) == _place(entry)), None)

    def without_recorded(self, entry: RecordedFile) -> "CampaignFolder":
        """Return the campaign without a file, saved."""
        perturbed = tuple(one for one in self.config.perturbed if one != entry)
        screens = tuple(one for one in self.config.screen if one != entry)
        return self.with_config(replace(self.config, perturbed=perturbed, screen=screens))

    def with_recorded(self, entry: RecordedFile) -> "CampaignFolder":
        """Return the campaign with a file, saved; one of the same path and modality, or a screen of the same name, keeps its place."""
        if isinstance(entry, ScreenConfig):
            screens = {_place(one): one for one in self.config.screen} | {_place(entry): entry}
            return self.with_config(replace(self.config, screen=tuple(screens.values())))
        perturbed = {_place(one): one for one in self.config.perturbed} | {_place(entry): entry}
        return self.with_config(replace(self.config, perturbed=tuple(perturbed.values())))

    def with_config(self, config: CampaignConfig) -> "CampaignFolder":
        """Return the campaign with other options, saved."""
        config = with_full_paths(config)
        write_config(self.folder, config)
        self.store.save_config(config.to_dict())
        return replace(self, config=config)


def create_campaign(folder: Path, config: CampaignConfig, *, store: str = "sqlite") -> None:
    """Make the folder of a new campaign; an existing one, or one that another process makes just now, is refused."""
    refuse_taken(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder):
        refuse_taken(folder)  # another process may have been first
        config = with_full_paths(config)
        create_ledger(folder, store, config=config.to_dict(), package_version=__version__)
        write_config(folder, config)


def refuse_taken(folder: Path, store: str = "sqlite") -> None:
    """Refuse to make a campaign where there is one, where a file is, or where its ledger cannot be."""
    if (folder / CONFIG_FILE).exists():
        msg = f"There is a campaign in `{folder}` already. Go on with `perturbloop play {folder}`, or name another folder."
        raise StoreError(msg)
    files = [place for place in (folder, *folder.parents) if place.exists() and not place.is_dir()]
    if files:
        msg = f"A campaign needs a folder of its own; `{files[0]}` is a file. Name another folder."
        raise StoreError(msg)
    require_free(folder, store)


@contextmanager
def working(folder: Path) -> Iterator[CampaignFolder]:
    """Open a campaign for work and keep other processes out; what killed runs left half done is put right first."""
    _require_campaign(folder)
    with lock(folder), noted(folder), open_store(ledger_of(folder)) as store:
        store.hold()
        sweep(folder)
        config = read_config(folder, remembered=partial(_remembered, store))
        if not (folder / CONFIG_FILE).is_file():
            write_config(folder, config)
        if store.campaign().config != config.to_dict():  # edited by hand, or killed between the two
            store.save_config(config.to_dict())
        store.targets()  # refused here, by every command, where held-out targets were changed by hand
        yield CampaignFolder(folder, config, store, writes=True)


def open_campaign(folder: Path) -> CampaignFolder:
    """Open a campaign as it is now, to read; it may belong to somebody else, and another process may work in it."""
    _require_campaign(folder)
    store = open_store(ledger_of(folder), writes=False)
    try:
        store.targets()
        return CampaignFolder(folder, read_config(folder, remembered=partial(_remembered, store)), store)
    except BaseException:
        store.close()
        raise


def _require_campaign(folder: Path) -> None:
    if not any((folder / name).is_file() for name in (CONFIG_FILE, LEDGER_FILE, ADDRESS_FILE)):
        msg = f"A campaign folder holds `{CONFIG_FILE}`; `{folder}` has none. Make a campaign with `perturbloop init`."
        raise StoreError(msg)


def _remembered(store: CampaignStore) -> CampaignConfig:
    """Options of the last run, as the ledger has them."""
    return CampaignConfig.from_dict(store.campaign().config)


def _place(entry: RecordedFile) -> tuple[str, ...]:
    return (entry.name,) if isinstance(entry, ScreenConfig) else (entry.path, entry.modality)


PLAY_AGAIN = "Delete it and run `perturbloop play`, which makes it anew."


def read_of_round(folder: Path, name: str) -> pd.DataFrame:
    """Read the table of a round that has this name."""
    return read_table(folder / f"{name}.parquet", todo=PLAY_AGAIN)


def kept(folder: Path, name: str) -> pd.DataFrame:
    """Read a table of a recorded file."""
    return read_table(folder / f"{name}.parquet", todo=_record_again(folder))


def kept_report(folder: Path) -> dict[str, Any]:
    """Read what was said of a recorded file."""
    path = folder / "report.json"
    with own(path, todo=_record_again(folder)):
        return dict(json.loads(path.read_text(encoding="utf-8")))


def _record_again(folder: Path) -> str:
    return f"Delete the folder `{folder}` and run the same command again: the recorded file is read anew."
