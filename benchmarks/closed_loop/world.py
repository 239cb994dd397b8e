"""One simulated network as a laboratory sees it: cells, a pretrained encoder, and what was measured of the panel genes."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import anndata
import numpy as np
import pandas as pd
from pre_norm import pretrain_pre_norm
from scipy import sparse

from perturbloop.data import toy
from perturbloop.data.cells import Cells, from_adata
from perturbloop.data.encoding import tokenize, vocabulary_of
from perturbloop.data.network import Network
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.data.tokens import Tokens
from perturbloop.evaluate.de import signed_de
from perturbloop.evidence.effects import measure_effects
from perturbloop.evidence.kernels import Kernel, aligned, coexpression_kernel, vector_kernel
from perturbloop.evidence.scales import Scale, change_scale, expression_scale
from perturbloop.evidence.score import soft_labels
from perturbloop.models.geneformer import Geneformer, load_geneformer
from perturbloop.schema import EvaluateConfig, Kind, Modality, PerturbedConfig, kind_of
from perturbloop.train.pretrain import pretrain
from perturbloop.train.pretrain_config import PretrainConfig

ARMS: tuple[tuple[toy.State, Modality], ...] = (("stimulated", "crispri"), ("resting", "crispra"))
"""Knock-downs in stimulated cells and activations in resting ones; scores are averaged over both, effects never."""
K = (10, 20, 50)
N_DONORS = 8
PANELS = ("hit-enriched", "random", "coverage")


@dataclass(frozen=True)
class Difficulty:
    """What a study could afford."""

    name: str = "standard"
    n_genes: int = 360
    n_cells: int = 2400
    n_perturbed: int = 60
    """Perturbed cells a gene and arm."""


@dataclass(frozen=True)
class Watched(Network):
    """A network that remembers the true state of the cells that settled in it."""

    states: list[np.ndarray] = field(default_factory=list)

    def settle(self, noise_ng: np.ndarray, stimulus_n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Network.settle`."""
        log_ng, state_n = super().settle(noise_ng, stimulus_n)
        self.states.append(state_n)
        return log_ng, state_n


