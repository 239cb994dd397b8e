"""All commands; each is parsed here and does its work in `loop` or `train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from perturbloop import __version__
from perturbloop.cli.backtest import REPLAYED, backtest
from perturbloop.cli.combine import combine
from perturbloop.cli.curves import curves
from perturbloop.cli.demo import demo
from perturbloop.cli.inspect import inspect
from perturbloop.cli.knowledge import knowledge
from perturbloop.cli.models import models
from perturbloop.cli.options import Cluster, Folder, Store, Workers, command, full, listed
from perturbloop.cli.output import Answer, Commands, width
from perturbloop.cli.record import RECORDED, record
from perturbloop.cli.serve import serve
from perturbloop.cli.store import store
from perturbloop.cli.targets import targets
from perturbloop.errors import InputError, some
from perturbloop.schema import SECTIONS, CampaignConfig
from perturbloop.schema.options import nested, options
from perturbloop.schema.presets import PRESETS, preset
from perturbloop.train.pretrain_config import PretrainConfig

LOOP, STEPS, ASKED = "The loop", "Steps of a round, one alone", "Ask more"
"""Headings of the commands; the others deal with files and models."""
PANELS = {
    "cells": "Cells",
    "train": "Training",
    "perturb": "Edits",
    "evaluate": "Judging",
    "design": "Batch",
    "knowledge": "Knowledge",
    "pretrain": "Model and training",
    "perturbed": "Perturbed cells",
    "screen": "Screens",
}
"""Heading in the help of the options of each section."""
CAMPAIGN = options(
    {name: SECTIONS[name] for name in ("cells", "train", "perturb", "evaluate", "design", "knowledge")},
    names={
        "cells.path": "cells",
        "knowledge.until": "knowledge_until",
        "knowledge.leave_out": "knowledge_leave_out",
    },
)
"""Options of a new campaign."""
PROPOSED = options({"design": SECTIONS["design"]}, names={"design.aim": "goal"})
"""Options of a batch: they hold for the question, those of the campaign stay as they are."""
PRETRAINING = options({"pretrain": PretrainConfig})

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Close the loop between in-silico and real perturbations of single cells.",
)


def _version(asked: bool | None) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Close the loop between in-silico and real perturbations of single cells."""


def _told(folder: Path, lines: list[str], **facts: Any) -> Answer:
    return Answer({"folder": str(folder), **facts, "lines": lines}, lines)


@command(app, *CAMPAIGN, panels=PANELS, heading=LOOP)
def init(
    folder: Folder,
    given: dict[str, Any],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help="Options of a published recipe; those that are typed too win. One of: "
            f"{', '.join(one.name for one in PRESETS)}.",
        ),
    ] = None,
    ledger: Annotated[
        str,
        typer.Option(
            "--store",
            metavar="ADDRESS",
            help="Where the ledger is, not the edits: sqlite, a file of the folder, or postgresql://HOST/DATABASE without a "
            "password, for several people.",
        ),
    ] = "sqlite",
) -> Answer:
    """Check the cells and make a campaign folder."""
    from perturbloop.loop.campaign import init as make

    chosen = None if recipe is None else preset(recipe)
    values = given if chosen is None else chosen.over(given)
    inputs = make(folder, CampaignConfig.from_dict(nested(CAMPAIGN, values)), store=ledger)
    said = [] if chosen is None else chosen.lines(given)
    lines = [*said, *inputs.cautions(), *inputs.lines(), f"Campaign made. Next: perturbloop play {folder}"]
    return _told(folder, lines)


@command(app, heading=LOOP)
def check(folder: Folder) -> Answer:
    """Check the input again and report gene mapping and token coverage."""
    from perturbloop.loop.campaign import checked

    return _told(folder, checked(folder))


def _step(folder: Path, until: str, **shared: Any) -> Answer:
    from perturbloop.loop.campaign import play as run

    played = run(folder, until=until, **shared)
    done = f"Round {played.round}: {', '.join(played.done)} done." if played.done else ""
    lines = [line for line in (done, *played.lines) if line]
    return _told(folder, lines, round=played.round, done=list(played.done))


@command(app, heading=STEPS)
def train(folder: Folder) -> Answer:
    """Train the state models that are stale."""
    return _step(folder, "train")


