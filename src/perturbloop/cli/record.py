"""`perturbloop record`: what was measured comes back into the campaign."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbloop.cli.options import Folder, flag
from perturbloop.cli.output import Answer
from perturbloop.errors import InputError, some
from perturbloop.schema import PerturbedConfig, RecordedScreen, ScreenConfig
from perturbloop.schema.options import nested, options

if TYPE_CHECKING:
    from perturbloop.schema import RecordedCells

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
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what was recorded of this file, or under this name.")
    ] = False,
) -> Answer:
    """Record what was measured, in perturbed cells or by a screen, and freeze what is held out."""
    from perturbloop.loop.campaign import record as keep

    recorded, new = keep(
        folder, entry({name: value for name, value in given.items() if value is not None}), replace=replace
    )
    head = "Recorded" if new else "Recorded before, nothing changed"
    if isinstance(recorded, RecordedScreen):
        lines = [*recorded.warnings, f"{head}: {recorded.name}, {recorded.modality}.", *recorded.lines]
    else:
        lines = [*recorded.warnings, *_cell_lines(head, recorded), *_effects(folder, recorded.folder)]
    return Answer(recorded.to_dict(), [*lines, f"Next: perturbloop play {folder}"])


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
    if missing := [flag(name) for name in needed if name not in given]:
        msg = (
            f"`--{section}` needs {' and '.join(f'`{flag(name)}`' for name in needed)}; "
            f"{some(missing)} did not come. Add {'it' if len(missing) == 1 else 'them'}."
        )
        raise InputError(msg)
    values = nested(RECORDED, given)[section]
    if section == "screen":
        file = Path(values["path"])
        values.setdefault("name", Path(file.stem).stem if file.suffix == ".gz" else file.stem)
    made: PerturbedConfig | ScreenConfig = kind(**values)
    return made


def _cell_lines(head: str, recorded: "RecordedCells") -> Iterator[str]:
    yield f"{head}: {recorded.n_cells:,} of {recorded.n_cells_read:,} cells, {len(recorded.targets)} targets."
    yield from (f"{count:,} cells left out: {why}" for why, count in recorded.dropped.items() if count)
    few = recorded.targets_dropped.items()
    yield from (f"{name}: {count} cells, too few, left out" for name, count in few)


def _effects(folder: Path, of: str) -> Iterator[str]:
    from perturbloop.loop.campaign import measured

    for row in measured(folder, of).sort_values("effect_to_goal", ascending=False).itertuples():
        yield (
            f"{row.gene_name:10} effect to goal {row.effect_to_goal:+6.2f} ± {row.se:.2f}  padj {row.padj:8.1e}  "
            f"{'hit' if row.hit else '':4}{row.n_cells:5d} cells {row.n_guides:2d} guides  "
            f"{'trains' if row.fold < 0 else f'held out, fold {row.fold}'}"
        )
