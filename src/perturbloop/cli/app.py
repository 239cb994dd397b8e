"""All commands; each is parsed here and does its work in `loop` or `train`."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from perturbloop import __version__
from perturbloop.cli.combine import combine
from perturbloop.cli.curves import curves
from perturbloop.cli.output import progress, refusals, say
from perturbloop.cli.record import record
from perturbloop.errors import printable
from perturbloop.progress import tell
from perturbloop.schema import DEFAULT_KINDS

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Close the loop between in-silico and real perturbations of single cells.",
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Campaign folder.")]
Workers = Annotated[
    int, typer.Option(help="Processes of a local Ray cluster for the in-silico edits; 0 = this one alone.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


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


@app.command()
def init(
    folder: Folder,
    cells: Annotated[Path, typer.Option(help="h5ad file with raw counts of both states.")],
    state_column: Annotated[str, typer.Option(help="Column of obs that holds the state.")],
    start: Annotated[str, typer.Option(help="State the cells are in.")],
    goal: Annotated[str, typer.Option(help="State they should move to.")],
    model: Annotated[Path, typer.Option(help="Folder of the foundation model.")],
    vocabulary: Annotated[
        Path | None, typer.Option(help="Folder of the published dictionaries, if the model has no own.")
    ] = None,
    donor_column: Annotated[str | None, typer.Option(help="Column of obs that holds the donor.")] = None,
    design: Annotated[
        str | None, typer.Option(help="paired, nested or single; found by itself by default.")
    ] = None,
    gene_column: Annotated[str | None, typer.Option(help="Column of var with the gene ids.")] = None,
    min_cells: Annotated[int, typer.Option(help="Least number of cells of a state.")] = 20,
    emb_layer: Annotated[
        int, typer.Option(help="Layer the embedding is read from: 0 = last, -1 = one before it.")
    ] = 0,
    kinds: Annotated[str, typer.Option(help="In-silico edits, separated by commas.")] = ",".join(
        DEFAULT_KINDS
    ),
    cells_per_gene: Annotated[
        int, typer.Option(help="Start cells each gene is edited in by the exact engine.")
    ] = 20,
    engine: Annotated[str, typer.Option(help="exact, or fast: screen all cells and verify what decides.")] = (
        "exact"
    ),
    top: Annotated[int, typer.Option(help="Fast engine: best genes to find and confirm.")] = 50,
    width: Annotated[
        float, typer.Option(help="Fast engine: widest 95 % interval of any gene, in logits; 0 = any.")
    ] = 0.0,
    screen_cells: Annotated[int, typer.Option(help="Fast engine: start cells to screen.")] = 200,
    dose: Annotated[float, typer.Option(help="How far inhibit and activate move a gene, 0 to 1.")] = 1.0,
    after_delete: Annotated[
        str, typer.Option(help="shorten, or refill: the next gene beyond the length limit moves up.")
    ] = "shorten",
    not_expressed: Annotated[
        str, typer.Option(help="skip, or insert: raise genes in cells that do not express them.")
    ] = "skip",
    precision: Annotated[str, typer.Option(help="auto, float32 or mixed (bfloat16 products).")] = "auto",
    de: Annotated[
        str, typer.Option(help="Test of differential expression: auto, pseudobulk, metacells or rank-sum.")
    ] = "auto",
    pathway: Annotated[
        str | None,
        typer.Option(
            help="Stimulus or gene set whose genes are a baseline; by default the one recognized in the states."
        ),
    ] = None,
    positive_controls: Annotated[
        str,
        typer.Option(
            help="Genes that must move cells to the goal, by commas: CD3E, or with action CD3E:inhibit."
        ),
    ] = "",
    negative_controls: Annotated[
        str, typer.Option(help="Genes that can do nothing in these cells, separated by commas.")
    ] = "",
    gene_sets: Annotated[
        Path | None,
        typer.Option(
            help="GMT file behind annotation degree; targets that share no set with a training target are judged apart."
        ),
    ] = None,
    essential_genes: Annotated[
        Path | None,
        typer.Option(
            help="File of core essential genes, flagged and judged apart: one a line, or a table with a column gene."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of splits, draws and training.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Check the cells and make a campaign folder."""
    from perturbloop.loop.campaign import init as make
    from perturbloop.schema import CampaignConfig

    tree: dict[str, Any] = {
        "cells": {
            "path": str(cells.resolve()),
            "state_column": state_column,
            "start": start,
            "goal": goal,
            "donor_column": donor_column,
            "design": design,
            "gene_column": gene_column,
            "min_cells": min_cells,
        },
        "train": {
            "model": str(model.resolve()),
            "vocabulary": str(vocabulary.resolve()) if vocabulary else None,
            "emb_layer": emb_layer,
            "seed": seed,
        },
        "perturb": {
            "kinds": tuple(kinds.split(",")),
            "cells_per_gene": cells_per_gene,
            "engine": engine,
            "top": top,
            "width": width,
            "screen_cells": screen_cells,
            "dose": dose,
            "after_delete": after_delete,
            "not_expressed": not_expressed,
            "precision": precision,
            "seed": seed,
        },
        "evaluate": {
            "de": de,
            "pathway": pathway,
            "positive_controls": _listed(positive_controls),
            "negative_controls": _listed(negative_controls),
            "seed": seed,
            "gene_sets": str(gene_sets.resolve()) if gene_sets else None,
            "essential_genes": str(essential_genes.resolve()) if essential_genes else None,
        },
    }
    with refusals(as_json=as_json):
        inputs = make(folder, CampaignConfig.from_dict(tree))
    lines = [*inputs.lines(), *inputs.states.warnings, f"Campaign made. Next: perturbloop play {folder}"]
    say({"folder": str(folder), "lines": lines}, lines, as_json=as_json)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _step(folder: Path, until: str, as_json: bool, *, workers: int = 0) -> None:
    from perturbloop.loop.campaign import play as run

    with refusals(as_json=as_json), progress():
        played = run(folder, until=until, workers=workers)
    done = f"Round {played.round}: {', '.join(played.done)} done." if played.done else ""
    lines = [line for line in (done, *played.lines) if line]
    say(
        {"folder": str(folder), "round": played.round, "done": list(played.done), "lines": lines},
        lines,
        as_json=as_json,
    )


