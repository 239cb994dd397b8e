"""The last round of a campaign, from its folder: neither cells nor a model is read, and what can read them is not loaded."""

from pathlib import Path
from typing import Any

from perturbloop.errors import StoreError
from perturbloop.loop.folder import PLAY_AGAIN, open_campaign
from perturbloop.report import RoundReport, compose
from perturbloop.report.facts import read_facts
from perturbloop.schema import name_of, options_of
from perturbloop.store.files import read_json


def latest_round(folder: Path | str) -> Path:
    """Folder of the last finished round."""
    with open_campaign(Path(folder)) as campaign:
        finished = [entry.number for entry in campaign.store.rounds() if entry.finished is not None]
    if not finished:
        msg = f"No round of `{folder}` is finished yet. Run `perturbloop play {folder}`."
        raise StoreError(msg)
    return campaign.round_folder(finished[-1])


def show(folder: Path | str) -> tuple[Path, RoundReport, dict[str, Any]]:
    """Path of the last round's page, the report that it shows, and its scores; nothing but its folder is read."""
    place = latest_round(folder)
    return place / "report.html", compose(place), read_json(place / "scores.json", todo=PLAY_AGAIN)


def recorded_since(folder: Path | str) -> tuple[str, ...]:
    """Names of the files that were recorded, or recorded another way, since the last finished round was played.

    Parameters
    ----------
    folder
        Campaign folder.
    """
    place = latest_round(folder)
    with open_campaign(Path(folder)) as campaign:
        config = read_facts(place, todo=PLAY_AGAIN).config
        played = [(name_of(entry), options_of(entry)) for entry in config.recorded]
        now = [(name_of(entry), options_of(entry)) for entry in campaign.config.recorded]
    return tuple(name for name, options in now if (name, options) not in played)
