"""The points of a campaign's learning curves: what each may know, and how it is scored on the held-out targets."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from perturbloop.data.splits import trains
from perturbloop.design.panels import PanelRule, panel
from perturbloop.errors import LeakageError, some
from perturbloop.evaluate import baselines
from perturbloop.evaluate.curves import EVIDENCE, LEVELS, Point, methods_at, point_rows
from perturbloop.evaluate.held_out import Truth, held_out
from perturbloop.evidence.channel import (
    Evidence,
    Networks,
    effects_of_kind,
    evidence_predictions,
)
from perturbloop.loop.arms import Arm, open_arms
from perturbloop.loop.execute import run_of_arm, train_arm, training_cells
from perturbloop.loop.folder import CampaignFolder
from perturbloop.loop.inputs import Inputs
from perturbloop.loop.recorded import Outcomes
from perturbloop.loop.round import differential_of, networks, rank_arm
from perturbloop.loop.steps import step_keys
from perturbloop.perturb.ranking import predictions_of
from perturbloop.schema import CURVES, PREDICTIONS, Kind, concat
from perturbloop.store import step_key
from perturbloop.store.files import read_table, write_table
from perturbloop.train.sources import TrainingCells


@dataclass
class Ground:
    """What all points stand on: the campaign's held-out targets, open loop, baselines, networks and cells; made when asked for."""

    campaign: CampaignFolder
    inputs: Inputs
    outcomes: Outcomes

    @property
    def folder(self) -> Path:
        """Where points and what they share are kept."""
        return self.campaign.folder / "curves"

    @cached_property
    def key(self) -> str:
        """Hash of data, model, what was recorded, and how it is judged."""
        return step_keys(self.campaign.config, self.inputs)["evaluate"]

    @cached_property
    def held_out(self) -> frozenset[str]:
        """Genes of the held-out half, of any kind."""
        return frozenset(gene for gene, fold in self.outcomes.fold_of.items() if fold >= 0)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Edits of the campaign that were measured."""
        made = self.campaign.config.perturb.kinds
        return tuple(kind for kind in made if kind in self.outcomes.kinds)

    def truth(self, kind: Kind) -> Truth:
        """Held-out targets of a kind."""
        return held_out(self.outcomes.judged, kind)

    def pool(self, kind: Kind) -> pd.DataFrame:
        """Effects of the training targets of a kind that the cells hold: what panels are drawn from."""
        rows = effects_of_kind(self.outcomes.effects, kind)
        usable = trains(self.outcomes.fold_of, without=-1) & set(self.inputs.cells.gene_ids)
        return rows[rows["gene_id"].isin(usable)].sort_values("gene_id", ignore_index=True)

    def hits(self, kind: Kind) -> frozenset[str]:
        """Genes of the pool that any file calls a hit, in either direction."""
        rows = self.outcomes.effects[self.outcomes.effects["hit"].astype(bool)]
        return frozenset(effects_of_kind(rows, kind)["gene_id"]) & set(self.pool(kind)["gene_id"])

    def panel(self, kind: Kind, how: PanelRule, size: int, seed: int) -> tuple[str, ...]:
        """Genes of the largest panel of a draw, kept once drawn; smaller ones are its beginning.

        Parameters
        ----------
        kind
            Edit whose measured training targets the genes are drawn from.
        how
            Rule of the draw: `random`, `hit-enriched` or `coverage`.
        size
            Genes in the panel.
        seed
            Number of the draw; the campaign's own seed counts as well.
        """
        gene_ids = self.pool(kind)["gene_id"].to_numpy(object)
        options = {"kind": kind, "panel": how, "size": size, "seed": seed}
        path = self.folder / "panels" / f"{step_key('panel', config=options, upstream=[self.key])}.parquet"
        if not path.is_file():
            drawn = panel(
                how,
                size,
                gene_ids=gene_ids,
                rng=np.random.default_rng([self.campaign.config.evaluate.seed, seed]),
                hits=self.hits(kind),
                kernel=self.networks.networks[0] if how == "coverage" else None,
            )
            write_table(path, pd.DataFrame({"gene_id": drawn}))
        return tuple(read_table(path)["gene_id"])

    @cached_property
    def base(self) -> pd.DataFrame:
        """PREDICTIONS of what knows no effect, kept once made."""
        path = self.folder / "base" / f"{self.key}.parquet"
        if not path.is_file():
            states, config = self.inputs.states, self.campaign.config
            arm = open_arms(config.perturb.kinds)[0]
            frozen = predictions_of(self._rankings(arm), method=arm.method)
            rng = np.random.default_rng(config.evaluate.seed)
            others = baselines(states.cells, states.is_goal_n, kinds=self.kinds, rng=rng, de=self.de)
            table = concat(PREDICTIONS, [frozen, others])
            write_table(path, table[table["method"].isin(methods_at(LEVELS))])
        return read_table(path)

    @cached_property
    def de(self) -> pd.DataFrame:
        """Differential expression of goal against start."""
        return differential_of(self.inputs, self.campaign.folder)

    @cached_property
    def networks(self) -> Networks:
        """Which genes are alike; the first network is co-expression."""
        return networks(self.inputs, self.de)

    @cached_property
    def cells(self) -> TrainingCells:
        """State cells and recorded cells."""
        return training_cells(self.campaign, self.inputs)

    def scored(self, point: Point) -> pd.DataFrame:
        """Rows CURVES of a point.

        Raises
        ------
        LeakageError
            If a gene of the panel is held out.
        """
        leaked = sorted(self.held_out.intersection(point.genes))
        if leaked:
            msg = (
                f"Genes of a panel teach, so none may be held out; these are: {some(leaked)}. Draw panels from the training "
                "targets; scoring the others would measure memory, not prediction."
            )
            raise LeakageError(msg)
        truth = self.truth(point.kind)
        rows = [
            {"kind": point.kind, "method": method, "panel": point.panel, "seed": point.seed, "k": point.k}
            | row
            for method, predictions in self._predictions(point)
            for row in point_rows(predictions, truth, method=method)
        ]
        return CURVES.checked(pd.DataFrame(rows, columns=CURVES.names))

    def _predictions(self, point: Point) -> Iterator[tuple[str, pd.DataFrame]]:
        """Methods of a point and their PREDICTIONS, made without the held-out targets."""
        if point.method == LEVELS:
            found = self.base[self.base["kind"].eq(point.kind)]
        elif point.method == EVIDENCE:
            found = self._evidence(point, self.base)
        else:
            arm = Arm(
                point.method,
                0,
                self._with_cells(point),
                frozenset(self.truth(point.kind).gene_ids),
                (point.kind,),
            )
            own = predictions_of(self._rankings(arm), method=arm.method)
            base = concat(PREDICTIONS, [self.base, own])
            found = concat(PREDICTIONS, [own, self._evidence(point, base)])
            found = found.assign(fold=0)
        for method, rows in found.groupby("method", sort=False):
            yield str(method), rows

    def _evidence(self, point: Point, base: pd.DataFrame) -> pd.DataFrame:
        """What the evidence channel says that knows the effects of the panel and no other."""
        pool, seed = self.pool(point.kind), self.campaign.config.evaluate.seed
        effects = pool[pool["gene_id"].isin(point.genes)]
        known = Evidence(self.networks, effects, dict.fromkeys(point.genes, -1), seed)
        rng = np.random.default_rng([seed, point.seed, point.k])
        methods = methods_at(point.method)
        found = evidence_predictions(base, known, kind=point.kind, rng=rng, methods=methods)
        return found.assign(fold=0)  # all held-out targets are of fold 0, and none was in the panel

    def _with_cells(self, point: Point) -> frozenset[str]:
        return frozenset(point.genes) & self.outcomes.with_cells

    def _rankings(self, arm: Arm) -> pd.DataFrame:
        """Train an arm, make its edits and rank by them; models and shards are shared with the rounds, none is kept in memory."""
        folder, cells = self.campaign.folder, None if arm.method == "frozen" else self.cells
        trained = train_arm(arm, self.inputs, cells, folder)
        found = run_of_arm(arm, trained, self.inputs, folder).scored()
        return pd.concat([rank_arm(arm, found, kind, self.inputs) for kind in arm.kinds])
