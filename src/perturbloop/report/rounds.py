"""The rounds of a campaign so far, from a few small files of each round's folder: no round is composed for it."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from perturbloop.errors import PerturbloopError
from perturbloop.report.answer import answer
from perturbloop.report.content import RoundReport
from perturbloop.report.facts import RoundFacts, read_facts
from perturbloop.report.older import completed
from perturbloop.schema import (
    EFFECTS,
    PATHWAYS,
    POSTERIOR,
    PROPOSALS,
    RANK_CORRELATIONS,
    RANKING,
    ROUNDS,
    concat,
    name_of,
)
from perturbloop.store.files import read_table

CHANCE = "chance"
"""Policy of the batch that is drawn at random."""


def rounds_so_far(folder: Path, *, todo: str = "") -> pd.DataFrame:
    """Say of each finished round up to one what it knew, how its ranking did, and what it proposed.

    Parameters
    ----------
    folder
        Folder of the last round to tell of, `rounds/NNN` of a campaign.
    todo
        What to do where a file is damaged.

    Returns
    -------
    Table ROUNDS, the first round first; an older round whose folder is gone, or cannot be read, is left out.
    """
    return ROUNDS.checked(pd.DataFrame(list(_rounds(folder, todo)), columns=ROUNDS.names))


def _rounds(folder: Path, todo: str) -> Iterator[dict[str, object]]:
    known: set[str] = set()
    for number in range(int(folder.name) + 1):
        place = folder.parent / f"{number:03d}"
        if not all((place / name).is_file() for name in ("evaluate.json", "metrics.parquet")):
            continue
        try:
            facts = read_facts(place, todo=todo)
            judged = _judged(place, facts, todo)
        except PerturbloopError:
            if place == folder:
                raise
            continue  # a damaged old round is left out, and takes no later one with it
        names = [name_of(entry) for entry in facts.config.recorded]
        new = ", ".join(name for name in names if name not in known)
        known = set(names)
        yield {"round": number, "created": facts.created, "recorded": new} | judged


def _judged(place: Path, facts: RoundFacts, todo: str) -> dict[str, object]:
    """Verdict, AUROC and batch of a round."""
    report = _light(place, facts, todo)
    found = answer(report)
    genes = report.effects.loc[report.effects["level"].eq("gene"), "gene_id"]
    told: dict[str, object] = {
        "n_measured": int(genes.nunique()),
        "gate": found.gate,
        "word": found.word,
        "sentence": found.sentence,
        "kind": "",
        "n_hits": 0,
        "n_genes": 0,
        **_proposed(report.proposals),
    }
    if found.judged and found.judged[0].own is not None:
        own = found.judged[0].own
        told |= {"kind": found.judged[0].kind, "auroc": own["value"]}
        told |= {name: own[name] for name in ("ci_low", "ci_high", "n_hits", "n_genes")}
    return told


def _proposed(proposals: pd.DataFrame) -> dict[str, object]:
    policies = [name for name in dict.fromkeys(proposals["policy"]) if name != CHANCE]
    first = policies[0] if policies else ""
    drawn = proposals.loc[proposals["policy"].eq(CHANCE), "probability"].astype(float)
    return {
        "policy": first,
        "n_proposed": int(proposals["policy"].eq(first).sum()),
        "by_chance": drawn.mean(),
    }


def _light(place: Path, facts: RoundFacts, todo: str) -> RoundReport:
    """A round with no more than its verdict needs."""

    def table(name: str, *columns: str) -> pd.DataFrame:
        path = place / f"{name}.parquet"
        return read_table(path, todo=todo, columns=columns) if path.is_file() else pd.DataFrame()

    ranking = RANKING.completed(table("ranking", "kind", "ranked_by").drop_duplicates())
    posterior = POSTERIOR.completed(table("posterior", "kind").drop_duplicates())
    de = pd.DataFrame({"gene_id": [], "log2fc": [], "padj": []})
    return RoundReport(
        title="",
        round_number=int(place.name),
        created=facts.created,
        version=facts.version,
        facts={},
        ranking=completed(ranking, posterior, de, default=facts.default),
        metrics=table("metrics"),
        gains=table("gains"),
        effects=EFFECTS.completed(table("effects", "gene_id", "level")),
        proposals=PROPOSALS.completed(table("proposals", "policy", "probability")),
        gate=facts.verdicts,
        rank_correlations=concat(RANK_CORRELATIONS, []),
        pathways=concat(PATHWAYS, []),
    )