@command(app, heading=STEPS)
def perturb(
    folder: Folder,
    workers: Workers = 0,
    cluster: Cluster = "",
    store: Store = "",
    part: Annotated[
        str,
        typer.Option(
            help="Score the I-th of N parts, as one of several processes; `perturb` without it collects them.",
            metavar="I/N",
            show_default=False,
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print passes, FLOPs, time and memory, and do nothing.")
    ] = False,
) -> Answer:
    """Perturb genes in silico; a killed run goes on where it stopped."""
    if part:
        from perturbloop.loop.campaign import perturb_part

        beside = {"--workers": workers, "--cluster": cluster, "--dry-run": dry_run}
        others = [option for option, value in beside.items() if value]
        if others:
            msg = f"`--part` goes alone: each part is one process; {some(others)} came too. Leave out one or the other."
            raise InputError(msg)
        return _told(folder, perturb_part(folder, part, store=store))
    if not dry_run:
        return _step(folder, "perturb", workers=workers, cluster=cluster, store=store)
    from perturbloop.loop.campaign import dry_run as estimate

    costs = estimate(folder)
    lines = [f"{title}: {line}" for title, cost in costs.items() for line in cost.lines()]
    return Answer({title: cost.to_dict() for title, cost in costs.items()}, lines)


@command(app, heading=STEPS)
def evaluate(folder: Folder) -> Answer:
    """Rank the genes and judge every method on the held-out targets."""
    return _step(folder, "evaluate")


@command(app, heading=LOOP)
def play(folder: Folder, workers: Workers = 0, cluster: Cluster = "", store: Store = "") -> Answer:
    """Play one round: every step that is stale, then the report."""
    from perturbloop.loop.campaign import show
    from perturbloop.report import summary

    done = _step(folder, "report", workers=workers, cluster=cluster, store=store)
    _, shown, _ = show(folder)
    return Answer(done.tree, [done.lines[0], *summary(shown, width(), folder=folder)])


@command(app, *PROPOSED, panels=PANELS, short={"budget": "-n"}, heading=LOOP)
def propose(
    folder: Folder,
    given: dict[str, Any],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Let a batch rest on a ranking whose control gate failed.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Take the batch, and write its plate to this .csv or .xlsx file."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take the batch: its genes await their outcome.")
    ] = False,
    only_if: Annotated[
        str, typer.Option("--only-if", help="Take only the batch of this key.", hidden=True)
    ] = "",
    pinned: Annotated[
        str, typer.Option("--with", help="Genes that the batch must hold.", metavar="A,B,…")
    ] = "",
    dropped: Annotated[
        str, typer.Option("--without", help="Genes that it must not hold.", metavar="A,B,…")
    ] = "",
    full: Annotated[bool, typer.Option("--full", help="Print every gene with all its reasons.")] = False,
) -> Answer:
    """Choose the genes to measure next; without `-o` or `--accept` nothing is written down."""
    from perturbloop.asktell import ask, take
    from perturbloop.cli.batch import batch_lines, batch_tree, require_writable, taken_lines, write_batch

    require_writable(out)
    asked = nested(PROPOSED, given).get("design", {})
    batch = ask(folder, anyway=anyway, pinned=listed(pinned), dropped=listed(dropped), **asked)
    rows = None
    if out is not None or accept:
        rows = take(folder, batch, only_if=only_if)
    if out is not None:
        write_batch(batch.plate, out)
    lines = [*batch_lines(batch, width(), full=full), *taken_lines(folder, rows, out)]
    return Answer(batch_tree(batch, rows), lines)


@command(app, heading=ASKED)
def trials(
    folder: Folder,
    status: Annotated[
        str | None, typer.Option(help="Only those that are proposed, running, done, failed or abandoned.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--set", help="Set them to running, failed or abandoned.", metavar="STATUS")
    ] = None,
    genes: Annotated[
        list[str] | None,
        typer.Argument(help="Genes that `--set` is for; all that await an outcome without any."),
    ] = None,
) -> Answer:
    """List the genes that were taken into batches, and predicted against found hits; abandoned ones may be proposed again."""
    from perturbloop import asktell
    from perturbloop.cli.batch import trial_lines, trial_tree

    changed = asktell.mark(folder, to, genes or []) if to is not None else None  # type: ignore[arg-type]
    rows, told = asktell.trials(folder, status=status), asktell.told(folder)
    return Answer(trial_tree(rows, told), trial_lines(rows, told, changed, width()))


