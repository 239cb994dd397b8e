"""Which learning curves a round's report may show: those measured on what the round itself was judged by."""

from pathlib import Path

import pandas as pd

from perturbloop.loop.folder import PLAY_AGAIN, Campaign
from perturbloop.schema import CURVE_MEANS
from perturbloop.store.files import read_json, read_table


def curves_of_round(campaign: Campaign, folder: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Table CURVE_MEANS and notes; empty where no curves were measured, or what was recorded has changed since."""
    made, judged = campaign.folder / "curves" / "curves.json", folder / "evaluate.json"
    if made.is_file() and judged.is_file():
        todo = "Delete it, or run `perturbloop curves` again, which makes it anew."
        stamp = read_json(made, todo=todo)
        if stamp["key"] == read_json(judged, todo=PLAY_AGAIN)["key"]:
            return read_table(made.with_name("curve_means.parquet"), todo=todo), tuple(stamp["notes"])
    return pd.DataFrame(columns=CURVE_MEANS.names), ()
