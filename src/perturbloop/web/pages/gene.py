"""Everything about one gene; and which gene a name means."""

from urllib.parse import quote

import pandas as pd
from starlette.requests import Request

from perturbloop.data.hgnc import symbols
from perturbloop.errors import alike, some
from perturbloop.report.compose import gate_failure
from perturbloop.report.gene import GeneAnswer, GeneAnswers, kept_apart
from perturbloop.report.gene_sections import Beside, gene_sections
from perturbloop.report.ranks import read_ranks
from perturbloop.web.pages.ranking import names_of
from perturbloop.web.served import Served, Shown
from perturbloop.web.sources import drug_rows, library_rows, recorded_rows, rows_of_round
from perturbloop.web.view import View

LINKS = (
    ("Ensembl", "https://www.ensembl.org/Homo_sapiens/Gene/Summary?g={id}"),
    ("NCBI Gene", "https://www.ncbi.nlm.nih.gov/gene/?term={id}"),
    ("DepMap", "https://depmap.org/portal/gene/{name}"),
    ("Open Targets", "https://platform.opentargets.org/target/{id}"),
)
"""Where else a gene is described; what is opened there tells its owner which gene is looked at."""


def gene(served: Served, request: Request) -> View:
    """A gene by its id, its symbol or another name."""
    shown, asked = served.shown(), request.path_params["symbol"]
    if shown is None:
        return View("waiting.html", tree={"rounds": 0})
    ids = names_of(shown).meant(asked)
    if len(ids) != 1:
        return _unclear(shown, asked, ids)
    found = _answers(shown).of(ids[0])
    beside, effects = _beside(served, shown, found), _effects(shown, found)
    near = neighbors(shown, found)
    tree = found.to_dict() | {
        "links": dict(_links(found)),
        "neighbors": near,
        "effects": effects,
        **{
            name: getattr(beside, name)
            for name in ("ranks", "guides", "replicates", "library", "drugs", "trials", "expression", "sets")
        },
    }
    context = {
        "found": found,
        "sections": gene_sections(found, near, effects, beside),
        "links": _links(found),
    }
    return View("gene.html", context, tree, beside.ranks)


def lookup(served: Served, request: Request) -> View:
    """The gene that a name means: its page, or what the name may mean."""
    shown, asked = served.shown(), request.query_params.get("q", "").strip()
    if shown is None:
        return View("waiting.html", tree={"rounds": 0})
    if not asked:
        return View(
            "gene_unclear.html",
            {"asked": "", "choices": [], "said": "Name a gene: symbol, alias or Ensembl id."},
        )
    ids = names_of(shown).meant(asked)
    return View("", to=f"/gene/{quote(ids[0], safe='')}") if len(ids) == 1 else _unclear(shown, asked, ids)


def _unclear(shown: Shown, asked: str, ids: tuple[str, ...]) -> View:
    """Several genes, or none: what the name may mean."""
    names = names_of(shown)
    if ids:
        choices = [(names.name_of[gene], gene) for gene in ids]
        said = f"`{asked}` is a name of {len(ids)} genes: {some(name for name, _ in choices)}."
        return View(
            "gene_unclear.html",
            {"asked": asked, "choices": choices, "said": said},
            {"said": said, "choices": ids},
        )
    elsewhere = some(row[0] for row in symbols().meant(asked))
    known = f" HGNC knows it as {elsewhere}." if symbols().meant(asked) else ""
    said = f"The file of the cells does not hold `{asked}`, so nothing can be said of it.{known}"
    near = alike(asked.upper(), names.name_of.values(), limit=6)
    choices = [(name, gene) for name in near for gene in names.ids_of.get(name.upper(), ())]
    context = {"asked": asked, "choices": choices, "said": said}
    return View("gene_unclear.html", context, {"said": said, "closest": near}, status=404)


def _answers(shown: Shown) -> GeneAnswers:
    return shown.once("answers", lambda: GeneAnswers(shown.report, gate_failure(shown.folder)))


def _effects(shown: Shown, found: GeneAnswer) -> pd.DataFrame:
    """Its EFFECTS rows, also of single guides."""
    effects = shown.report.effects
    return effects[effects["gene_id"].eq(found.gene_id)]


def neighbors(shown: Shown, found: GeneAnswer) -> pd.DataFrame:
    """Measured genes that move its expected effect most, with their own effects.

    Parameters
    ----------
    shown, found
        The round, and what it knows of the gene.

    Returns
    -------
    `kind`, `added`, `gene_id`, `gene_name`, `effect_to_goal`, `se`, `hit`.
    """
    beliefs, effects = shown.report.posterior, shown.report.effects
    of_genes = effects[effects["level"].eq("gene")].drop_duplicates("gene_name").set_index("gene_name")
    rows = [
        {"kind": belief.kind, "added": float(added), "gene_id": own["gene_id"], "gene_name": name}
        | {column: own[column] for column in ("effect_to_goal", "se", "hit")}
        for belief in beliefs[beliefs["gene_id"].eq(found.gene_id)].itertuples()
        for added, by, name in (part.partition(" by ") for part in str(belief.neighbors or "").split(", "))
        if by and name in of_genes.index and (own := of_genes.loc[name]) is not None
    ]
    return pd.DataFrame(
        rows, columns=["kind", "added", "gene_id", "gene_name", "effect_to_goal", "se", "hit"]
    )


def _beside(served: Served, shown: Shown, found: GeneAnswer) -> Beside:
    gene_id, trials = found.gene_id, served.ledger().trials
    ranks = shown.once("ranks", lambda: read_ranks(shown.report, shown.folder))
    apart = shown.once("kept apart", lambda: kept_apart(shown.report.effects))
    return Beside(
        ranks=ranks.of(gene_id),
        guides=recorded_rows(served, shown, "guides", gene_id),
        replicates=recorded_rows(served, shown, "replicates", gene_id),
        kept_apart=gene_id in apart,
        library=library_rows(served, shown, gene_id),
        drugs=drug_rows(shown, gene_id, found.gene_name),
        trials=trials[trials["gene_id"].eq(gene_id)],
        expression=rows_of_round(shown, "expression", gene_id),
        sets=rows_of_round(shown, "sets", gene_id),
    )


def _links(found: GeneAnswer) -> list[tuple[str, str]]:
    known = {"id": quote(found.gene_id, safe=""), "name": quote(found.gene_name, safe="")}
    return [(title, address.format(**known)) for title, address in LINKS]
