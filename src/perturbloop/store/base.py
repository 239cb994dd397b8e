"""The nouns of the ledger and the verbs that every store has."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

import pandas as pd

from perturbloop.errors import InputError
from perturbloop.schema import Modality


@dataclass(frozen=True)
class Campaign:
    """One question put to one set of cells."""

    name: str
    created: datetime
    package_version: str
    """Version of perturbloop that made it."""
    config: dict[str, Any]
    """`CampaignConfig.to_dict()`."""


@dataclass(frozen=True)
class Round:
    """One turn of the loop; `finished` is missing while it runs."""

    number: int
    opened: datetime
    finished: datetime | None = None


@dataclass(frozen=True)
class Input:
    """A file that was read; the same path with another digest is another input."""

    path: str
    role: str
    """cells, perturbed, screen, model or vocabulary."""
    digest: str
    size: int
    """Bytes."""
    n_cells: int | None = None
    n_genes: int | None = None


@dataclass(frozen=True)
class Step:
    """One step of one round; it counts as done only when `finished` is set and its outputs exist."""

    round: int
    name: str
    key: str
    """What makes it stale when it changes: see `step_key`."""
    started: datetime
    finished: datetime | None
    config: dict[str, Any]
    outputs: dict[str, str]
    """Name -> path, relative to the campaign folder."""
    contents: dict[str, list[Any]]
    """Name of an output -> its size and digest when the step was finished; see `store.files.contents`."""
    place: int
    """Rises with each step that begins: what is later than what, whatever the clock said."""


@dataclass(frozen=True)
class Target:
    """A measured target and how it may be used, for ever."""

    gene_id: str
    modality: Modality
    fold: int
    """-1 = used in training; k >= 0 = held out, judged only by what never saw fold k."""
    frozen_hash: str = ""
    """Hash of the set it was frozen with; set by the store."""


def step_key(
    name: str, *, config: Mapping[str, Any], inputs: Iterable[str] = (), upstream: Iterable[str] = ()
) -> str:
    """Hash that changes when a step has to be done again.

    Parameters
    ----------
    name
        Name of the step.
    config
        Everything that decides its result; must be plain JSON values.
    inputs
        Digests of the files it reads; their order does not matter.
    upstream
        Keys of the steps it uses; their order does not matter.

    Returns
    -------
    16 hexadecimal digits.

    Examples
    --------
    >>> step_key("train", config={"seed": 0}, inputs=["a", "b"]) == step_key("train", config={"seed": 0}, inputs=["b", "a"])
    True
    """
    parts = {"name": name, "config": config, "inputs": sorted(inputs), "upstream": sorted(upstream)}
    try:
        text = json.dumps(parts, sort_keys=True)
    except TypeError as error:
        msg = f"The config of step `{name}` must hold plain JSON values; {error}. Turn it into a dictionary first."
        raise InputError(msg) from error
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class CampaignStore(ABC):
    """Where a campaign remembers; every backend passes the same contract tests."""

    @abstractmethod
    def campaign(self) -> Campaign:
        """Return the campaign."""

    @abstractmethod
    def save_config(self, config: Mapping[str, Any]) -> None:
        """Replace the campaign's config (nested plain values)."""

    @abstractmethod
    def open_round(self) -> Round:
        """Return the round that is not finished yet; open the next one, from 0, where there is none."""

    @abstractmethod
    def finish_round(self, number: int) -> Round:
        """Mark a round as finished."""

    @abstractmethod
    def rounds(self) -> tuple[Round, ...]:
        """All rounds, first to last."""

    @abstractmethod
    def add_input(self, entry: Input) -> None:
        """Record a file that was read; adding it again changes nothing but its role, size and counts."""

    @abstractmethod
    def inputs(self) -> tuple[Input, ...]:
        """All files that were read, in the order in which they came."""

    @abstractmethod
    def start_step(self, number: int, name: str, *, key: str, config: Mapping[str, Any]) -> Step:
        """Record that a step of a round begins; starting it again forgets an earlier end.

        Parameters
        ----------
        number
            Number of a round that was opened, from 0.
        name
            Name of the step.
        key
            What makes it stale when it changes: see `step_key`.
        config
            Options it runs with; must be plain JSON values.
        """

    @abstractmethod
    def finish_step(self, step: Step, *, outputs: Mapping[str, str]) -> Step:
        """Record that a step is done, and what its outputs hold; refused while one of them does not exist."""

    @abstractmethod
    def last_step(self, name: str, *, key: str) -> Step | None:
        """Return the step of this name that began last in any round, if it has this key.

        A step that was begun with another key since then may have overwritten what this key made, so it does not count.
        """

    @abstractmethod
    def finished_step(self, name: str, *, key: str) -> Step | None:
        """Return `last_step`, if it is finished and its outputs still hold what they held then."""

    @abstractmethod
    def steps(self, number: int | None = None) -> tuple[Step, ...]:
        """Steps of one round, or of all, in the order in which they began."""

    @abstractmethod
    def save_scores(self, number: int, metrics: pd.DataFrame) -> None:
        """Record METRICS rows of a round in place of those it had."""

    @abstractmethod
    def scores(self) -> pd.DataFrame:
        """METRICS rows of all rounds, with the column `round` in front."""

    @abstractmethod
    def freeze_targets(self, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Record how targets may be used; refused where one has another fold already. Returns all targets."""

    @abstractmethod
    def targets(self) -> tuple[Target, ...]:
        """All measured targets; refused where the frozen sets do not match their hashes."""

    @abstractmethod
    def save_proposals(self, number: int, proposals: pd.DataFrame) -> None:
        """Record PROPOSALS rows of a round in place of those it had."""

    @abstractmethod
    def proposals(self) -> pd.DataFrame:
        """PROPOSALS rows of all rounds, with the column `round` in front."""

    @abstractmethod
    def save_trials(self, trials: pd.DataFrame) -> None:
        """Record TRIALS rows; one of the same batch and place is replaced, others stay as they are."""

    @abstractmethod
    def trials(self) -> pd.DataFrame:
        """TRIALS rows, by batch and place; `hit` is true, false or missing (pandas' `boolean`)."""

    @abstractmethod
    def hold(self) -> None:
        """Keep processes of other machines out until the store is closed or the process ends; refused where one is in.

        Those of this machine, and of any that sees the folder's lock, are kept out by `lock`.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""

    def __enter__(self) -> "CampaignStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def frozen_hash(targets: Iterable[Target]) -> str:
    """Hash of a set of targets and their folds; the order does not matter.

    >>> one, two = Target("ENSG01", "crispri", 0), Target("ENSG02", "crispri", -1)
    >>> frozen_hash([one, two]) == frozen_hash([two, one])
    True
    """
    rows = sorted((target.gene_id, target.modality, target.fold) for target in targets)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
