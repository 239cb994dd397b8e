"""Which learning curves a round's report may show: those measured on what the round itself was judged by."""

import json
from pathlib import Path

import pandas as pd

from perturbloop.loop.folder import Campaign
from perturbloop.schema import CURVE_MEANS


def curves_of_round(campaign: Campaign, folder: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Table CURVE_MEANS and notes; empty where no curves were measured, or what was recorded has changed since."""
    made, judged = campaign.folder / "curves" / "curves.json", folder / "evaluate.json"
    if made.is_file() and judged.is_file():
        stamp = json.loads(made.read_text())
        if stamp["key"] == json.loads(judged.read_text())["key"]:
            return pd.read_parquet(made.with_name("curve_means.parquet")), tuple(stamp["notes"])
    return pd.DataFrame(columns=CURVE_MEANS.names), ()
