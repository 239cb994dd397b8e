"""Score gene sets, pairs and drugs in the start cells of a campaign."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pandas as pd

from perturbloop import progress
from perturbloop.loop.arms import open_arms
from perturbloop.loop.execute import train_arm
from perturbloop.loop.folder import working
from perturbloop.loop.inputs import inputs_of
from perturbloop.loop.steps import stamp_of
from perturbloop.perturb.asked import results_path
from perturbloop.perturb.collect import precision_of
from perturbloop.perturb.combine import combination_shifts
from perturbloop.perturb.compounds import asked_for
from perturbloop.perturb.exact import ExactEngine
from perturbloop.store.files import file_digest, write_json, write_table


def combine(
    folder: Path | str,
    path_or_genes: Path | str | Sequence[str],
    *,
    not_expressed: str | None = None,
    **edits: Any,
) -> pd.DataFrame:
    """Score perturbations of several genes with the frozen state model, and keep them in the campaign folder.

    The table goes to `combinations/` as Parquet, with a JSON file of what made it; a further run with the same file name
    and options replaces both.

    Parameters
    ----------
    folder
        Campaign folder.
    path_or_genes
        File of gene sets (`.gmt`), genes (`.txt`), pairs and drugs (`.tsv`) or compounds, or a list of genes.
    not_expressed
        `skip` or `insert`; the campaign's own by default.
    edits
        `kind`, `dose`, `pairs`, `skip_unknown`, `compounds`, `only` and `dose_um`, as of `perturb.compounds.asked_for`.

    Returns
    -------
    Table `COMBINATIONS`, most toward the goal first; perturbations that apply to no cell come last.
    """
    folder = Path(folder)
    with working(folder) as campaign:
        own = campaign.config.perturb.not_expressed
        config = replace(campaign.config.perturb, not_expressed=cast("Any", not_expressed or own))
        inputs = inputs_of(campaign)
        asked = asked_for(path_or_genes, inputs.vocabulary, **edits)
        arm = open_arms(config.kinds)[0]
        trained = train_arm(arm, inputs, None, folder)
        place = results_path(folder, path_or_genes, not_expressed=not_expressed, **edits)
        precision = precision_of(place.parent, config.precision, trained.model.device)
        engine = ExactEngine(
            inputs.view.token_model, trained.readout, precision=precision, batch_tokens=config.batch_tokens
        )
        table = combination_shifts(
            engine,
            inputs.start_tokens,
            asked,
            config,
            donor_n=inputs.start_donor_n,
            held=frozenset(inputs.cells.gene_ids),
            on_edits=partial(progress.tell, "combine"),
        )
        table = table.sort_values("logit_shift", ascending=False, kind="stable", ignore_index=True)
        is_file = isinstance(path_or_genes, (str, Path))
        write_table(place, table)
        write_json(
            place.with_suffix(".json"),
            stamp_of(campaign.config, inputs)
            | {
                "seed": config.seed,
                "options": edits | {"not_expressed": config.not_expressed},
                "precision": precision,
                "file_digest": file_digest(Path(str(path_or_genes))) if is_file else None,
                "model_digest": trained.digest,
                **{
                    told: {one.name: names for one in asked if (names := getattr(one, told, ()))}
                    for told in ("missing", "unsigned")
                },
                "config": campaign.config.to_dict(),
            },
        )
    return table
