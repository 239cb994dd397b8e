"""`perturbloop record`: what was measured comes back into the campaign."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from perturbloop.cli.options import Folder, flag
from perturbloop.cli.output import Answer, width
from perturbloop.errors import InputError, some
from perturbloop.schema import PerturbedConfig, RecordedScreen, ScreenConfig
from perturbloop.schema.options import nested, options
from perturbloop.schema.words import ScreenModality

if TYPE_CHECKING:
    import pandas as pd

RECORDED = options(
    {"perturbed": PerturbedConfig, "screen": ScreenConfig},
    names={"perturbed.path": "perturbed", "screen.path": "screen", "screen.screen": "only"},
    apart=False,
    optional=True,
)
"""Options of both kinds of files; only those of the kind that is recorded may come."""
KINDS: dict[str, tuple[type, tuple[str, ...]]] = {
    "perturbed": (PerturbedConfig, ("target_column", "control", "modality")),
    "screen": (ScreenConfig, ("higher_is", "modality")),
}
"""What is recorded, by the option that names its file, and the options that must come."""


def record(
    folder: Folder,
    given: dict[str, Any],
    outcomes: Annotated[
        Path | None,
        typer.Option(help="Rather: a table `gene,hit` of genes that were proposed, typed by hand."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what was recorded of this file, or under this name.")
    ] = False,
) -> Answer:
    """Record what was measured, in perturbed cells or by a screen, and freeze what is held out."""
    from perturbloop.asktell import told
    from perturbloop.cli.batch import told_lines
    from perturbloop.loop.campaign import measured
    from perturbloop.loop.campaign import record as keep
    from perturbloop.loop.folder import kept
    from perturbloop.report.recording import recording

    if outcomes is not None:
        return _by_hand(folder, outcomes, [name for name, value in given.items() if value is not None])
    recorded, new = keep(
        folder, entry({name: value for name, value in given.items() if value is not None}), replace=replace
    )
    effects = None if isinstance(recorded, RecordedScreen) else measured(folder, recorded.folder)
    back = kept(folder / recorded.folder, "reversal") if getattr(recorded, "arms", None) else None
    lines = recording(recorded, effects, new=new, width=width(), reversal=back)
    tables = {name: table for name, table in (("effects", effects), ("reversal", back)) if table is not None}
    tree = recorded.to_dict() | {name: table.to_dict("records") for name, table in tables.items()}
    lines += told_lines(told(folder), width())
    return Answer(tree, [*lines, f"Next: perturbloop play {folder}"])


def _by_hand(folder: Path, path: Path, others: list[str]) -> Answer:
    """Tell outcomes that were typed by hand."""
    from perturbloop.asktell import tell, told
    from perturbloop.cli.batch import told_lines, trial_tree
    from perturbloop.report.layout import count

    if others:
        msg = (
            f"`--outcomes` goes alone; {some(map(flag, others))} came too. Record the measured file with these and without it, or the "
            "typed outcomes without them."
        )
        raise InputError(msg)
    changed = tell(folder, path)
    found = told(folder)
    lines = [
        f"Told by hand: {count(len(changed), 'gene')}, {count(int(changed['hit'].sum()), 'hit')}.",
        "They say how well batches are foretold, and are not proposed again. The ranking learns from them where they are recorded as a "
        "screen, with 1 and 0 in the column `hit`:",
        f"  perturbloop record {folder} --screen {path} --score-column hit --hit-column hit --higher-is goal --modality {_done_by(changed)}",
        *told_lines(found, width()),
        f"Next: perturbloop propose {folder}",
    ]
    return Answer(trial_tree(changed, found), lines)


def _done_by(changed: "pd.DataFrame") -> str:
    """What was done to most of the genes, as a modality."""
    return "crispra" if changed["action"].eq("activate").mean() > 1 / 2 else "crispri"


def entry(given: dict[str, Any]) -> PerturbedConfig | ScreenConfig:
    """Build the configuration of the one that is recorded; options of the other are refused.

    Parameters
    ----------
    given
        What came, by name of the option.
    """
    named = [name for name in KINDS if name in given]
    if len(named) != 1:
        msg = (
            "Give one file: perturbed cells with `--perturbed`, or a table of genes with `--screen`; "
            f"{'both' if named else 'none'} came. Record two files one after the other."
        )
        raise InputError(msg)
    section, (kind, needed) = named[0], KINDS[named[0]]
    own = {option.name for option in RECORDED if section in dict(option.places)}
    if other := [flag(name) for name in given if name not in own]:
        msg = f"`--{section}` does not take {some(other)}. Leave them out."
        raise InputError(msg)
    if "guides" in given:  # they tell the target too
        needed = tuple(name for name in needed if name != "target_column")
    values = nested(RECORDED, given)[section]
    if section == "screen":
        values.setdefault("name", _name_of_screen(values))
    if missing := [flag(name) for name in needed if name not in given]:
        if section == "screen":
            _ask_for_all(values)
        msg = (
            f"`--{section}` needs {' and '.join(f'`{flag(name)}`' for name in needed)}; "
            f"{some(missing)} did not come. Add {'it' if len(missing) == 1 else 'them'}."
        )
        raise InputError(msg)
    made: PerturbedConfig | ScreenConfig = kind(**values)
    return made


def _name_of_screen(values: dict[str, Any]) -> str:
    """Name of a screen where none is given: that of its file, and which of several in it."""
    file = Path(values["path"])
    parts = (
        Path(file.stem).stem if file.suffix == ".gz" else file.stem,
        values.get("sheet"),
        values.get("screen"),
    )
    return " ".join(part for part in parts if part)


def _ask_for_all(values: dict[str, Any]) -> None:
    """Ask at once for what no file tells and for what this one leaves open."""
    from perturbloop.data.screen_formats.opening import open_screen
    from perturbloop.data.screen_formats.questions import require_no_question

    config = ScreenConfig(
        **({"modality": "inhibitor" if "targets" in values else "crispri", "higher_is": "goal"} | values)
    )
    opened = open_screen(config)
    high = f"that {opened.format.high}" if opened.format else "what the file calls positive"
    told = {
        "--higher-is goal|start": f"the state that a high score stands for; here it says {high}",
        "--modality WORD": f"what was done to the genes: {some(get_args(ScreenModality))}",
    }
    missing = {
        option: why for option, why in told.items() if option.split()[0][2:].replace("-", "_") not in values
    }
    require_no_question(opened, config, more=missing)
