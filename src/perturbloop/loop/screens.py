"""Recorded screens: their genes become measured effects, kept in the campaign; held-out genes are frozen."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbloop.data.compounds import Compound, folds_of_genes, torn
from perturbloop.data.screens import read_screen, report_lines
from perturbloop.data.splits import assign_folds
from perturbloop.errors import InputError, some
from perturbloop.evaluate.screens import as_read, ceiling
from perturbloop.evidence.screen_effects import ScreenEffects, effects_of_screen
from perturbloop.loop.folder import Campaign, kept, kept_report, require_may_write
from perturbloop.loop.inputs import Inputs
from perturbloop.loop.labels import refuse_labels_of_truth
from perturbloop.schema import CampaignConfig, ScreenConfig, judges, kind_of
from perturbloop.store import Input, Target, step_key
from perturbloop.store.files import file_digest, write_json, write_table

FILES = ("path", "hits", "targets")
"""Options that name a file: what decides is what it holds, not where it lies."""
CEILING_SAMPLES = 2
"""Bootstrap samples of a ceiling whose interval is not printed."""


def record_screen(
    campaign: Campaign, inputs: Inputs, entry: ScreenConfig
) -> tuple[Campaign, dict[str, Any], bool]:
    """Turn a screen into gene-level effects and keep them.

    Returns
    -------
    The campaign with the screen, the report, and whether it was new; the same file with the same options is not recorded
    twice.

    Raises
    ------
    LeakageError
        If recorded cells are to train by labels from this very screen.
    """
    _require_kind(entry, campaign.config)
    for cells in campaign.config.perturbed:
        refuse_labels_of_truth(cells, [entry])
    screen, report = read_screen(entry, vocabulary=inputs.model.vocabulary)
    folder = place_of_screen(campaign, entry, inputs)
    if (folder / "report.json").is_file() and entry in campaign.config.screen:
        return campaign, kept_report(folder), False
    seen = detection(inputs)
    made = effects_of_screen(screen, seen, min_detection=entry.min_detection)
    known = {target.gene_id: target.fold for target in campaign.store.targets()}
    fold_of, unused = _folds(made, report["compounds"], known=known, folds=campaign.config.evaluate.folds)
    if unused:
        screen, report = read_screen(entry, vocabulary=inputs.model.vocabulary, left_out=unused)
        made = effects_of_screen(screen, seen, min_detection=entry.min_detection)
        report["warnings"].append(
            f"Compounds whose targets are held out in different folds say nothing of a gene: {some(unused)}."
        )
    _require_two_folds(set((known | fold_of).values()), made.effects)
    write_table(folder / "screen.parquet", screen)
    write_table(
        folder / "effects.parquet", made.effects.assign(fold=made.effects["gene_id"].map(fold_of).astype(int))
    )
    path = Path(entry.path)
    campaign.store.add_input(
        Input(entry.path, "screen", file_digest(path), path.stat().st_size, n_genes=len(screen))
    )
    campaign.store.freeze_targets(Target(gene, entry.modality, fold) for gene, fold in fold_of.items())
    del report["compounds"]
    full = report | _facts(made, entry, fold_of)
    write_json(folder / "report.json", full | {"lines": [*report_lines(report), *_lines(full, entry)]})
    said = kept_report(folder)
    said["warnings"] += _replaced(campaign, entry)  # said once, no matter of the rounds
    return campaign.with_screen(entry), said, True


def _folds(
    made: ScreenEffects, compounds: Mapping[str, Collection[str]], *, known: Mapping[str, int], folds: int
) -> tuple[dict[str, int], list[str]]:
    """Fold of each gene, and compounds between folds. Genes with the score of one compound share a fold: one would tell the other's."""
    genes = made.effects["gene_id"].tolist()
    if not compounds:
        return assign_folds(genes, known=known, folds=folds), []
    linked = [Compound(name, inhibits=frozenset(hit) & frozenset(genes)) for name, hit in compounds.items()]
    used = [one for one in linked if one.genes]
    fold_of = folds_of_genes(used, known=known, folds=folds)
    unused = torn(used, fold_of)
    if len(unused) == len(used):
        msg = (
            "A drug screen needs compounds whose targets are held out, or used, together; what was recorded before parts the "
            f"targets of all {len(unused)}: {some(unused)}. Record it in a campaign of its own."
        )
        raise InputError(msg)
    return fold_of, unused


def read_screens(campaign: Campaign, inputs: Inputs) -> tuple[list[pd.DataFrame], list[dict[str, Any]]]:
    """Read effects and report of every recorded screen; what is stale is made again.

    Of several screens of one modality, each report says how well the others find its hits.
    """
    effects, reports, tables = [], [], []
    for entry in campaign.config.screen:
        folder = place_of_screen(campaign, entry, inputs)
        if not (folder / "report.json").is_file():  # the config, the file or the cells changed since
            require_may_write(campaign, entry.path)
            record_screen(campaign, inputs, entry)
        effects.append(kept(folder, "effects"))
        reports.append(kept_report(folder))
        tables.append(kept(folder, "screen"))
    for place, report in enumerate(reports):
        others = {
            other["name"]: tables[at]
            for at, other in enumerate(reports)
            if at != place and other["modality"] == report["modality"]
        }
        report["lines"] += _ceiling_lines(
            others, tables[place], detection(inputs), campaign.config.screen[place]
        )
    return effects, reports