command(app, *RECORDED, heading=LOOP, panels=PANELS)(record)
command(app, *REPLAYED, heading=ASKED, required=("screen",))(backtest)
command(app, heading=ASKED)(combine)
command(app, heading=ASKED)(curves)
command(app)(knowledge)
command(app)(inspect)
command(app)(models)
command(app)(store)
command(app, heading=ASKED)(targets)


@command(app, heading=ASKED)
def status(folder: Folder) -> Answer:
    """Say what the campaign holds: rounds, recorded files, what is stale, what comes next."""
    from perturbloop.loop.status import status as look

    found = look(folder)
    return Answer(found.to_dict(), found.lines())


@command(app)
def unrecord(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="Recorded file or screen, as `perturbloop status` names it.")],
) -> Answer:
    """Take a recorded file back; genes that a model was trained with stay spent."""
    from perturbloop.loop.campaign import unrecord as take_back

    return _told(folder, take_back(folder, name))


@command(app)
def relocate(
    folder: Folder,
    cells: Annotated[
        list[Path] | None, typer.Option(help="Where the file of the cells is now, or each of several.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Where the folder of the model is now.")] = None,
) -> Answer:
    """Say where moved cells or a moved model are now; they must be the same."""
    from perturbloop.loop.campaign import relocate as move

    return _told(folder, move(folder, cells=full(cells) if cells else None, model=model and model.resolve()))


@command(app, heading=ASKED)
def gene(
    folder: Folder,
    symbol: Annotated[str, typer.Argument(help="Symbol or Ensembl id.")],
) -> Answer:
    """Say all that is known of one gene, also why it is missing."""
    from perturbloop.loop.last import latest_round
    from perturbloop.report.gene import of_round

    found = of_round(latest_round(folder), symbol)
    return Answer(found.to_dict(), found.lines())


@command(app, heading=LOOP)
def report(
    folder: Folder,
    everything: Annotated[bool, typer.Option("--full", help="Print all that the page says.")] = False,
    table: Annotated[
        str | None,
        typer.Option(help="Print one table: ranking, metrics, gains, effects, batch, notes, gate, …"),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print that table as CSV.")] = False,
) -> Answer:
    """Show the last round: the verdict, the best genes, what to do next; its report.html has more."""
    from perturbloop.loop.last import recorded_since, show
    from perturbloop.report import full, since_lines, summary, table_of, text_of

    _, shown, tree = show(folder)
    if table is not None:
        rows = table_of(shown, table)
        lines = rows.to_csv(index=False).splitlines() if as_csv else text_of(rows, width())
        return Answer({table: rows.to_dict("records")}, lines)
    if as_csv:
        msg = (
            "`--csv` prints a table; none is named. Name one with `--table`, for instance `--table ranking`."
        )
        raise InputError(msg)
    if everything:
        return Answer(tree, full(shown, width()))
    new = recorded_since(folder)
    todo = f"perturbloop play {folder}" if new else ""
    return Answer(tree, summary(shown, width(), folder=folder, todo=todo, more=since_lines(shown, new)))


@command(app, *PRETRAINING, panels=PANELS)
def pretrain(
    folder: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder to make.")],
    files: Annotated[list[Path], typer.Argument(help="Files with raw counts: h5ad, zarr, loom or 10x.")],
    vocabulary: Annotated[Path, typer.Option(help="Folder of the published dictionaries.")],
    given: dict[str, Any],
    gene_column: Annotated[
        str | None, typer.Option(help="Column of var with the gene ids, in all files.")
    ] = None,
) -> Answer:
    """Pretrain a small model by masked-gene learning, where no published weights are at hand."""
    from perturbloop.train.pretrain import pretrain_files

    config = PretrainConfig(**nested(PRETRAINING, given).get("pretrain", {}))
    done = pretrain_files(files, folder, config, vocabulary=vocabulary, gene_column=gene_column)
    return Answer(done.to_dict(), [*done.lines(), f"Model: {folder}"])


command(app, heading=LOOP)(serve)
command(app, heading=LOOP)(demo)
