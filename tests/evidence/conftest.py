"""Simulated state and perturbed cells with known effects, for the tests of this package."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.schema import PerturbedConfig

N_GENES = 60


@dataclass(frozen=True)
class Lab:
    """Two states that differ in the first 20 genes; perturbed cells lie a given way from start to goal."""

    rng: np.random.Generator
    gene_ids: np.ndarray

    def cells(self, position_n, *, bias_g=0.0, gene_ids=None):
        """Counts of cells at these positions between start (0) and goal (1)."""
        ids = self.gene_ids if gene_ids is None else gene_ids
        slope = np.where(np.arange(len(ids)) < 20, np.tile([1.2, -1.2], len(ids))[: len(ids)], 0.0)
        rate = np.exp(0.5 + np.outer(position_n, slope) + bias_g)
        counts = sparse.csr_matrix(self.rng.poisson(rate).astype(np.float32))
        obs = pd.DataFrame(index=[f"cell{place}" for place in range(len(position_n))])
        names = np.array([f"GENE{gene[-3:]}" for gene in ids], dtype=object)
        return Cells(counts, ids, names, obs, "lab.h5ad", "")

    def states(self, n=300):
        """Start and goal cells, their state, and the training split."""
        is_goal = np.arange(n) % 2 == 1
        return self.cells(is_goal * 1.0), is_goal, np.arange(n) % 5 > 0

    def screen(
        self,
        effects,
        *,
        n_cells=60,
        n_guides=3,
        guide_spread=0.0,
        n_controls=240,
        n_control_guides=8,
        replicate_bias=0.0,
    ):
        """Perturbed cells; `effects` says how far each target moves cells, from 0 (not at all) to 1 (to the goal)."""
        labels = [("control", place % n_control_guides) for place in range(n_controls)]
        labels += [(target, place % n_guides) for target in effects for place in range(n_cells)]
        target = np.array([label for label, _ in labels], dtype=object)
        guide = np.array([f"{label}-{number}" for label, number in labels], dtype=object)
        shift = {name: self.rng.normal(scale=guide_spread) for name in sorted(set(guide))}
        replicate = np.array([f"r{place // 24 % 2}" for place in range(len(labels))], dtype=object)
        position = np.array([effects.get(label, 0.0) for label in target])
        position = position + [shift[name] for name in guide] + replicate_bias * (replicate == "r1")
        config = PerturbedConfig(
            path="lab.h5ad", target_column="target", control="control", modality="crispr_ko"
        )
        ids = dict(zip([f"GENE{gene[-3:]}" for gene in self.gene_ids], self.gene_ids, strict=True))
        return PerturbedCells(
            cells=self.cells(position),
            target_n=target,
            guide_n=guide,
            replicate_n=replicate,
            control="control",
            modality="crispr_ko",
            config=config,
            target_ids={name: ids[name] for name in effects if name in ids},
        )


@pytest.fixture
def lab(rng):
    return Lab(rng, np.array([f"ENSG{place:011d}" for place in range(N_GENES)], dtype=object))
