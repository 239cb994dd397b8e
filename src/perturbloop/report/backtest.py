"""`backtest`: a finished screen replayed for every policy asked for, beside its controls; kept in a folder and gone on with."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from perturbloop import progress
from perturbloop.data.knowledge import collections
from perturbloop.design.finished import Played, read_played
from perturbloop.design.policies import AtRandom, CoverageAlone, Learner, Policy, Static, learners
from perturbloop.design.replay import means_of, play, require_rounds
from perturbloop.design.verdict import Verdict, verdict
from perturbloop.plots import png, replay_curves
from perturbloop.schema import REPLAY, BacktestConfig, concat
from perturbloop.store.files import file_digest, read_table, whole, write_json, write_table


@dataclass(frozen=True)
class Backtest:
    """A replayed screen."""

    folder: Path
    """Where tables, figure and parts are."""
    table: pd.DataFrame
    """Table REPLAY."""
    means: pd.DataFrame
    """Table REPLAY_MEANS."""
    verdict: Verdict
    """What it says."""
    facts: tuple[str, ...]
    """What was read, in words."""
    n_computed: int
    """Repeats of policies that were played now; the others were there."""

    @property
    def figure(self) -> Path:
        """The figure."""
        return self.folder / "backtest.png"

    def lines(self) -> list[str]:
        """Say it in words: the verdict, then a table of the policies after the last round."""
        last = self.means[self.means["round"].eq(self.means["round"].max())]
        size = max(map(len, last["policy"]))
        head = f"  {'':{size}}{'hits':>7}{'hit ratio':>16}{'other':>7}{'FDR':>7}  by round"
        rows = [
            f"  {row.policy:{size}}{row.hits:7.1f}{row.hit_ratio:9.3f} ± {row.sd:.3f}{row.hit_ratio_other:7.3f}"
            f"{row.strict_recall:7.3f}  {' '.join(f'{one:.3f}' for one in self._by_round(str(row.policy)))}"
            for row in last.itertuples()
        ]
        notes = [
            "other: share of the hits that are not core-essential; FDR: of those of FDR < 0.05 among expressed genes",
            f"Figure: {self.figure}",
        ]
        return [
            self.verdict.sentence,
            *self.facts,
            head,
            *(row.replace("nan", "  -") for row in rows),
            *notes,
        ]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _by_round(self, policy: str) -> Sequence[float]:
        return self.means.loc[self.means["policy"].eq(policy), "hit_ratio"].tolist()


def backtest(config: BacktestConfig, folder: Path) -> Backtest:
    """Replay a finished screen; what was played before is not played again.

    Parameters
    ----------
    config
        What is asked for.
    folder
        Where everything is kept: `replay.parquet`, `replay_means.csv`, `backtest.png`, `backtest.json`, and `parts/`, a small file for each
        repeat of a policy, so that a killed run goes on.

    Returns
    -------
    `Backtest`.

    Raises
    ------
    InputError, DesignError
        If a file cannot be read, or there is nothing to replay.
    """
    asked = learners(config.policies, first=config.first, most=config.max_per_set)
    given = read_played(config)
    require_rounds(given.finished, config.rounds, config.batch)
    played = [*asked, *_controls(asked, given)]
    parts = folder / "parts" / _key(config)
    n_runs = len(played) * config.repeats
    tables, n_computed = [], 0
    for number, (policy, repeat) in enumerate(_runs(played, config.repeats)):
        progress.tell("replay", number, n_runs)
        path = parts / f"{re.sub('[^a-z]+', '-', policy.name)}.{repeat}.parquet"
        if not path.is_file():
            n_computed += 1
            write_table(path, _played(given, policy, config, repeat))
        tables.append(read_table(path))
    progress.tell("replay", n_runs, n_runs)
    table = concat(REPLAY, tables)
    found = verdict(table, n_genes=len(given.finished.gene_ids), n_hits=int(given.finished.hit_g.sum()))
    done = Backtest(folder, table, means_of(table), found, given.facts, n_computed)
    _write(done, config)
    return done


def _played(given: Played, policy: Policy, config: BacktestConfig, repeat: int) -> pd.DataFrame:
    numbers = {"rounds": config.rounds, "batch": config.batch, "seed": config.seed, "repeat": repeat}
    return play(given.finished, given.ground, policy, **numbers)


def _controls(asked: Sequence[Learner], given: Played) -> Iterator[Policy]:
    """Permuted feedback of every policy, then those that look at no effect."""
    for policy in asked:
        yield replace(policy, permuted=True)
    yield AtRandom()
    if given.ground.likeness is not None:
        yield CoverageAlone()
    if pd.notna(given.ground.prior_g).any():
        yield Static("prior", given.ground.prior_g)
    if given.sister_g is not None:
        yield Static("sister", given.sister_g)


def _runs(played: Sequence[Policy], repeats: int) -> Iterator[tuple[Policy, int]]:
    """Every policy once, then again: a run that is stopped has something to say."""
    for repeat in range(repeats):
        for policy in played:
            yield policy, repeat


def _key(config: BacktestConfig) -> str:
    """Name of what decides a repeat of a policy: contents of the files, options, collections, version."""
    tree = {name: value for name, value in asdict(config).items() if name not in ("policies", "repeats")}
    named = {name: _contents(value) for name, value in tree.items()}
    held = [one.digest for one in collections()]
    decides = json.dumps([named, held, version("perturbloop")], sort_keys=True)
    return hashlib.sha256(decides.encode()).hexdigest()[:16]


def _contents(value: Any) -> Any:
    """Digest of a file in the place of its path; anything else as it is."""
    if isinstance(value, tuple):
        return [_contents(one) for one in value]
    return file_digest(Path(value)) if isinstance(value, str) and Path(value).exists() else value


def _write(done: Backtest, config: BacktestConfig) -> None:
    write_table(done.folder / "replay.parquet", done.table)
    with whole(done.folder / "replay_means.csv") as beside:
        done.means.to_csv(beside, index=False)
    with whole(done.figure) as beside:
        beside.write_bytes(png(replay_curves(done.means, title=Path(config.screen).name)))
    tree = {
        "verdict": asdict(done.verdict),
        "facts": list(done.facts),
        **asdict(config),
        "version": version("perturbloop"),
    }
    write_json(done.folder / "backtest.json", tree)
