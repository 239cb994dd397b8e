"""Ask and tell: a batch is asked for, taken, and told of; the campaign remembers each gene of it as a trial.

The words are those of Ax and BoTorch. To ask writes nothing: a batch becomes trials when it is taken, and then its genes are not
proposed again until they are abandoned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop.data.outcomes import hits_of, read_hits
from perturbloop.design.ask import Batch
from perturbloop.design.ask import ask as ask_known
from perturbloop.design.calibration import Told, calibration_of
from perturbloop.design.trials import closed, key_of, marked, taken, told_by_hand
from perturbloop.errors import DesignError, GeneIdError, closest, some
from perturbloop.loop.campaign import play
from perturbloop.loop.folder import open_campaign, working
from perturbloop.loop.inputs import inputs_of
from perturbloop.loop.steps import known_of, step_keys
from perturbloop.schema import TRIALS, TrialStatus

ANOTHER = (
    "A batch is taken as it was looked at; the one that would be taken now is another: something was recorded, taken or played since. "
    "Nothing was taken. Ask again, and look at it."
)


def ask(
    folder: Path | str,
    *,
    anyway: bool = False,
    pinned: Sequence[str] = (),
    dropped: Sequence[str] = (),
    **asked: Any,
) -> Batch:
    """Choose the genes to measure next; what is stale is played first, and no trial is written.

    Parameters
    ----------
    folder
        Campaign folder.
    anyway
        Whether a batch may rest on an in-silico ranking that failed its control gate.
    pinned, dropped
        Symbols or Ensembl ids of genes that the batch must hold, and of genes that it must not hold.
    asked
        Fields of `DesignConfig` that hold for this question, in place of those of the campaign; `None` = the campaign's.

    Raises
    ------
    DesignError
        If the control gate failed and the batch would rest on the in-silico ranking, no gene is left, or a gene that was asked for
        cannot be proposed.
    GeneIdError
        If nobody knows a gene that is named.
    """
    folder = Path(folder)
    with open_campaign(folder) as campaign:
        inputs = inputs_of(campaign)
        key = step_keys(campaign.config, inputs)["evaluate"]
        made = campaign.store.finished_step("evaluate", key=key)
    number = made.round if made is not None else play(folder, until="propose").round
    with open_campaign(folder) as campaign:
        given = {name: value for name, value in asked.items() if value is not None}
        design = replace(campaign.config.design, **given)
        known = known_of(campaign, inputs, number, design)
        return ask_known(known, design, seed=number, anyway=anyway, pinned=pinned, dropped=dropped)


def take(folder: Path | str, batch: Batch, *, only_if: str = "") -> pd.DataFrame:
    """Take a batch: its genes become trials, and are proposed to nobody else.

    Parameters
    ----------
    folder
        Campaign folder.
    batch
        What `ask` gave.
    only_if
        `design.trials.key_of` of the batch that was looked at; '' = whatever the batch is.

    Returns
    -------
    TRIALS rows of the batch.

    Raises
    ------
    DesignError
        If a gene of it was taken meanwhile, or it is not the batch that was looked at.
    """
    if only_if and key_of(batch.proposals) != only_if:
        raise DesignError(ANOTHER)
    with working(Path(folder)) as campaign:
        trials = campaign.store.trials()
        gone = batch.proposals["gene_id"].isin(list(closed(trials)))
        if gone.any():
            msg = (
                f"A batch is taken once; {some(batch.proposals.loc[gone, 'gene_name'])} were taken meanwhile. Ask for a "
                "new batch."
            )
            raise DesignError(msg)
        rows = taken(batch.proposals, trials, when=datetime.now(UTC))
        campaign.store.save_trials(rows)
        return rows


def trials(folder: Path | str, *, status: str | None = None) -> pd.DataFrame:
    """Table TRIALS of a campaign.

    Parameters
    ----------
    folder
        Campaign folder.
    status
        Only those of this status; `None` = all.
    """
    with open_campaign(Path(folder)) as campaign:
        rows = campaign.store.trials()
    return TRIALS.checked(rows if status is None else rows[rows["status"].eq(status)])


def mark(folder: Path | str, status: TrialStatus, genes: Sequence[str] = ()) -> pd.DataFrame:
    """Say what became of trials: running, failed or abandoned.

    Parameters
    ----------
    folder
        Campaign folder.
    status
        What became of them. Genes of abandoned trials may be proposed again, those of failed ones are not.
    genes
        Symbols or Ensembl ids; all that await their outcome where it is empty.

    Returns
    -------
    TRIALS rows that changed.
    """
    with working(Path(folder)) as campaign:
        rows = campaign.store.trials()
        if rows.empty:
            msg = f"A trial is a gene that was taken into a batch; none was yet. Take one with `perturbloop propose {folder} --accept`."
            raise DesignError(msg)
        id_of = dict(zip(rows["gene_name"].str.upper(), rows["gene_id"], strict=True))
        id_of |= {gene: gene for gene in rows["gene_id"]}
        unknown = [gene for gene in genes if gene.upper() not in id_of]
        if unknown:
            msg = (
                f"Trials are named by the symbol or id of a gene that was taken into a batch; {some(unknown)} was not. "
                f"Did you mean {closest(unknown[0], rows['gene_name'])}?"
            )
            raise GeneIdError(msg)
        changed = marked(rows, status, [id_of[gene.upper()] for gene in genes], when=datetime.now(UTC))
        campaign.store.save_trials(changed)
        return changed


def tell(folder: Path | str, outcomes: Path | Mapping[str, bool]) -> pd.DataFrame:
    """Tell outcomes that were typed by hand; TRIALS rows that changed.

    Parameters
    ----------
    folder
        Campaign folder.
    outcomes
        Path of a table with the columns `gene` and `hit`, or symbol or Ensembl id -> hit: see `data.outcomes`.
    """
    with working(Path(folder)) as campaign:
        names = inputs_of(campaign).names
        hit_of = (
            read_hits(outcomes, names=names) if isinstance(outcomes, Path) else hits_of(outcomes, names=names)
        )
        changed = told_by_hand(campaign.store.trials(), hit_of, when=datetime.now(UTC))
        campaign.store.save_trials(changed)
        return changed


def told(folder: Path | str) -> list[Told]:
    """Batches whose outcome is known, at least in part: predicted against observed hits, in the order of their outcomes."""
    return calibration_of(trials(folder))[1]
