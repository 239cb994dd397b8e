"""The batch that a page shows: of the last round, or what a command answered; with its plate."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from perturbloop.data.library import GuideLibrary
from perturbloop.design.calibration import calibration_of, stated
from perturbloop.design.plate import COLUMNS, plate
from perturbloop.design.trials import closed, key_of
from perturbloop.errors import some
from perturbloop.report import RoundReport
from perturbloop.schema import PROPOSALS
from perturbloop.web.asking import Asking
from perturbloop.web.jobs import Job, Jobs
from perturbloop.web.served import Ledger, Served
from perturbloop.web.sources import library_of, library_place

CHANCE = "chance"
NO_LIBRARY = "The plate is without guides: the library `{name}` cannot be read now. Put it back, or name another in `campaign.toml`."
KNOWN = ("measured already", "in a batch that was taken")
"""Reasons to leave genes out that a reader knows."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """A batch with what to expect of it."""

    rows: pd.DataFrame
    """PROPOSALS rows, best first."""
    expected: str
    """Hits to expect, in a sentence."""
    by_chance: float
    """Hits to expect in a batch drawn at random."""
    plate: pd.DataFrame
    """Rows of `design.plate.plate`."""
    rests_on: str = ""
    """What the choice rests on, in a sentence."""
    left_out: tuple[str, ...] = ()
    """Which genes are left out for which reason."""
    asked: bool = False
    """Whether it was asked for here, rather than chosen by the round."""
    caution: str = ""
    """What its plate lacks; empty where it lacks nothing."""

    @property
    def key(self) -> str:
        """Tells it from any other batch."""
        return key_of(self.rows)

    def taken(self, ledger: Ledger) -> list[str]:
        """Genes of it that are in a batch by now."""
        gone = closed(ledger.trials) if len(ledger.trials) else frozenset()
        return self.rows.loc[self.rows["gene_id"].isin(list(gone)), "gene_name"].astype(str).tolist()


def stamp(served: Served) -> str:
    """Changes with whatever a batch depends on: rounds, trials, and what was recorded."""
    ledger = served.ledger()
    held = (ledger.finished, ledger.trials.to_csv(), ledger.config)
    return hashlib.sha256(repr(held).encode()).hexdigest()[:16]


def proposal(served: Served, jobs: Jobs, asking: Asking) -> Proposal | None:
    """The batch of a question; `None` where it was not asked, or something was taken, told or played since.

    Parameters
    ----------
    served, jobs
        The campaign, and the commands of the server.
    asking
        The question.
    """
    job = jobs.find(asking.words)
    if job is not None and isinstance(job.result, Mapping) and job.about == stamp(served):
        return of_job(job)
    shown = served.shown()
    if not asking.plain or shown is None:
        return None
    design, place = served.ledger().config.design, library_place(served)

    def of_this_round() -> Proposal | None:
        library = library_of(served, shown)
        missing = "" if place is None or library is not None else NO_LIBRARY.format(name=place[0].name)
        return of_round(shown.report, library, design.controls, missing)

    made: Proposal | None = shown.once(("proposal", place, design.controls), of_this_round)
    return made


def of_job(job: Job) -> Proposal:
    """What `perturbloop propose --json` answered."""
    tree = job.result
    left_out = tree.get("left_out", {})
    return Proposal(
        rows=PROPOSALS.completed(pd.DataFrame(tree["proposals"])),
        expected=tree["expected"]["sentence"],
        by_chance=float(tree["expected"]["by_chance"]),
        plate=pd.DataFrame(tree["plate"], columns=list(COLUMNS)).fillna(
            {"gene_id": "", "action": "", "guides": "", "sequences": "", "reason": "", "flags": ""}
        ),
        rests_on=tree["rests_on"],
        left_out=tuple(
            f"Left out: {len(names):,} {why}: {some(names, limit=3)}."
            for why, names in left_out.items()
            if why not in KNOWN
        ),
        asked=True,
    )


def of_round(
    report: RoundReport, library: GuideLibrary | None, controls: int, caution: str
) -> Proposal | None:
    """What the last round proposed; `None` where it proposed nothing."""
    every = report.proposals
    rows = every[every["policy"].ne(CHANCE)]
    if rows.empty:
        return None
    rows = rows[rows["policy"].eq(rows["policy"].iloc[0])].sort_values("place", kind="stable")
    rows = rows.reset_index(drop=True)
    calibration, _ = calibration_of(report.trials)
    odds = rows["probability"].to_numpy(float), rows["shift"].fillna(0).to_numpy(float)
    chance = every.loc[every["policy"].eq(CHANCE), "probability"].astype(float)
    return Proposal(
        rows=rows,
        expected="" if rows["probability"].isna().all() else calibration.expected(stated(*odds)).sentence,
        by_chance=float(chance.mean()) * len(rows) if len(chance) else float("nan"),
        plate=plate(
            rows, library=library, controls=controls
        ),  # genes known to act come with a batch that is asked for
        caution=caution,
    )
