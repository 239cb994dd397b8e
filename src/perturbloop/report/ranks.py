"""Where every method of a round puts every gene, in little memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturbloop.report.compose import PLAY_AGAIN
from perturbloop.report.content import RoundReport
from perturbloop.schema import METHODS
from perturbloop.store.files import own

FULL = -1
"""Fold of a method's ranking of all genes."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """Places and scores of all genes by all methods; axes k kinds, m methods, g genes."""

    kinds: tuple[str, ...]
    methods: tuple[str, ...]
    """Names, in the order of `METHODS`."""
    places: dict[str, int]
    """Gene -> its place on the axis of genes."""
    rank_kmg: Float[np.ndarray, "k m g"]
    """1 = best, genes of like score share the best place; among the genes of the ranking that are scored. NaN without a score."""
    score_kmg: Float[np.ndarray, "k m g"]
    """Higher = more benefit; in the unit of the method."""
    n_km: np.ndarray
    """Genes that are ranked."""

    def of(self, gene_id: str) -> pd.DataFrame:
        """Ranks of one gene, a row for each kind and method that scores it.

        Parameters
        ----------
        gene_id
            Ensembl id.

        Returns
        -------
        `kind`, `method`, `title`, `role`, `rank`, `of`, `score`, `measured` (whether measured effects of genes go in).
        """
        place, known = self.places.get(gene_id, -1), {entry.name: entry for entry in METHODS}
        rows = [
            (
                kind,
                name,
                known[name].title,
                known[name].role,
                rank,
                int(self.n_km[k, m]),
                score,
                known[name].uses_effects,
            )
            for k, kind in enumerate(self.kinds)
            for m, name in enumerate(self.methods)
            if place >= 0
            and (rank := float(self.rank_kmg[k, m, place])) == rank
            and (score := float(self.score_kmg[k, m, place])) == score
        ]
        return pd.DataFrame(
            rows, columns=["kind", "method", "title", "role", "rank", "of", "score", "measured"]
        )


def read_ranks(report: RoundReport, folder: Path) -> Ranks:
    """Rank all genes by all methods that rank all of them.

    Parameters
    ----------
    report
        The round.
    folder
        Its folder.

    Raises
    ------
    StoreError
        If its predictions are missing or damaged.
    """
    path = folder / "predictions.parquet"
    with own(path, todo=PLAY_AGAIN):
        methods, kinds, genes, score = _columns(path)
    names = tuple(entry.name for entry in METHODS if entry.name in set(methods[1]))
    known = tuple(dict.fromkeys(report.ranking["kind"]))
    places = {gene: place for place, gene in enumerate(genes[1])}
    score_kmg = np.full((len(known), len(names), len(places)), np.nan, dtype=np.float32)
    m, k = (
        _into(own_names, wanted)[code] for (code, own_names), wanted in ((methods, names), (kinds, known))
    )
    kept = (m >= 0) & (k >= 0)
    score_kmg[k[kept], m[kept], genes[0][kept]] = score[kept]
    rank_kmg, n_km = _ranked(score_kmg, known, places, report.ranking)
    return Ranks(known, names, places, rank_kmg, score_kmg, n_km)


def _columns(path: Path) -> tuple:
    """Codes and names of methods, kinds and genes, and the scores, of the full rankings alone."""
    import pyarrow.parquet as pq

    words = ["method", "kind", "gene_id"]
    table = pq.read_table(
        path,
        columns=[*words, "score"],
        filters=[("fold", "=", FULL)],
        read_dictionary=words,
        page_checksum_verification=True,
    ).unify_dictionaries()
    table = table.combine_chunks()
    if not table.num_rows:
        return (*[(np.empty(0, dtype=int), [])] * 3, np.empty(0))
    columns = [table[word].chunk(0) for word in words]
    codes = [(column.indices.to_numpy(), column.dictionary.to_pylist()) for column in columns]
    return (*codes, table["score"].to_numpy())


def _into(names: list[str], wanted: tuple[str, ...]) -> np.ndarray:
    """Place of each name among the wanted ones; −1 where it is none."""
    return pd.Index(wanted, dtype=object).get_indexer(pd.Index(names, dtype=object))


def _ranked(
    score_kmg: np.ndarray, kinds: tuple[str, ...], places: dict[str, int], ranking: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    rank_kmg, n_km = np.full_like(score_kmg, np.nan), np.zeros(score_kmg.shape[:2], dtype=np.int32)
    for k, kind in enumerate(kinds):
        scored = ranking.loc[ranking["kind"].eq(kind) & ranking["status"].eq("scored"), "gene_id"]
        at = np.array([places[gene] for gene in scored if gene in places], dtype=int)
        for m in range(score_kmg.shape[1]):
            among = score_kmg[k, m, at]
            among = np.sort(among[~np.isnan(among)])
            score = score_kmg[k, m]
            above = len(among) - np.searchsorted(among, score, side="right")
            rank_kmg[k, m] = np.where(np.isnan(score), np.nan, above + 1)
            n_km[k, m] = len(among)
    return rank_kmg, n_km
