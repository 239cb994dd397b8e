"""A campaign as an object."""

import html
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from perturbloop import asktell
from perturbloop.cli.app import CAMPAIGN, PROPOSED
from perturbloop.cli.output import progress
from perturbloop.cli.record import RECORDED, entry
from perturbloop.errors import InputError, closest, some
from perturbloop.front.given import full, kept, named
from perturbloop.front.shown import Drawing, Page
from perturbloop.loop import campaign as loop
from perturbloop.loop.folder import refuse_taken
from perturbloop.loop.last import recorded_since
from perturbloop.loop.status import Status
from perturbloop.loop.status import status as status_of
from perturbloop.report import compose, figure_of, render, since_lines, summary
from perturbloop.report.answer import answer
from perturbloop.report.gene import GeneAnswer, of_round
from perturbloop.schema import CampaignConfig, Recorded, TrialStatus
from perturbloop.schema.options import nested
from perturbloop.schema.presets import preset as preset_of

if TYPE_CHECKING:
    from perturbloop.front.given import Source, Sources
    from perturbloop.loop.curves import Curves
    from perturbloop.perturb.cost import Cost
    from perturbloop.targets import Found


class Campaign:
    """A campaign: from the cells of two states to the genes that move one to the other, round by round.

    Examples
    --------
    >>> import perturbloop as pl
    >>> study = pl.Campaign.create("study", adata, state="condition", start="stimulated", goal="control",
    ...                            model="small-model")  # doctest: +SKIP
    >>> study.play().ranking.head()  # doctest: +SKIP
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Open a campaign that exists.

        Parameters
        ----------
        folder
            Campaign folder.
        """
        self.folder = Path(folder)
        status_of(self.folder)  # refused now, where there is none

    @classmethod
    def create(
        cls,
        folder: str | PathLike[str],
        cells: "Sources",
        *,
        start: str,
        goal: str,
        model: str | PathLike[str] | None = None,
        preset: str | None = None,
        store: str = "sqlite",
        **options: Any,
    ) -> "Campaign":
        """Check the cells and make a campaign folder; nothing is made where the check fails.

        Parameters
        ----------
        folder
            Folder to make.
        cells
            Cells of both states with raw counts: an AnnData object, in memory or backed, or the path of a file (h5ad, zarr, loom, 10x),
            or a list of paths, whose cells are told apart by the column `batch` of `obs`.
        start, goal
            States, as the state column names them: where the cells are, and where they should go.
        model
            Folder of the foundation model, or the name of a published one; needed where no preset names it.
        preset
            Published recipe whose options hold where none are given here: one of `perturbloop.schema.presets.PRESETS`.
        store
            Where the ledger is: `sqlite`, a file of the folder, or postgresql://HOST/DATABASE without a password, for several people.
        options
            `state` (the column of `obs` that holds the state), `donor`, and every option of `perturbloop init` by its name, for
            instance `counts="layers/counts"`, `subset="cell_type == 'CD4 T'"` or `kinds=("delete",)`.

        Raises
        ------
        InputError
            If an option, a column or a file does not fit.
        """
        place = Path(folder)
        refuse_taken(place, store)
        given = named(options, [option.name for option in CAMPAIGN])
        given |= {"start": start, "goal": goal}
        given |= {} if model is None else {"model": str(Path(model).resolve())}
        given = given if preset is None else preset_of(preset).over(given)
        with kept(place, cells, "cells") as path, progress():
            config = CampaignConfig.from_dict(nested(CAMPAIGN, given | {"cells": path}))
            loop.init(place, config, store=store)
        return cls(place)

    def check(self) -> list[str]:
        """Check the input again; what was found, in words."""
        return loop.checked(self.folder)

    def train(self) -> "Campaign":
        """Train the state models that are stale."""
        return self._played("train")

    def perturb(
        self, *, workers: int = 0, cluster: str = "", store: str = "", dry_run: bool = False
    ) -> "Campaign | dict[str, Cost]":
        """Perturb genes in silico; a killed run goes on where it stopped.

        Parameters
        ----------
        workers
            Processes of a Ray cluster on this machine; 0 = this one alone.
        cluster
            Address of a Ray cluster that runs, in their place.
        store
            Place such as `s3://BUCKET/NAME` where machines without a common disk find each other's shards.
        dry_run
            Whether only the cost is told, by state model.
        """
        return (
            loop.dry_run(self.folder)
            if dry_run
            else self._played("perturb", workers=workers, cluster=cluster, store=store)
        )

    def evaluate(self) -> "Campaign":
        """Rank the genes and judge every method on the held-out targets."""
        return self._played("evaluate")

    def play(self, *, workers: int = 0, cluster: str = "", store: str = "") -> "Campaign":
        """Play one round: every step that is stale, then the report.

        Parameters
        ----------
        workers
            Processes of a Ray cluster on this machine for the in-silico edits; 0 = this one alone.
        cluster
            Address of a Ray cluster that runs, in their place.
        store
            Place such as `s3://BUCKET/NAME` where machines without a common disk find each other's shards.
        """
        return self._played("report", workers=workers, cluster=cluster, store=store)

    def record(
        self,
        perturbed: "Source | None" = None,
        *,
        screen: str | PathLike[str] | None = None,
        replace: bool = False,
        **options: Any,
    ) -> Recorded:
        """Record what was measured, in perturbed cells or by a screen, and freeze what is held out.

        Parameters
        ----------
        perturbed
            Perturbed and control cells with raw counts: an AnnData object, or the path of a file.
        screen
            Rather: the path of a table with one score a gene, or a compound.
        replace
            Whether it may take the place of what was recorded in another way.
        options
            `target`, `control` and `modality` of cells, `higher_is` and `modality` of a screen, and every option of
            `perturbloop record` by its name.

        Returns
        -------
        What was read, with what a reader must know in `warnings`.
        """
        given = named(options, [option.name for option in RECORDED])
        files = {"targets", "label_table", "hits", "guides", "viability"} & set(given)
        given |= {name: str(Path(given[name]).resolve()) for name in files}
        given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        given |= {} if screen is None else {"screen": str(Path(screen).resolve())}
        with kept(self.folder, perturbed, "perturbed") as path, progress():
            given |= {} if path is None else {"perturbed": path}
            return loop.record(self.folder, entry(given), replace=replace)[0]

    def unrecord(self, name: str) -> "Campaign":
        """Take a recorded file back.

        Parameters
        ----------
        name
            Name of the screen, or of the file of cells, as `status` lists them.
        """
        loop.unrecord(self.folder, name)
        return self

    def relocate(
        self,
        *,
        cells: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
        model: str | PathLike[str] | None = None,
    ) -> "Campaign":
        """Say where moved cells or a moved model are now; they must be the same.

        Parameters
        ----------
        cells, model
            New places of the file of cells (of all, where there are several) and of the model's folder; `None` = it has not moved.
        """
        loop.relocate(
            self.folder,
            cells=None if cells is None else full(cells),
            model=None if model is None else Path(model),
        )
        return self

    def propose(
        self,
        budget: int | None = None,
        *,
        anyway: bool = False,
        accept: bool = False,
        out: str | PathLike[str] | None = None,
        pinned: Sequence[str] = (),
        dropped: Sequence[str] = (),
        **options: Any,
    ) -> pd.DataFrame:
        """Choose the genes to measure next; table `PROPOSALS`, best first. Without `accept` or `out` nothing is written down.

        Parameters
        ----------
        budget
            Genes of the batch; the campaign's own number by default.
        anyway
            Whether a batch may rest on a ranking whose control gate failed.
        accept
            Whether the batch is taken: its genes are then trials that await their outcome, and are not proposed again.
        out
            File of the plate, .csv or .xlsx; naming one takes the batch too.
        pinned, dropped
            Genes that the batch must hold (`--with`), and genes that it must not hold (`--without`); symbols or Ensembl ids.
        options
            `goal`, `action`, `library`, `exclude`, `max_per_set`, `controls` and `essential`, as of `perturbloop propose`.

        Returns
        -------
        The batch; its `attrs["lines"]` say what to know before the genes: a failed gate, what the choice rests on, the hits to
        expect, and what came of earlier batches.
        """
        from perturbloop.cli.batch import require_writable, write_batch

        given = named(options, [option.name for option in PROPOSED])
        files = {"library", "exclude"} & {name for name, value in given.items() if value is not None}
        given |= {name: str(Path(given[name]).resolve()) for name in files} | {"budget": budget}
        place = None if out is None else Path(out)
        require_writable(place)
        with progress():
            asked = nested(PROPOSED, given).get("design", {})
            batch = asktell.ask(self.folder, anyway=anyway, pinned=pinned, dropped=dropped, **asked)
        if accept or place is not None:
            asktell.take(self.folder, batch)
        if place is not None:
            write_batch(batch.plate, place)
        table = batch.proposals.copy()
        table.attrs["lines"] = batch.head()
        return table

    @property
    def trials(self) -> pd.DataFrame:
        """Table `TRIALS`: every gene that was taken into a batch, and what became of it."""
        return asktell.trials(self.folder)

    def mark(self, status: TrialStatus, genes: Sequence[str] = ()) -> pd.DataFrame:
        """Say what became of trials: running, failed or abandoned; table `TRIALS`, those that changed.

        Parameters
        ----------
        status
            What became of them. Genes of abandoned trials may be proposed again, those of failed ones are not.
        genes
            Symbols or Ensembl ids; all that await their outcome where it is empty.
        """
        return asktell.mark(self.folder, status, genes)

    def tell(self, outcomes: str | PathLike[str] | Mapping[str, bool]) -> pd.DataFrame:
        """Tell outcomes by hand; table `TRIALS`, those that changed.

        Parameters
        ----------
        outcomes
            Whether each gene was a hit toward the goal, by its symbol or Ensembl id; or the path of a table `gene,hit`.
        """
        return asktell.tell(self.folder, outcomes if isinstance(outcomes, Mapping) else Path(outcomes))

    def report(self) -> Page:
        """Page of the last round; shows itself in a notebook."""
        place = loop.latest_round(self.folder)
        found = compose(place)
        new = recorded_since(self.folder)
        todo = f"perturbloop play {self.folder}" if new else ""
        lines = summary(found, folder=self.folder, todo=todo, more=since_lines(found, new))
        return Page(place / "report.html", render(found), tuple(lines))

    def status(self) -> Status:
        """What the campaign holds, what is stale, what comes next."""
        return status_of(self.folder)

    def gene(self, symbol: str) -> GeneAnswer:
        """All that is known of one gene, also why it is missing.

        Parameters
        ----------
        symbol
            Symbol or Ensembl id.
        """
        return of_round(loop.latest_round(self.folder), symbol)

    def combine(self, genes: "str | PathLike[str] | Sequence[str]", **options: Any) -> pd.DataFrame:
        """Perturb gene sets, pairs and drugs in silico; table `COMBINATIONS`.

        Parameters
        ----------
        genes
            A list of genes, or the path of a file as `perturbloop combine` reads it.
        options
            `kind`, `dose`, `pairs`, `not_expressed` and `skip_unknown`, as of `perturbloop combine`.
        """
        from perturbloop.loop.combine import combine

        with progress():
            return combine(self.folder, Path(genes) if isinstance(genes, PathLike) else genes, **options)

    def targets(
        self,
        *,
        drugs: "Sequence[str | PathLike[str]]" = (),
        categories: "Sequence[str | PathLike[str]]" = (),
        pathways: bool = False,
        out: str | PathLike[str] | None = None,
        **filters: Any,
    ) -> "Found":
        """Genes that a drug could act on, with evidence, cautions and compounds, and whether these do what is needed.

        Parameters
        ----------
        drugs, categories
            Files of compounds and targets, and of categories of druggable genes, beside the collections that were added.
        pathways
            Whether to look for pathways of the best genes, which needs GSEApy.
        out
            File of the table, .csv, or of all tables, .xlsx.
        filters
            Fields of `perturbloop.targets.Filters`: `action`, `druggable`, `approved`, `sign_known`, `without_flags`, `min_certainty`,
            `genes` and `top`.

        Returns
        -------
        Tables `targets` (TARGETS), `compounds`, `groups`, `agreement` and `pathways`.
        """
        from perturbloop.report.targets import targets_of, write_targets
        from perturbloop.targets import Filters

        chosen = Filters(**named(filters, list(vars(Filters()))))
        found, _ = targets_of(
            loop.latest_round(self.folder),
            chosen,
            drugs=[Path(file) for file in drugs],
            categories=[Path(file) for file in categories],
            with_pathways=pathways,
        )
        if out is not None:
            write_targets(found, Path(out))
        return found

    def curves(self, **options: Any) -> "Curves":
        """Measure learning curves.

        Parameters
        ----------
        options
            `ks` (sizes of the panels), `panels`, `seeds`, `levels`, `trained_at`, `workers`, `cluster` and `store`, as of
            `perturbloop curves`; lists rather than texts with commas.
        """
        from perturbloop.loop.curves import curves

        with progress():
            return curves(self.folder, **options)

    def verdict(self) -> str:
        """One sentence: is the ranking better than its controls and than differential expression, on how many hits."""
        return answer(compose(loop.latest_round(self.folder))).sentence

    def plot(self, name: str = "ranking") -> Drawing:
        """Draw a figure of the last round; shows itself in a notebook.

        Parameters
        ----------
        name
            ranking (benefit against certainty), scoreboard, effects, batch, null, expression or curves.
        """
        return Drawing(figure_of(compose(loop.latest_round(self.folder)), name))

    @property
    def ranking(self) -> pd.DataFrame:
        """Table `RANKING` of the last round, best first, the answer's columns first."""
        return self.table("ranking")

    @property
    def scoreboard(self) -> pd.DataFrame:
        """Table `METRICS` of the last round: every method on the held-out targets; empty before any is measured."""
        return self.table("metrics")

    def table(self, name: str) -> pd.DataFrame:
        """Read a table of the last round.

        Parameters
        ----------
        name
            ranking, metrics, gains, effects, proposals, strata, rank_correlations or pathways.
        """
        report = compose(loop.latest_round(self.folder))
        found = getattr(report, name, None)
        if not isinstance(found, pd.DataFrame):
            known = [key for key, value in vars(report).items() if isinstance(value, pd.DataFrame)]
            msg = f"A round has the tables {some(known, limit=20)}; {name!r} came. Did you mean {closest(name, known)}?"
            raise InputError(msg)
        return found

    def _played(self, until: str, **shared: Any) -> "Campaign":
        with progress():
            loop.play(self.folder, until=until, **shared)
        return self

    def __repr__(self) -> str:
        return "\n".join([f"Campaign {self.folder}", *self._verdict(), *self.status().lines()])

    def _repr_html_(self) -> str:
        said = [*self._verdict(), *self.status().lines()]
        items = "".join(f"<li>{html.escape(line)}</li>" for line in said)
        return f"<b>Campaign {html.escape(str(self.folder))}</b><ul>{items}</ul>"

    def _verdict(self) -> list[str]:
        if not self.status().rounds:
            return []
        found = answer(compose(loop.latest_round(self.folder)))
        return [found.sentence, found.gate_sentence]
