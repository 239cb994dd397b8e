"""The campaign folder: its config file, its ledger, its places."""

import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop import __version__
from perturbloop.errors import StoreError
from perturbloop.perturb.collect import write_parquet
from perturbloop.schema import CampaignConfig, PerturbedConfig, ScreenConfig
from perturbloop.store import CampaignStore, create_store, open_store

CONFIG_FILE = "campaign.toml"
LEDGER_FILE = "campaign.sqlite"


@dataclass(frozen=True)
class Campaign:
    """An open campaign."""

    folder: Path
    config: CampaignConfig
    store: CampaignStore

    def round_folder(self, number: int) -> Path:
        """Folder of a round."""
        return self.folder / "rounds" / f"{number:03d}"

    def relative(self, path: Path) -> str:
        """Path as the ledger records it."""
        return str(path.relative_to(self.folder))

    def with_perturbed(self, entry: PerturbedConfig) -> "Campaign":
        """Return the campaign with a file of perturbed cells, saved; with other options it keeps the file's place."""
        entries = {(one.path, one.modality): one for one in self.config.perturbed}
        entries[entry.path, entry.modality] = entry
        return self._saved(replace(self.config, perturbed=tuple(entries.values())))

    def with_screen(self, entry: ScreenConfig) -> "Campaign":
        """Return the campaign with a screen, saved; one of the same name keeps its place."""
        entries = {one.name: one for one in self.config.screen} | {entry.name: entry}
        return self._saved(replace(self.config, screen=tuple(entries.values())))

    def _saved(self, config: CampaignConfig) -> "Campaign":
        _write_config(self.folder, config)
        self.store.save_config(config.to_dict())
        return replace(self, config=config)


def create_campaign(folder: Path, config: CampaignConfig) -> Campaign:
    """Make the folder of a new campaign; an existing one is refused."""
    refuse_taken(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ledger = folder / LEDGER_FILE
    ledger.unlink(missing_ok=True)  # left by an `init` that was killed before its config was written
    store = create_store(ledger, name=folder.name, config=config.to_dict(), package_version=__version__)
    _write_config(folder, config)
    return Campaign(folder, config, store)


def refuse_taken(folder: Path) -> None:
    """Refuse to make a campaign where there is one, or where a file is."""
    if (folder / CONFIG_FILE).exists():
        msg = f"There is a campaign in `{folder}` already. Go on with `perturbloop play {folder}`, or name another folder."
        raise StoreError(msg)
    files = [place for place in (folder, *folder.parents) if place.exists() and not place.is_dir()]
    if files:
        msg = f"A campaign needs a folder of its own; `{files[0]}` is a file. Name another folder."
        raise StoreError(msg)


def open_campaign(folder: Path) -> Campaign:
    """Open a campaign folder."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        msg = f"A campaign folder holds `{CONFIG_FILE}`; `{folder}` has none. Make a campaign with `perturbloop init`."
        raise StoreError(msg)
    try:
        tree = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        msg = f"`{path}` must be a TOML file; it cannot be read: {error}. Correct that line."
        raise StoreError(msg) from None
    return Campaign(folder, CampaignConfig.from_dict(tree), open_store(folder / LEDGER_FILE))


def write_text(path: Path, text: str) -> None:
    """Write beside and rename, so that a file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".partial")
    beside.write_text(text)
    beside.replace(path)


def write_json(path: Path, tree: Any) -> None:
    """Write plain values as JSON; missing numbers become null."""
    write_text(path, json.dumps(tree, indent=2, default=_plain))


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(frame, path)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _write_config(folder: Path, config: CampaignConfig) -> None:
    write_text(folder / CONFIG_FILE, _toml(config.to_dict()))


def _toml(tree: dict[str, Any]) -> str:
    """Two levels are all a campaign has: sections of plain values, and the lists of perturbed files and screens."""
    blocks = []
    for name, value in tree.items():
        for section in value if isinstance(value, list) else [value]:
            head = f"[[{name}]]" if isinstance(value, list) else f"[{name}]"
            blocks.append(
                "\n".join(
                    [
                        head,
                        *(f"{key} = {json.dumps(item, ensure_ascii=False)}" for key, item in section.items()),
                    ]
                )
            )
    return "\n\n".join(blocks) + "\n"