@app.command()
def check(folder: Folder, as_json: AsJson = False) -> None:
    """Check the input again and report gene mapping and token coverage."""
    from perturbloop.loop.campaign import checked

    with refusals(as_json=as_json):
        lines = checked(folder)
    say({"folder": str(folder), "lines": lines}, lines, as_json=as_json)


@app.command()
def train(folder: Folder, as_json: AsJson = False) -> None:
    """Train the state models that are stale."""
    _step(folder, "train", as_json)


@app.command()
def perturb(
    folder: Folder,
    workers: Workers = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print passes, FLOPs, time and memory, and do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Perturb genes in silico; a killed run goes on where it stopped."""
    if not dry_run:
        _step(folder, "perturb", as_json, workers=workers)
        return
    from perturbloop.loop.campaign import dry_run as estimate

    with refusals(as_json=as_json):
        costs = estimate(folder)
    lines = [f"{title}: {line}" for title, cost in costs.items() for line in cost.lines()]
    say({title: cost.to_dict() for title, cost in costs.items()}, lines, as_json=as_json)


@app.command()
def evaluate(folder: Folder, as_json: AsJson = False) -> None:
    """Rank the genes and judge every method on the held-out targets."""
    _step(folder, "evaluate", as_json)


@app.command()
def propose(folder: Folder, as_json: AsJson = False) -> None:
    """List a greedy and a chance batch of experiments."""
    from perturbloop.loop.campaign import proposals

    with refusals(as_json=as_json), progress():
        table = proposals(folder)
    lines = [
        f"{row.policy:8} {row.place:3d}  {row.action:8} {row.gene_name:12} {row.benefit:+.3f}  {row.reason}"
        for row in table.itertuples()
    ]
    say({"proposals": table.to_dict("records")}, lines, as_json=as_json)


@app.command()
def play(folder: Folder, workers: Workers = 0, as_json: AsJson = False) -> None:
    """Play one round: every step that is stale, then the report."""
    _step(folder, "report", as_json, workers=workers)


app.command()(record)
app.command()(combine)
app.command()(curves)


@app.command()
def report(folder: Folder, as_json: AsJson = False) -> None:
    """Show the last round as tables; the same is in its report.html."""
    from perturbloop.loop.campaign import show
    from perturbloop.report import tables as report_tables

    with refusals(as_json=as_json):
        path, shown, tree = show(folder)
    if as_json:
        say(tree, (), as_json=True)
        return
    console = Console()
    for table in report_tables(shown):
        console.print(table)
    typer.echo(printable(f"Report: {path}"))


@app.command()
def pretrain(
    folder: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder to make.")],
    files: Annotated[list[Path], typer.Argument(help="h5ad files with raw counts.")],
    vocabulary: Annotated[Path, typer.Option(help="Folder of the published dictionaries.")],
    gene_column: Annotated[
        str | None, typer.Option(help="Column of var with the gene ids, in all files.")
    ] = None,
    layers: Annotated[int, typer.Option(help="Transformer layers.")] = 4,
    hidden: Annotated[int, typer.Option(help="Length of an embedding.")] = 128,
    heads: Annotated[int, typer.Option(help="Attention heads; 0 = one for every 32 dimensions.")] = 0,
    intermediate: Annotated[
        int, typer.Option(help="Width of the feed-forward part; 0 = twice the embedding.")
    ] = 0,
    max_length: Annotated[int, typer.Option(help="Most tokens a cell may have.")] = 512,
    positions: Annotated[
        str, typer.Option(help="smooth (fixed sine waves) or learned (as in published models).")
    ] = "smooth",
    minutes: Annotated[float, typer.Option(help="Time budget.")] = 20.0,
    steps: Annotated[int, typer.Option(help="Number of steps instead of a time budget; 0 = by time.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of weights, masks and batches.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Pretrain a small model by masked-gene learning, where no published weights are at hand."""
    from perturbloop.data.cells import read_cells
    from perturbloop.data.vocabulary import Vocabulary
    from perturbloop.train.pretrain import pretrain as learn
    from perturbloop.train.pretrain_config import PretrainConfig

    with refusals(as_json=as_json), progress():
        config = PretrainConfig(
            layers=layers,
            hidden=hidden,
            heads=heads,
            intermediate=intermediate,
            max_length=max_length,
            positions=cast("Any", positions),
            minutes=minutes,
            steps=steps,
            seed=seed,
        )
        words = Vocabulary.published(vocabulary)
        cells = [read_cells(path, vocabulary=words, gene_column=gene_column)[0] for path in files]
        done = learn(
            cells,
            words,
            folder,
            config,
            on_step=lambda step, share, loss: tell("pretrain", round(1000 * share), 1000),
        )
    lines = [*done.lines(), f"Model: {folder}"]
    say(done.to_dict(), lines, as_json=as_json)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the simulated world.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Play the whole loop on simulated cells with a known answer."""
    from perturbloop.loop.demo import demo as run
    from perturbloop.report import tables as report_tables

    with refusals(as_json=as_json), progress():
        tree, shown, lines = run(folder, seed=seed)
    if not as_json:
        console = Console()
        for table in report_tables(shown):
            console.print(table)
    say(tree, lines, as_json=as_json)
