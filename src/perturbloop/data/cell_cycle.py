"""Where each cell is in the cell cycle: the scores that scanpy and Seurat give, after Tirosh et al. (2016)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from perturbloop.data.cells import Cells, log_normalized

S_GENES = frozenset(
    [
        "MCM5",
        "PCNA",
        "TYMS",
        "FEN1",
        "MCM2",
        "MCM4",
        "RRM1",
        "UNG",
        "GINS2",
        "MCM6",
        "CDCA7",
        "DTL",
        "PRIM1",
        "UHRF1",
        "CENPU",
        "HELLS",
        "RFC2",
        "RPA2",
        "NASP",
        "RAD51AP1",
        "GMNN",
        "WDR76",
        "SLBP",
        "CCNE2",
        "UBR7",
        "POLD3",
        "MSH2",
        "ATAD2",
        "RAD51",
        "RRM2",
        "CDC45",
        "CDC6",
        "EXO1",
        "TIPIN",
        "DSCC1",
        "BLM",
        "CASP8AP2",
        "USP1",
        "CLSPN",
        "POLA1",
        "CHAF1B",
        "BRIP1",
        "E2F8",
    ]
)
G2M_GENES = frozenset(
    [
        "HMGB2",
        "CDK1",
        "NUSAP1",
        "UBE2C",
        "BIRC5",
        "TPX2",
        "TOP2A",
        "NDC80",
        "CKS2",
        "NUF2",
        "CKS1B",
        "MKI67",
        "TMPO",
        "CENPF",
        "TACC3",
        "PIMREG",
        "SMC4",
        "CCNB2",
        "CKAP2L",
        "CKAP2",
        "AURKB",
        "BUB1",
        "KIF11",
        "ANP32E",
        "TUBB4B",
        "GTSE1",
        "KIF20B",
        "HJURP",
        "CDCA3",
        "JPT1",
        "CDC20",
        "TTK",
        "CDC25C",
        "KIF2C",
        "RANGAP1",
        "NCAPD2",
        "DLGAP5",
        "CDCA2",
        "CDCA8",
        "ECT2",
        "KIF23",
        "HMMR",
        "AURKA",
        "PSRC1",
        "ANLN",
        "LBR",
        "CKAP5",
        "CENPE",
        "CTCF",
        "NEK2",
        "G2E3",
        "GAS2L3",
        "CBX5",
        "CENPA",
    ]
)
"""The lists of Tirosh et al. under today's symbols (MLF1IP is CENPU, FAM64A is PIMREG, HN1 is JPT1)."""
LEAST_GENES = 5
"""Fewest measured genes of either list from which a phase is told."""
_BINS = 25


@dataclass(frozen=True)
class CellCycle:
    """Scores of each cell; high = more expression of the phase's genes than of others as strongly expressed."""

    s_n: Float[np.ndarray, " n"]
    """Score of S phase, log-normalized expression."""
    g2m_n: Float[np.ndarray, " n"]
    """Score of G2 and M phase."""

    @property
    def phase_n(self) -> np.ndarray:
        """G1 where both scores are below 0, else the phase of the higher one; dtype object."""
        cycling = np.where(self.s_n > self.g2m_n, "S", "G2M")
        return np.where((self.s_n < 0) & (self.g2m_n < 0), "G1", cycling).astype(object)


def cell_cycle(cells: Cells) -> CellCycle | None:
    """Score every cell by the genes of S and of G2 and M phase; `None` where too few of either are measured.

    Parameters
    ----------
    cells
        Raw counts.

    Notes
    -----
    The rule of `scanpy.tl.score_genes_cell_cycle`: mean log-normalized expression of the list less that of control genes from
    the same bins of mean expression. scanpy draws control genes at random; here all genes of those bins but the list's own are
    taken, each bin counting alike, which is what the draws give on average. A score thus depends on no seed.
    """
    lists = [np.isin(cells.gene_names.astype(str), sorted(names)) for names in (S_GENES, G2M_GENES)]
    if min(int(own_g.sum()) for own_g in lists) < LEAST_GENES:
        return None
    every = np.zeros(cells.n_cells, dtype=int)
    mean_g = cells.summed(every, of=log_normalized)[0] / max(cells.n_cells, 1)
    weight_g2 = np.column_stack([_weights(mean_g, own_g) for own_g in lists])
    score_n2 = np.concatenate([log_normalized(counts_ng) @ weight_g2 for counts_ng in cells.blocks()])
    return CellCycle(score_n2[:, 0], score_n2[:, 1])


def _weights(mean_g: Float[np.ndarray, " g"], own_g: Bool[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """Weight of each gene in a score: its list's genes sum to 1, control genes to -1."""
    rank_g = np.searchsorted(np.sort(mean_g), mean_g) + 1  # as pandas' rank(method="min")
    bin_g = rank_g // max(int(np.round(len(mean_g) / (_BINS - 1))), 1)
    control_g = np.zeros(len(mean_g))
    for one in np.unique(bin_g[own_g]):
        others_g = (bin_g == one) & ~own_g
        control_g[others_g] = 1 / max(int(others_g.sum()), 1)
    return own_g / own_g.sum() - control_g / max(control_g.sum(), 1e-12)