def place_of_screen(campaign: Campaign, entry: ScreenConfig, inputs: Inputs) -> Path:
    """Folder of a screen's effects, named by what decides them."""
    config = campaign.config.to_dict()
    key = step_key(
        "screen",
        config={"screen": _options(entry), "folds": config["evaluate"]["folds"]},
        inputs=[*_digests(entry), inputs.key],
    )
    return campaign.folder / "screens" / key


def key_of_screens(config: CampaignConfig) -> dict[str, Any]:
    """What makes the judging of a round stale where screens are recorded; empty without one."""
    if not config.screen:
        return {}
    return {"screens": [[_options(entry), _digests(entry)] for entry in config.screen]}


def detection(inputs: Inputs) -> pd.Series:
    """Share of cells that express each gene, the larger of both states; index = Ensembl id."""
    goal_n = inputs.states.is_goal_n
    shares = [inputs.cells.select(state_n).detection() for state_n in (goal_n, ~goal_n)]
    return pd.Series(np.maximum(*shares), index=inputs.cells.gene_ids)


def _ceiling_lines(
    others: dict[str, pd.DataFrame], screen: pd.DataFrame, seen: pd.Series, entry: ScreenConfig
) -> list[str]:
    """Say how well each other screen of the modality finds the hits of this one, among the genes it is judged on."""
    lines = []
    for name, other in others.items():
        found = ceiling(
            other,
            screen,
            rng=np.random.default_rng(0),
            detection=seen if entry.min_detection else None,
            min_detection=entry.min_detection,
            definitions={"as read": as_read},
            n_samples=CEILING_SAMPLES,
        )
        rows = found[found["denominator"].eq("all") & found["expressed"].eq(entry.min_detection > 0)]
        says = [
            f"{row.regulators} regulators with AUROC {row.auroc:.2f} ({row.n_hits} hits)"
            for row in rows.itertuples()
            if row.regulators != "both" and not np.isnan(row.auroc)
        ]
        if says:
            lines.append(
                f"ceiling: the scores of {name} find its {' and '.join(says)} among {rows['n_genes'].iloc[0]:,} genes; "
                "no ranking can be expected to agree better"
            )
    return lines


def _replaced(campaign: Campaign, entry: ScreenConfig) -> list[str]:
    before = [one.path for one in campaign.config.screen if one.name == entry.name and one.path != entry.path]
    return [
        f"It takes the place of the screen of that name from `{path}`; record it under another `--name` to keep both."
        for path in before
    ]


def _options(entry: ScreenConfig) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__ if name not in FILES}


def _digests(entry: ScreenConfig) -> list[str]:
    """Role and digest of each file of a screen."""
    named = {role: getattr(entry, role) for role in FILES}
    return [
        f"{role} {file_digest(Path(path)) if Path(path).is_file() else ''}"
        for role, path in named.items()
        if path is not None
    ]


def _require_kind(entry: ScreenConfig, config: CampaignConfig) -> None:
    kinds = config.perturb.kinds
    if not any(judges(entry.modality, made) for made in kinds):
        msg = (
            f"What `{entry.modality}` measures is compared with the in-silico edit `{kind_of(entry.modality)}`; this campaign "
            f"makes {some(kinds)} only. Add it to `kinds` in `campaign.toml`, then record again."
        )
        raise InputError(msg)


def _require_two_folds(folds: set[int], effects: pd.DataFrame) -> None:
    if len(folds) < 2:
        msg = (
            f"Genes are judged by what was learnt from others, so some must be held out and some used; all {len(effects)} "
            f"that these cells express fall into one fold: {some(effects['gene_name'])}. Record a screen of more genes."
        )
        raise InputError(msg)


def _facts(made: ScreenEffects, entry: ScreenConfig, fold_of: dict[str, int]) -> dict[str, Any]:
    effects = made.effects
    hits = effects[effects["hit"].astype(bool)]
    held_out = hits["gene_id"].map(fold_of) >= 0
    return {
        "role": "screen",
        "name": entry.name,
        "modality": entry.modality,
        "higher_is": entry.higher_is,
        "source": f"{entry.name} ({Path(entry.path).name})",
        "spread": made.spread,
        "n_effects": len(effects),
        "n_not_measured": made.n_not_measured,
        "n_not_expressed": made.n_not_expressed,
        "hits_excluded": list(made.hits_excluded),
        "n_hits_kept": len(hits),
        "n_hits_held_out": int(held_out.sum()),
        "n_held_out": sum(fold_of[gene] >= 0 for gene in effects["gene_id"]),
    }


def _lines(facts: dict[str, Any], entry: ScreenConfig) -> list[str]:
    out = facts["n_not_measured"] + facts["n_not_expressed"]
    lines = [
        f"{facts['n_effects']:,} of its genes are kept, {facts['n_held_out']:,} of them held out, with "
        f"{facts['n_hits_held_out']:,} of {facts['n_hits_kept']:,} hits; an effect of 1 is {facts['spread']:.3g} of the file"
    ]
    if out:
        lost = f", with {len(facts['hits_excluded']):,} hits: {some(facts['hits_excluded'])}"
        lines.append(
            f"excluded: {facts['n_not_measured']:,} genes that the cells do not measure and {facts['n_not_expressed']:,} seen "
            f"in under {100 * entry.min_detection:g} % of them{lost if facts['hits_excluded'] else ''}"
        )
    return lines
