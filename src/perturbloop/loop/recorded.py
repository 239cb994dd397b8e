"""What was recorded, perturbed cells and screens: measured once, kept in the campaign, and read without writing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from perturbloop import progress
from perturbloop.errors import InputError, some
from perturbloop.evaluate.judgeable import unjudged_lines
from perturbloop.evaluate.screens import with_ceiling
from perturbloop.evidence.measurement import Measurement, Study
from perturbloop.evidence.recorded_cells import measure_cells
from perturbloop.evidence.recorded_screens import detection, measure_screen
from perturbloop.loop.folder import CampaignFolder, kept, kept_report
from perturbloop.loop.inputs import Inputs
from perturbloop.schema import (
    EFFECTS,
    KINDS,
    Kind,
    Recorded,
    RecordedCells,
    RecordedFile,
    ScreenConfig,
    arms_of,
    concat,
    judges,
    kind_of,
    name_of,
    options_of,
    recorded_from,
)
from perturbloop.store import Input, Target, step_key
from perturbloop.store.campaign_file import digests_of
from perturbloop.store.files import file_digest, size_of, write_json, write_table


@dataclass(frozen=True)
class Outcomes:
    """All measured effects of a campaign."""

    effects: pd.DataFrame
    """Table `EFFECTS` read by all shared genes: what is reported, and what the evidence channel learns from."""
    judged: pd.DataFrame
    """The same read by the judging half of the genes only: what rankings are judged by."""
    recorded: tuple[Recorded, ...]
    """What was read of each file, perturbed cells before screens."""
    arms: Mapping[str, tuple[pd.DataFrame, ...]] = field(default_factory=dict)
    """Tables `REVERSAL` and `POSITIONS` of each file that has them."""

    @property
    def fold_of(self) -> dict[str, int]:
        """Fold of each measured target, and of every gene that a recorded compound hits."""
        rows = self.effects[self.effects["level"] == "gene"]
        hit = {gene: fold for one in self._cells for gene, fold in one.hit_genes.items()}
        return hit | dict(zip(rows["gene_id"], rows["fold"].astype(int), strict=True))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """In-silico kinds that were measured."""
        return _kinds(self.effects)

    @property
    def with_cells(self) -> frozenset[str]:
        """Genes that were hit in perturbed cells, all those of usable compounds included: only these can train a model."""
        rows = self._of_cells
        hit = {gene for one in self._cells for gene in one.cell_genes}
        return frozenset(rows.loc[rows["level"] == "gene", "gene_id"]) | hit

    @property
    def kinds_of_cells(self) -> tuple[Kind, ...]:
        """In-silico kinds that were measured in cells."""
        return _kinds(self._of_cells)

    @property
    def _cells(self) -> list[RecordedCells]:
        return [one for one in self.recorded if isinstance(one, RecordedCells)]

    @property
    def _of_cells(self) -> pd.DataFrame:
        return self.effects[self.effects["n_cells"] > 0]


def record(
    campaign: CampaignFolder, inputs: Inputs, entry: RecordedFile
) -> tuple[CampaignFolder, Recorded, bool]:
    """Measure a file and keep it; the same file with the same options is not recorded twice.

    Parameters
    ----------
    campaign
        A campaign that is open for work.
    inputs
        Its model and cells.
    entry
        The file and how it is read.

    Returns
    -------
    The campaign with the file, what was recorded, and whether that is new.

    Raises
    ------
    LeakageError
        If cells would train by labels from a screen that judges.
    """
    _require_kind(entry, campaign)
    known = entry in campaign.config.recorded
    if known and (place_of(campaign, entry, inputs) / "report.json").is_file():
        return campaign, _kept(campaign, entry, inputs), False
    found = _measured(campaign, inputs, entry, campaign.fold_of)
    _keep(campaign, inputs, entry, found)
    return campaign.with_recorded(entry), _kept(campaign, entry, inputs), True


def remeasure(campaign: CampaignFolder, inputs: Inputs) -> None:
    """Measure again, and keep, every recorded file whose options, content or cells changed, or whose tables are gone."""
    for entry in campaign.config.recorded:
        if not (place_of(campaign, entry, inputs) / "report.json").is_file():
            _keep(campaign, inputs, entry, _measured(campaign, inputs, entry, campaign.fold_of))


def read_outcomes(campaign: CampaignFolder, inputs: Inputs) -> Outcomes | None:
    """Read the effects of every recorded file; `None` where none is recorded. What is stale is measured, and not kept."""
    halves: dict[str, list[pd.DataFrame]] = {"all": [], "judge": []}
    screens: dict[str, pd.DataFrame] = {}
    arms: dict[str, tuple[pd.DataFrame, ...]] = {"reversal": (), "positions": ()}
    recorded: list[Recorded] = []
    known = campaign.fold_of
    for entry in campaign.config.recorded:
        place = place_of(campaign, entry, inputs)
        if (place / "report.json").is_file():
            table: Callable[[str], pd.DataFrame] = partial(kept, place)
            recorded.append(_kept(campaign, entry, inputs))
        else:
            found = _measured(campaign, inputs, entry, known)
            table, known = found.tables.__getitem__, known | dict(found.fold_of)
            recorded.append(found.recorded)
        if isinstance(entry, ScreenConfig):
            screens[entry.name] = table("screen")
        for half, parts in halves.items():
            name = entry.name if isinstance(entry, ScreenConfig) else ""
            parts.append(table(f"effects_{half}").assign(screen=name))
        if getattr(entry, "arm_column", None):
            arms = {name: (*parts, table(name)) for name, parts in arms.items()}
    if not recorded:
        return None
    seen = detection(inputs.states) if len(screens) > 1 else None
    told = tuple(with_ceiling(one, screens, campaign.config.screen, detection=seen) for one in recorded)
    return Outcomes(concat(EFFECTS, halves["all"]), concat(EFFECTS, halves["judge"]), told, arms)


def unjudged(campaign: CampaignFolder, inputs: Inputs) -> tuple[str, ...]:
    """Say what all that is recorded cannot judge; empty where methods can be told apart by every kind that was measured."""
    outcomes = read_outcomes(campaign, inputs)
    if outcomes is None:
        return ()
    kinds = [kind for kind in campaign.config.perturb.kinds if kind in outcomes.kinds]
    return unjudged_lines(outcomes.effects, outcomes.judged, kinds, outcomes.fold_of)


def _measured(
    campaign: CampaignFolder, inputs: Inputs, entry: RecordedFile, known: Mapping[str, int]
) -> Measurement:
    title = f"measure {name_of(entry)}"
    progress.tell(title, 0, 1)
    study = Study(campaign.config, inputs.states, inputs.names, inputs.textbook)
    if isinstance(entry, ScreenConfig):
        found = measure_screen(study, entry, known=known)
    else:
        found = measure_cells(study, entry, known=known)
    progress.tell(title, 1, 1)
    return found


def keep_in_round(outcomes: Outcomes, folder: Path) -> tuple[Path, ...]:
    """Write what a round was judged by beside its tables, so that its report never mixes in what came later; the files."""
    names = ("effects.parquet", "effects_judged.parquet", "recorded.json")
    effects, judged, recorded = (folder / name for name in names)
    write_table(effects, outcomes.effects)
    write_table(judged, outcomes.judged)
    write_json(recorded, [one.to_dict() for one in outcomes.recorded])
    told = {folder / f"{name}.parquet": pd.concat(parts) for name, parts in outcomes.arms.items() if parts}
    for path, table in told.items():
        write_table(path, table)
    return effects, judged, recorded, *told


def place_of(campaign: CampaignFolder, entry: RecordedFile, inputs: Inputs) -> Path:
    """Folder of a file's effects, named by what decides them.

    Parameters
    ----------
    campaign
        The campaign; folds and, for cells, false discovery rate and least effect are its own.
    entry
        The file and how it is read.
    inputs
        The campaign's model and cells.
    """
    config = campaign.config.evaluate
    digests = [*digests_of(entry), inputs.key]
    if isinstance(entry, ScreenConfig):
        options = {"screen": options_of(entry), "folds": config.folds}
        return campaign.folder / "screens" / step_key("effects of a screen", config=options, inputs=digests)
    evaluate = {name: getattr(config, name) for name in ("fdr", "min_effect", "folds")}
    key = step_key("effects", config=options_of(entry) | evaluate, inputs=digests)
    return campaign.folder / "perturbed" / key


def _kept(campaign: CampaignFolder, entry: RecordedFile, inputs: Inputs) -> Recorded:
    place = place_of(campaign, entry, inputs)
    return replace(recorded_from(kept_report(place)), folder=campaign.relative(place))


def _keep(campaign: CampaignFolder, inputs: Inputs, entry: RecordedFile, found: Measurement) -> None:
    """Write what was measured, then freeze the targets, then the report: with it, everything is there."""
    place, path = place_of(campaign, entry, inputs), Path(entry.path)
    for name, table in found.tables.items():
        write_table(place / f"{name}.parquet", table)
    role = "screen" if isinstance(entry, ScreenConfig) else "perturbed"
    n_cells = found.recorded.n_cells if isinstance(found.recorded, RecordedCells) else None
    size = size_of(path)
    campaign.store.add_input(Input(entry.path, role, file_digest(path), size, n_cells, found.n_genes))
    campaign.store.freeze_targets(Target(gene, entry.modality, fold) for gene, fold in found.fold_of.items())
    write_json(place / "report.json", found.recorded.to_dict())


def _kinds(effects: pd.DataFrame) -> tuple[Kind, ...]:
    modalities = effects.loc[
        effects["level"] == "gene", "modality"
    ].unique()  # a compound as such has no kind
    return tuple(kind for kind in KINDS if any(judges(m, kind) for m in modalities))


def _require_kind(entry: RecordedFile, campaign: CampaignFolder) -> None:
    arms, kinds = arms_of(entry.modality), campaign.config.perturb.kinds
    if not any(judges(arm, made) for arm in arms for made in kinds):
        asked = " and ".join(f"`{kind_of(arm)}`" for arm in arms)
        msg = (
            f"What `{entry.modality}` measures is compared with the in-silico edit {asked}; this campaign makes "
            f"{some(kinds)} only. Add it to `kinds` in `campaign.toml`, then record again."
        )
        raise InputError(msg)
