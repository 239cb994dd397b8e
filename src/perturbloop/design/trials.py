"""Trials: the genes that were taken into batches, from proposed to done; TRIALS rows in, TRIALS rows out.

The words are those of Ax and BoTorch: a batch is asked for (`propose`), and its outcomes are told (`record`).
"""

import hashlib
from collections.abc import Collection
from datetime import datetime

import pandas as pd

from perturbloop.errors import DesignError, closest, some
from perturbloop.schema import ACTION, CLOSED, PENDING, TRIALS, TrialStatus, kind_of

BY_HAND = "by hand"
"""Source of an outcome that nobody measured in the campaign."""
ASKED: tuple[TrialStatus, ...] = ("running", "failed", "abandoned")
"""Status that a user may set; the others follow from what is proposed and recorded."""


def key_of(proposals: pd.DataFrame) -> str:
    """Tell a batch from any other: hash of its genes and what is done to them, in their order.

    Parameters
    ----------
    proposals
        PROPOSALS rows, best first.
    """
    rows = zip(proposals["gene_id"], proposals["action"], strict=True)
    said = ",".join(f"{gene}:{action}" for gene, action in rows)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def taken(proposals: pd.DataFrame, trials: pd.DataFrame, *, when: datetime) -> pd.DataFrame:
    """Take a proposed batch: TRIALS rows of the next batch.

    Parameters
    ----------
    proposals
        PROPOSALS rows of one policy.
    trials
        TRIALS rows so far.
    when
        The time, with its zone.
    """
    number = int(trials["batch"].max()) + 1 if len(trials) else 0
    rows = proposals.assign(
        batch=number,
        predicted=proposals["probability"],
        status="proposed",
        hit=pd.array([pd.NA] * len(proposals), dtype="boolean"),
        source="",
        proposed=pd.Timestamp(when),
        told=pd.to_datetime(pd.Series([pd.NaT] * len(proposals), index=proposals.index), utc=True),
    )
    return TRIALS.checked(rows)


def pending(trials: pd.DataFrame) -> frozenset[str]:
    """Genes whose outcome is awaited."""
    return frozenset(trials.loc[trials["status"].isin(PENDING), "gene_id"])


def closed(trials: pd.DataFrame) -> frozenset[str]:
    """Genes that are not proposed again: all but those of abandoned trials."""
    return frozenset(trials.loc[trials["status"].isin(CLOSED), "gene_id"])


def told(trials: pd.DataFrame, effects: pd.DataFrame, *, source: str, when: datetime) -> pd.DataFrame:
    """Match measured effects to the trials that await them; a hit is one toward the goal, by the action that was proposed.

    Parameters
    ----------
    trials
        TRIALS rows.
    effects
        EFFECTS rows.
    source
        Name of the file they were measured in.
    when
        The time, with its zone.

    Returns
    -------
    TRIALS rows that changed: done, with their outcome. Those that this source told before are told anew.
    """
    rows = effects[effects["level"].eq("gene")]
    action = rows["modality"].map(lambda modality: ACTION[kind_of(modality)])
    toward = rows["hit"].astype(bool) & rows["effect_to_goal"].gt(0)
    hit_of = dict(zip(zip(rows["gene_id"], action, strict=True), toward, strict=True))
    return _done(trials, hit_of, source=source, when=when)


def told_by_hand(trials: pd.DataFrame, hit_of: dict[str, bool], *, when: datetime) -> pd.DataFrame:
    """Match a list of genes, hit or not, to the trials that await them.

    Parameters
    ----------
    trials
        TRIALS rows.
    hit_of
        Ensembl id -> whether the gene was a hit toward the goal.
    when
        The time, with its zone.

    Returns
    -------
    TRIALS rows that changed.

    Raises
    ------
    DesignError
        If none of the genes has a trial that awaits its outcome.
    """
    both = {(gene, action): hit for gene, hit in hit_of.items() for action in set(ACTION.values())}
    found = _done(trials, both, source=BY_HAND, when=when)
    if found.empty:
        awaited = trials.loc[trials["status"].isin(PENDING), "gene_name"]
        msg = (
            f"Outcomes are matched to genes of a batch that was taken; none of the {len(hit_of):,} genes of this list awaits one. "
            f"Awaited are {some(awaited)}. Take a batch with `perturbloop propose DIR --accept`, or record effects as a screen."
        )
        raise DesignError(msg)
    return found


def _done(
    trials: pd.DataFrame, hit_of: dict[tuple[str, str], bool], *, source: str, when: datetime
) -> pd.DataFrame:
    keys = list(zip(trials["gene_id"], trials["action"], strict=True))
    here = pd.Series([key in hit_of for key in keys], index=trials.index, dtype=bool)
    waits = trials["status"].isin(PENDING) | (trials["status"].eq("done") & trials["source"].eq(source))
    rows = trials[here & waits]
    hits = [hit_of[key] for key, known in zip(keys, here & waits, strict=True) if known]
    known = pd.array(hits, dtype="boolean")
    return rows.assign(status="done", hit=known, source=source, told=pd.Timestamp(when))


def untold(trials: pd.DataFrame, source: str, *, when: datetime) -> pd.DataFrame:
    """Trials that a file told, which is taken back: their outcome is awaited again. TRIALS rows that changed."""
    rows = trials[trials["status"].eq("done") & trials["source"].eq(source)]
    none = pd.array([pd.NA] * len(rows), dtype="boolean")
    return rows.assign(status="running", hit=none, source="", told=pd.Timestamp(when))


def marked(
    trials: pd.DataFrame, status: TrialStatus, gene_ids: Collection[str], *, when: datetime
) -> pd.DataFrame:
    """Set the status of trials by hand.

    Parameters
    ----------
    trials
        TRIALS rows.
    status
        running, failed or abandoned.
    gene_ids
        Genes whose trials are meant; all that await their outcome where it is empty.
    when
        The time, with its zone.

    Returns
    -------
    TRIALS rows that changed.

    Raises
    ------
    DesignError
        If the status is none of these, or a gene has no trial without an outcome.
    """
    if status not in ASKED:
        msg = (
            f"A trial is set to {some(ASKED)}; {status!r} came. Did you mean {closest(status, ASKED)}? Outcomes come with "
            "`perturbloop record`."
        )
        raise DesignError(msg)
    open_ = trials[~trials["status"].isin(["done", "abandoned"])]
    unknown = sorted(set(gene_ids) - set(open_["gene_id"]))
    if unknown or open_.empty:
        msg = (
            f"Only a trial without an outcome can be set to {status}; there is none of {some(unknown) if unknown else 'any gene'}. "
            f"Open are {some(open_['gene_name'])}. `perturbloop trials DIR` lists all."
        )
        raise DesignError(msg)
    rows = open_[open_["gene_id"].isin(gene_ids)] if gene_ids else open_[open_["status"].isin(PENDING)]
    return rows.assign(status=status, told=pd.Timestamp(when))
