"""Everything of a pair of screens that does not depend on the panel, genes in one order."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from knowledge import gene_names, read_knowledge, shared_folder

from perturbloop.data.cells import Cells, read_cells
from perturbloop.data.screens import read_screen
from perturbloop.evidence.background import recognized
from perturbloop.evidence.kernels import Kernel, aligned
from perturbloop.evidence.lineage import lineage_prior
from perturbloop.evidence.scales import Scale, change_scale, expression_scale, lineage_scale, listed_scale
from perturbloop.evidence.screen_effects import effects_of_screen
from perturbloop.schema import Modality, ScreenConfig

STATES = ("state", "condition", "cell_state")
"""Columns of `obs` that tell states, the first that is there."""
DONORS = ("donor", "donor_id", "sample")
MOST_STATES = 10
"""A column of more values tells no states."""


@dataclass(frozen=True)
class Problem:
    """Effects of one screen, hits of the other, and what is known of the genes."""

    gene_ids: np.ndarray
    effect_g: np.ndarray
    """First screen, robust standard deviations of all its genes; positive = the perturbation lowers the readout."""
    se_g: np.ndarray
    known_hit_g: np.ndarray
    """The first screen's positive regulators: what a hit-enriched panel is enriched for."""
    hit_g: np.ndarray
    """The second screen's positive regulators: the truth."""
    away_g: np.ndarray
    """Its negative regulators."""
    kernels: tuple[Kernel, ...]
    expression_g: np.ndarray
    """log2(CPM + 1)."""
    change_g: np.ndarray
    """Range of that over the states; missing where there is one state."""
    lineage_g: np.ndarray
    """log2; missing where no reference knows the gene."""
    degree_g: np.ndarray
    in_pathway_g: np.ndarray
    insilico: dict[str, np.ndarray] = field(default_factory=dict)
    """Scores that may go into the posterior, higher = the perturbation lowers the readout."""
    facts: tuple[str, ...] = ()
    """What was read, in words."""

    def scales(self, *, lineage: bool = True) -> tuple[Scale, ...]:
        """Why genes may act more than others: expression, change, the pathway where one is named, the lineage where it is known."""
        found = [expression_scale(self.gene_ids, self.expression_g)]
        if np.isfinite(self.change_g).any():
            found.append(change_scale(self.gene_ids, self.change_g))
        if self.in_pathway_g.any():
            found.append(listed_scale("pathway", self.gene_ids, self.in_pathway_g))
        if lineage and np.isfinite(self.lineage_g).any():
            found.append(lineage_scale(self.gene_ids, self.lineage_g))
        return tuple(found)

    @property
    def prior_g(self) -> np.ndarray:
        """Lineage, expression and annotation degree together."""
        return lineage_prior(self.lineage_g, self.expression_g, self.degree_g)


def read_problem(
    first: Path,
    second: Path,
    cells_path: Path,
    *,
    min_cpm: float,
    pathway: list[str],
    modality: Modality = "crispri",
    fdr: float = 0.05,
    state: str = "",
) -> Problem:
    """Read both screens, the cells, and what is known of the genes.

    Parameters
    ----------
    first, second
        Screens by gene, whose effects are measured and whose hits are the truth.
    cells_path
        h5ad with raw counts, of single cells or bulk samples.
    min_cpm
        Genes of fewer counts per million, in the state of the cells that expresses them most, are left out.
    pathway
        Names of gene sets that are known to drive the readout.
    modality
        What both screens did.
    fdr
        A hit's false discovery rate.
    state
        State whose expression counts; by default the mean of all.
    """
    shared = shared_folder()
    names = gene_names(shared, cells_path)
    known = read_knowledge(shared, names)
    cells = read_cells(cells_path, names=names)[0]
    level = expression(cells)
    screens = [
        read_screen(
            ScreenConfig(path=str(path), name=path.stem, modality=modality, higher_is="start", fdr=fdr),
            names=names,
        )[0].set_index("gene_id")
        for path in (first, second)
    ]
    highest = level.filter(like="cpm ").max(axis=1)
    gene_ids = np.array(
        [gene for gene in level.index[highest >= min_cpm] if all(gene in screen.index for screen in screens)],
        dtype=object,
    )
    seen = pd.Series(1.0, index=gene_ids)
    one = (
        effects_of_screen(screens[0].reset_index(), seen, min_detection=0.5)
        .effects.set_index("gene_id")
        .loc[gene_ids]
    )
    two = screens[1].loc[gene_ids]
    logs = level.filter(like=f"log {state}" if state else "log ")
    if logs.empty:
        msg = f"The cells have no state '{state}'; they have {[name[4:] for name in level.filter(like='log ')]}."
        raise ValueError(msg)
    expression_g = logs.mean(axis=1).reindex(gene_ids).to_numpy(float)
    all_logs = level.filter(like="log ").reindex(gene_ids)
    change = all_logs.max(axis=1) - all_logs.min(axis=1)
    lineage = recognized(known.references, gene_ids, expression_g)
    toward_g = two["effect_to_goal"].to_numpy(float) > 0
    hit_g = two["hit"].to_numpy(bool)
    return Problem(
        gene_ids=gene_ids,
        effect_g=one["effect_to_goal"].to_numpy(float),
        se_g=one["se"].to_numpy(float),
        known_hit_g=(one["hit"] & (one["effect_to_goal"] > 0)).to_numpy(bool),
        hit_g=hit_g & toward_g,
        away_g=hit_g & ~toward_g,
        kernels=aligned(known.kernels, gene_ids),
        expression_g=expression_g,
        change_g=change.to_numpy(float) if all_logs.shape[1] > 1 else np.full(gene_ids.size, np.nan),
        lineage_g=np.full(gene_ids.size, np.nan) if lineage is None else lineage.score_g,
        degree_g=known.degree(gene_ids),
        in_pathway_g=np.isin(gene_ids.astype(str), sorted(known.members(pathway))),
        facts=(
            f"{gene_ids.size:,} genes of both screens with at least {min_cpm:g} counts per million in {cells_path.name}",
            f"knowledge: {', '.join(kernel.name for kernel in known.kernels)} ({shared or 'the package'})",
            "no cell type was recognized: the lineage says nothing" if lineage is None else lineage.line,
        ),
    )


def expression(cells: Cells) -> pd.DataFrame:
    """Per gene `cpm STATE`, the mean over donors, and `log STATE`, that of log2(CPM + 1); one state where `obs` tells none."""
    state_n = _column(cells.obs, STATES)
    donor_n = _column(cells.obs, DONORS)
    table = pd.DataFrame(index=pd.Index(cells.gene_ids))
    for state in pd.unique(state_n):
        sums = []
        for donor in pd.unique(donor_n[state_n == state]):
            rows = cells.counts_ng[np.flatnonzero((state_n == state) & (donor_n == donor))]
            sums.append(np.asarray(rows.sum(axis=0, dtype=np.float64)).ravel())
        cpm = np.array([total / max(total.sum(), 1.0) * 1e6 for total in sums])
        table[f"cpm {state}"], table[f"log {state}"] = cpm.mean(axis=0), np.log2(cpm + 1).mean(axis=0)
    return table


def _column(obs: pd.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    for name in names:
        if name in obs.columns and (names is DONORS or obs[name].nunique() <= MOST_STATES):
            return obs[name].astype(str).to_numpy()
    return np.full(len(obs), "all")
