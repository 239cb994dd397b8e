"""What a round leaves behind for its report, beside its tables: `facts.json` in its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop.schema import CampaignConfig, Judged, Recorded, RecordedCells, Stimulus, Verdict, frozen
from perturbloop.store.files import read_json, write_json

FILE = "facts.json"


@dataclass(frozen=True, kw_only=True)
class RoundFacts:
    """What decided a round and what it found, apart from its tables."""

    config: CampaignConfig
    """Options and recorded files, as they were."""
    created: str
    """When, in UTC."""
    version: str
    """Version of perturbloop."""
    source: str
    """File of the state cells."""
    data_digest: str
    model_digest: str
    vocabulary_digest: str
    vocabulary: str
    """Generation of the vocabulary."""
    design: str
    """paired, nested or single."""
    n_start: int
    n_goal: int
    """Cells of each state."""
    check_lines: tuple[str, ...] = ()
    """What the check of the input found."""
    warnings: tuple[str, ...] = ()
    """What the design costs."""
    model_lines: tuple[str, ...] = ()
    """What the model says of itself."""
    models: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Title of each state model -> `heldout_auroc`, `n_train`."""
    full_rankings: tuple[str, ...] = ("frozen", "linear")
    """Titles of those that rank all genes, and are not of one fold."""
    verdicts: tuple[Verdict, ...] = ()
    """Checks of the control gate."""
    default: str = "frozen"
    """Method of the ranking where targets of its kind were measured."""
    network_share: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Kind -> network -> its share of what the measured genes say of the others, 0 to 1."""
    collections: tuple[Mapping[str, Any], ...] = ()
    """Gene sets and networks that were read: name, kind, source, version, date, licence and hashes of each."""
    stimulus: Stimulus | None = None
    """What the states look like; `None` where nothing was recognized."""
    judged: tuple[Judged, ...] = ()
    """Per modality, what the held-out targets can tell."""
    gene_sets: str = ""
    """Gene sets that tell pathway-disjoint targets, in words."""
    pydeseq2: bool = True
    """Whether the package for differential expression by pseudobulk was there."""

    def save(self, folder: Path) -> Path:
        """Write `facts.json` into a round's folder; return its path."""
        write_json(folder / FILE, asdict(self) | {"config": self.config.to_dict()})
        return folder / FILE


def write_scores(
    facts: RoundFacts, recorded: Sequence[Recorded], tables: Mapping[str, pd.DataFrame], folder: Path
) -> Path:
    """Write `scores.json`: the scores of a round and what made them, for machines.

    Parameters
    ----------
    facts
        What decided the round.
    recorded
        Recorded files.
    tables
        METRICS, GAINS and RANK_CORRELATIONS rows, by name.
    folder
        Folder of the round.

    Returns
    -------
    The path.
    """
    named = ("data_digest", "model_digest", "vocabulary_digest", "models", "default", "network_share")
    rows = {
        name: tables[name].astype(object).where(tables[name].notna(), None).to_dict("records")
        for name in ("metrics", "gains", "rank_correlations")
    }
    tree = {name: getattr(facts, name) for name in named} | {
        "config": facts.config.to_dict(),
        "seed": facts.config.train.seed,
        "gate": [asdict(verdict) for verdict in facts.verdicts],
        "label_sources": {one.source: one.label_source for one in recorded if isinstance(one, RecordedCells)},
    }
    write_json(folder / "scores.json", tree | rows)
    return folder / "scores.json"


def read_facts(folder: Path, *, todo: str = "") -> RoundFacts:
    """Read the facts of a round; of one that an older version played, what its other files say.

    Parameters
    ----------
    folder
        Folder of the round.
    todo
        What to do where a file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return _of_an_older_round(folder, todo)
    tree = frozen(read_json(path, todo=todo))
    tree.pop("network_skill", None)  # of versions up to 0.1
    tree["config"] = CampaignConfig.from_dict(tree["config"])
    tree["verdicts"] = tuple(Verdict(**entry) for entry in tree["verdicts"])
    tree["judged"] = tuple(Judged(**entry) for entry in tree["judged"])
    if tree["stimulus"] is not None:
        tree["stimulus"] = Stimulus(**frozen(tree["stimulus"]))
    return RoundFacts(**tree)


def _of_an_older_round(folder: Path, todo: str) -> RoundFacts:
    scores: dict[str, Any] = read_json(folder / "scores.json", todo=todo)
    stamp: dict[str, Any] = read_json(folder / "evaluate.json", todo=todo)
    config = CampaignConfig.from_dict(scores["config"])
    return RoundFacts(
        config=config,
        created="",
        version=stamp["version"],
        source=", ".join(Path(path).name for path in config.cells.paths),
        **{name: scores[name] for name in ("data_digest", "model_digest", "vocabulary_digest")},
        vocabulary="",
        design=config.cells.design or "",
        n_start=0,
        n_goal=0,
        warnings=("This round was played by an older version, which kept less of it.",),
        models=scores["models"],
        verdicts=tuple(Verdict(**entry) for entry in scores.get("gate", ())),
        default=scores.get("default", "frozen"),
    )
