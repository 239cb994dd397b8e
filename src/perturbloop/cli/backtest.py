"""`perturbloop backtest`: would the loop have paid on a screen that is finished?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from perturbloop.cli.output import Answer
from perturbloop.schema import BacktestConfig
from perturbloop.schema.options import nested, options

REPLAYED = options({"backtest": BacktestConfig})
"""Options of a replay."""


def backtest(
    given: dict[str, Any],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; backtest-SCREEN, here, by default.")
    ] = None,
) -> Answer:
    """Replay a finished screen: hits that each policy finds, beside chance, the prior alone and permuted feedback."""
    from perturbloop.report.backtest import backtest as run

    config = config_of(given)
    done = run(config, folder_of(config) if out is None else out)
    tree = {
        "verdict": done.verdict.call,
        "sentence": done.verdict.sentence,
        "folder": str(done.folder),
        "figure": str(done.figure),
        "n_computed": done.n_computed,
        "facts": list(done.facts),
        "means": done.means.to_dict("records"),
    }
    return Answer(tree, done.lines())


def config_of(given: dict[str, Any]) -> BacktestConfig:
    """What is asked for, from options by name."""
    return BacktestConfig(**nested(REPLAYED, given)["backtest"])


def folder_of(config: BacktestConfig) -> Path:
    """Folder of the results where none is named."""
    return Path(f"backtest-{Path(config.screen).name.split('.')[0]}")
