"""Where every method of a round puts every gene, in little memory."""

from collections.abc import Iterator
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
PIECE = 1 << 16
"""Rows that are read at once."""


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
    kinds = tuple(str(kind) for kind in dict.fromkeys(report.ranking["kind"]))
    names = tuple(entry.name for entry in METHODS)
    places = {str(gene): place for place, gene in enumerate(dict.fromkeys(report.ranking["gene_id"]))}
    score_kmg = np.full((len(kinds), len(names), len(places)), np.nan, dtype=np.float32)
    with own(path, todo=PLAY_AGAIN):
        for k, m, g, score in _pieces(path, (kinds, names, tuple(places))):
            score_kmg[k, m, g] = score
    rank_kmg, n_km = _ranked(score_kmg, kinds, places, report.ranking)
    return Ranks(kinds, names, places, rank_kmg, score_kmg, n_km)


def _pieces(path: Path, axes: tuple[tuple[str, ...], ...]) -> Iterator[tuple[np.ndarray, ...]]:
    """Places on the axes of kinds, methods and genes, and scores, of the full rankings: piece by piece, since whole they take much memory."""
    import pyarrow.parquet as pq

    words = ("kind", "method", "gene_id")
    index = [pd.Index(axis, dtype=object) for axis in axes]
    with pq.ParquetFile(path, read_dictionary=words, page_checksum_verification=True) as file:
        for piece in file.iter_batches(PIECE, columns=[*words, "score", "fold"]):
            at = [
                known.get_indexer(pd.Index(piece[word].dictionary.to_pylist(), dtype=object))[
                    piece[word].indices.to_numpy()
                ]
                for word, known in zip(words, index, strict=True)
            ]
            kept = (piece["fold"].to_numpy() == FULL) & np.logical_and.reduce([place >= 0 for place in at])
            yield *(place[kept] for place in at), piece["score"].to_numpy()[kept]


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