@dataclass(frozen=True)
class Study:
    """A network with everything that is measured in it; kinds and panels are those of `ARMS` and `panels`."""

    seed: int
    misleading: bool
    difficulty: Difficulty
    folder: Path
    panel_names: tuple[str, ...] = PANELS
    """How panels are chosen; fewer are measured sooner."""
    donors: int = 6
    """Donors whose cells train; the others' are held out."""
    encoder: Literal["own", "pre-norm"] = "own"
    """How the encoder is built and pretrained: as the package does it, or as in `pre_norm`."""

    @cached_property
    def world(self) -> toy.ToyWorld:
        return toy.world(
            self.seed,
            n_genes=self.difficulty.n_genes,
            n_cells=self.difficulty.n_cells,
            misleading=self.misleading,
        )

    @cached_property
    def cells(self) -> Cells:
        return from_adata(self.world.cells)[0]

    @cached_property
    def model(self) -> Geneformer:
        """Encoder, pretrained on the unlabelled corpus."""
        corpus, _ = from_adata(self.world.corpus)
        words = vocabulary_of(corpus, max_length=128)
        if self.encoder == "pre-norm":
            return pretrain_pre_norm(corpus, words, self.folder / "pre-norm.pt", seed=self.seed)
        config = PretrainConfig(
            layers=2, hidden=64, max_length=128, steps=200, learning_rate=2e-3, seed=self.seed
        )
        pretrain([corpus], words, self.folder / "model", config)
        return load_geneformer(self.folder / "model")

    @cached_property
    def tokens(self) -> Tokens:
        return tokenize(self.cells, self.model.vocabulary)

    @cached_property
    def emb_nd(self) -> np.ndarray:
        return self.model.embed([self.tokens.row(cell) for cell in range(self.tokens.n_cells)])

    @cached_property
    def is_resting_n(self) -> np.ndarray:
        return (self.cells.obs["state"] == "resting").to_numpy()

    @cached_property
    def train_n(self) -> np.ndarray:
        donor_n = self.cells.obs["donor_id"].to_numpy()
        return ~np.isin(donor_n, np.unique(donor_n)[: N_DONORS - self.donors])

    @cached_property
    def de(self) -> pd.DataFrame:
        """Rank-sum; positive z = higher in resting cells."""
        return signed_de(self.cells, self.is_resting_n).set_index("gene_id")

    def truth(self, state: toy.State, kind: Kind) -> pd.DataFrame:
        return self.world.truth(state, kind).set_index("gene_id")

    @cached_property
    def panels(self) -> dict[str, list[str]]:
        """Genes to perturb by how they are chosen, nested: the first k are the panel of k."""
        return {name: self._panel(name, max(K)) for name in self.panel_names}

    def _panel(self, name: str, k: int) -> list[str]:
        rng = np.random.default_rng([self.seed, 21, PANELS.index(name)])
        if name == "coverage":
            return self._coverage(k, rng)
        return toy.panel(self.world, k, how="random" if name == "random" else "hit-enriched", rng=rng)

    def _coverage(self, k: int, rng: np.random.Generator) -> list[str]:
        """Facility location on co-expression, from a random first gene: each next gene adds most to what is covered."""
        likeness_gg = np.maximum(self.kernels[0].columns(np.arange(self.cells.n_genes)), 0)
        chosen = [int(rng.integers(self.cells.n_genes))]
        while len(chosen) < k:
            covered_g = likeness_gg[:, chosen].max(axis=1)
            gain_g = np.maximum(likeness_gg - covered_g[:, None], 0).sum(axis=0)
            gain_g[chosen] = -1
            chosen.append(int(np.argmax(gain_g)))
        return [str(gene) for gene in self.cells.gene_ids[chosen]]

    def perturbed(self, state: toy.State, modality: Modality, targets: Iterable[str]) -> PerturbedCells:
        """Perturbed cells of these genes."""
        wanted = sorted(set(targets))
        adata = self._perturbed_in(self.world, state, modality, wanted)
        names = dict(zip(self.world.genes["gene_name"], self.world.genes["gene_id"], strict=True))
        config = PerturbedConfig(
            path="simulated", target_column="target", control=toy.CONTROL, modality=modality
        )
        return PerturbedCells(
            cells=from_adata(adata)[0],
            target_n=adata.obs["target"].to_numpy(object),
            guide_n=adata.obs["guide"].to_numpy(object),
            replicate_n=adata.obs["replicate"].to_numpy(object),
            control=toy.CONTROL,
            modality=modality,
            config=config,
            target_ids={name: gene for name, gene in names.items() if gene in set(wanted)},
        )

    def _perturbed_in(
        self, world: toy.ToyWorld, state: toy.State, modality: Modality, wanted: list[str]
    ) -> anndata.AnnData:
        return toy.perturb(
            world,
            wanted,
            modality=modality,
            state=state,
            n_cells=self.difficulty.n_perturbed,
            rng=np.random.default_rng([self.seed, 22, int(modality == "crispra")]),
        )

    @cached_property
    def studies(self) -> dict[Kind, PerturbedCells]:
        """Perturbed cells of every panel gene, by kind."""
        return {
            kind_of(modality): self.perturbed(state, modality, self._measured) for state, modality in ARMS
        }

    @property
    def _measured(self) -> list[str]:
        return sorted({gene for genes in self.panels.values() for gene in genes})

    @cached_property
    def effects(self) -> dict[Kind, pd.DataFrame]:
        """Measured effects of the panel genes; index gene id."""
        found = {}
        for (state, modality), perturbed in zip(ARMS, self.studies.values(), strict=True):
            goal_n = self.is_resting_n if state == "stimulated" else ~self.is_resting_n
            measured = measure_effects(self.cells, goal_n, self.train_n, perturbed, config=EvaluateConfig())
            found[kind_of(modality)] = measured.by_gene.set_index("gene_id")
        return found

    @cached_property
    def labels(self) -> dict[Kind, np.ndarray]:
        """Probability of the resting state of each perturbed cell; a study's controls are cells of its own state."""
        found = {}
        for (state, modality), perturbed in zip(ARMS, self.studies.values(), strict=True):
            goal_n = self.is_resting_n if state == "stimulated" else ~self.is_resting_n
            reached_n = soft_labels(self.cells, goal_n, self.train_n, perturbed).probability_n
            found[kind_of(modality)] = reached_n if state == "stimulated" else 1 - reached_n
        return found

    @cached_property
    def true_labels(self) -> dict[Kind, np.ndarray]:
        """1 where the true state of a perturbed cell is nearer to rest, else 0: no laboratory has it."""
        found = {}
        for state, modality in ARMS:
            watched = Watched(
                **{part.name: getattr(self.world.network, part.name) for part in fields(Network)}
            )
            self._perturbed_in(replace(self.world, network=watched), state, modality, self._measured)
            found[kind_of(modality)] = (watched.states[-1] < 0.5).astype(float)
        return found

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """Networks of the evidence channel: co-expression of all cells at hand, and the encoder's gene embeddings."""
        corpus, _ = from_adata(self.world.corpus)
        log_ng = sparse.csr_matrix(sparse.vstack([self.cells.log_normalized(), corpus.log_normalized()]))
        own = self.cells.obs["state"].astype(str) + self.cells.obs["donor_id"].astype(str)
        group_n = np.concatenate([own.to_numpy(), corpus.obs["donor_id"].astype(str).to_numpy()])
        words = self.model.vocabulary
        weight_vd = self.model.bert.embeddings.word_embeddings.weight.detach().cpu().numpy()
        embedded = vector_kernel("gene embeddings", words.gene_ids, weight_vd[words.tokens])
        return aligned(
            [coexpression_kernel(log_ng, self.cells.gene_ids, group_n), embedded], self.cells.gene_ids
        )

    @cached_property
    def scales(self) -> dict[Kind, tuple[Scale, ...]]:
        """Why some genes may act more than others: expression in the start cells, and change between the states."""
        genes, change_g = self.cells.gene_ids, self.de["z"].abs().to_numpy()
        found = {}
        for state, modality in ARMS:
            start = self.cells.select(~self.is_resting_n if state == "stimulated" else self.is_resting_n)
            level_g = np.asarray(start.log_normalized().mean(axis=0)).ravel().astype(float)
            found[kind_of(modality)] = (expression_scale(genes, level_g), change_scale(genes, change_g))
        return found
