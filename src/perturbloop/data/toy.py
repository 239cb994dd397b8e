"""Small simulated cells with a known answer: two states, really perturbed cells, and every gene's true effect.

Gene names are real, roles are not: they are dealt out anew by every seed and carry no biology. What the worlds
favour, and what they cannot show, is said in `docs/explanation/embedded-example.md`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anndata
import numpy as np
import pandas as pd

from perturbloop.data import network
from perturbloop.data.splits import half
from perturbloop.data.toy_cells import (
    GUIDES,
    STATES,
    State,
    as_anndata,
    corpus_cells,
    group_names,
    guide_strength,
    many_genes,
    places_of,
    sequenced,
    two_states,
)
from perturbloop.data.toy_cells import genes as genes
from perturbloop.errors import InputError, some
from perturbloop.schema import DEFAULT_KINDS, Kind, Modality, kind_of

CONTROL = "non-targeting"
VEHICLE = "DMSO"

LOG_DOSE: dict[Kind, float] = {"delete": np.log(0.2), "overexpress": np.log(5.0)}
"""What a mean guide does to its gene: a knock-down leaves 20 % of the RNA, an activation makes five times as much."""

HIT: dict[tuple[State, Kind], float] = {
    ("stimulated", "delete"): 0.07,
    ("stimulated", "overexpress"): 0.04,
    ("resting", "delete"): 0.04,
    ("resting", "overexpress"): 0.04,
}
"""Least mean change of the state S (0 to 1) toward the other state that makes a gene a hit."""

READINGS: tuple[tuple[State, Kind], ...] = (("stimulated", "delete"), ("resting", "overexpress"))
"""The two campaigns of the benchmark: their scores are averaged, their effects never."""

AWAY = 0.04
"""Least mean change of S the other way: such a gene holds the cells back from the goal."""


@dataclass(frozen=True)
class ToyWorld:
    """Simulated cells of two states, unlabelled cells for pretraining, and the network that made them."""

    seed: int
    misleading: bool
    """Whether co-expression misleads: the modules hold bystanders, the causes are scattered."""
    genes: pd.DataFrame
    """gene_id, gene_name, role and module (the co-expression group: module 1 to 8, program 1 to 5 or none)."""
    cells: anndata.AnnData
    """Raw counts; `obs`: state, donor_id; `var`: ensembl_id, gene_name, index = Ensembl id."""
    corpus: anndata.AnnData
    """Raw counts of unlabelled cells from other donors, at any dose of the stimulus, programs twice as strong."""
    network: network.Network
    """The answer key; no step of the loop may read it."""
    scale: int = 1
    """How many times as many genes of every role as in the small network."""

    def truth(self, start: State = "stimulated", kind: Kind = "delete") -> pd.DataFrame:
        """Every gene's true effect on the state, in the terms of a campaign that starts in `start`.

        Parameters
        ----------
        start
            State the cells are in; the goal is the other one.
        kind
            `delete` stands for a knock-down to 20 % of the RNA, `overexpress` for a fivefold activation.

        Returns
        -------
        One row per gene: gene_id, gene_name, start, goal, kind; effect, the mean change of S (0 to 1), positive =
        toward the goal; hit, an effect of at least `HIT[start, kind]`; away, an effect of at most −`AWAY`.

        Notes
        -----
        The mean over 1,000 cells of 50 fresh donors, each settled in the network with and without the
        intervention. No counts enter, so that no method's noise does.

        Examples
        --------
        >>> truth = world(0, n_cells=64, n_corpus=64).truth("resting", "overexpress")
        >>> truth.loc[truth.hit, "effect"].min() >= 0.04
        np.True_
        """
        rng = np.random.default_rng([self.seed, 3])
        noise_ng = self.network.noise(np.arange(1000) % 50, rng=rng)
        stimulus_n = np.full(1000, _dose(start))
        change_g = self.network.knock(noise_ng, stimulus_n, log_dose=LOG_DOSE[kind])
        effect_g = change_g if start == "resting" else -change_g
        goal = STATES[1 - STATES.index(start)]
        named = self.genes[["gene_id", "gene_name"]].assign(start=start, goal=goal, kind=kind)
        return named.assign(
            effect=effect_g,
            hit=effect_g >= HIT[start, kind] / np.sqrt(self.scale),
            away=effect_g <= -AWAY / np.sqrt(self.scale),
        )


def world(
    seed: int,
    *,
    n_genes: int = 360,
    n_cells: int = 2400,
    n_corpus: int = 4400,
    design: Literal["paired", "nested"] = "paired",
    misleading: bool = False,
    scale: int = 1,
) -> ToyWorld:
    """Simulate a world: a network with known causes, cells of two states from 8 donors, and a pretraining corpus.

    Parameters
    ----------
    seed
        Seed of everything; the network depends on nothing else but `n_genes` and `misleading`.
    n_genes
        Genes; fewer or more change the house-keeping genes only.
    n_cells
        Cells, half resting, half stimulated.
    n_corpus
        Unlabelled cells for pretraining.
    design
        `paired`: every donor gives cells of both states; `nested`: four donors per state.
    misleading
        Whether the causal regulators are scattered, and the co-expressed modules hold bystanders.
    scale
        How many times as many genes of every role as in the small network; their effects, and the thresholds of a hit, are
        smaller by the root of it. Genes beyond the packaged list have made-up names.

    Returns
    -------
    The world; its cells have about 430 UMI and 160 genes detected each.

    Examples
    --------
    >>> cells = world(0, n_cells=64, n_corpus=64).cells
    >>> cells.shape, cells.obs["state"].unique().tolist(), cells.obs["donor_id"].nunique()
    ((64, 360), ['resting', 'stimulated'], 8)
    """
    named = many_genes(n_genes) if scale > 1 else genes()
    if not scale * network.FIXED_GENES < n_genes <= len(named):
        msg = (
            f"`n_genes` must be between {scale * network.FIXED_GENES + 1} and {len(named)}; it is {n_genes}. "
            "Choose a number in between: only the house-keeping genes vary."
        )
        raise InputError(msg)
    drawn = network.draw(n_genes, misleading=misleading, rng=np.random.default_rng([seed, 0]), scale=scale)
    listed = named.iloc[:n_genes].assign(
        role=drawn.role_g, module=group_names(drawn.factor_g, drawn.n_modules)
    )
    return ToyWorld(
        seed=seed,
        misleading=misleading,
        genes=listed,
        cells=two_states(drawn, listed, n_cells=n_cells, design=design, rng=np.random.default_rng([seed, 1])),
        corpus=corpus_cells(drawn, listed, n_cells=n_corpus, rng=np.random.default_rng([seed, 2])),
        network=drawn,
        scale=scale,
    )


def perturb(
    world: ToyWorld,
    targets: Iterable[str],
    *,
    modality: Modality,
    state: State,
    n_cells: int = 60,
    n_controls: int = 300,
    rng: np.random.Generator,
) -> anndata.AnnData:
    """Simulate a Perturb-seq experiment, every intervention through the network.

    Parameters
    ----------
    world
        The world whose network answers.
    targets
        Ensembl ids or symbols of the genes to perturb, one perturbation per cell.
    modality
        `crispri` leaves about 20 % of the target's RNA, `crispra` makes about five times as much; each target's
        three guides differ in strength.
    state
        `resting` or `stimulated` cells.
    n_cells, n_controls
        Cells of each target, and cells with a non-targeting guide.
    rng
        Source of guides, donors and counts.

    Returns
    -------
    Raw counts; `obs`: target (symbol, or `non-targeting`), guide, replicate (2, each with its own donor),
    condition (the state); same genes as the world's cells.

    Examples
    --------
    >>> toy = world(0, n_cells=64, n_corpus=64)
    >>> rng = np.random.default_rng(0)
    >>> screen = perturb(toy, toy.genes.gene_id[:2], modality="crispri", state="stimulated", rng=rng)
    >>> screen.obs.groupby("target").size().to_dict()
    {'SEMA3F': 60, 'TTC22': 60, 'non-targeting': 300}
    """
    if modality not in ("crispri", "crispra"):
        msg = f"The simulator has the modalities 'crispri' and 'crispra'; it got {modality!r}. Use one of these."
        raise InputError(msg)
    column = places_of(world.genes, list(targets))
    target_n = np.concatenate([np.full(n_controls, -1), np.repeat(column, n_cells)])
    turn_n = np.concatenate([np.arange(n_controls), np.tile(np.arange(n_cells), len(column))])
    guide_n, replicate_n = turn_n % GUIDES, turn_n // GUIDES % 2
    noise_ng = world.network.noise(replicate_n, rng=rng)
    hit = np.flatnonzero(target_n >= 0)
    strength_pg = {gene: guide_strength(world.seed, gene) for gene in column.tolist()}
    strength_n = np.array(
        [strength_pg[gene][guide] for gene, guide in zip(target_n[hit], guide_n[hit], strict=True)]
    )
    noise_ng[hit, target_n[hit]] += strength_n * LOG_DOSE[kind_of(modality)]
    log_ng, _ = world.network.settle(noise_ng, np.full(len(target_n), _dose(state)))
    name_n = np.append(world.genes.gene_name.to_numpy(), CONTROL)[target_n]
    obs = {
        "target": name_n,
        "guide": [f"{name}-{guide + 1}" for name, guide in zip(name_n, guide_n, strict=True)],
        "replicate": [f"replicate {replicate + 1}" for replicate in replicate_n],
        "condition": state,
    }
    return as_anndata(sequenced(log_ng, rng), world.genes, obs)


def treat(
    world: ToyWorld,
    compounds: Mapping[str, Mapping[str, int]],
    *,
    state: State,
    n_cells: int = 60,
    n_controls: int = 300,
    rng: np.random.Generator,
) -> anndata.AnnData:
    """Simulate a drug screen: all targets of a compound are lowered or raised together, through the network.

    Parameters
    ----------
    world
        The world whose network answers.
    compounds
        Name of each compound, and for each of its targets, an Ensembl id or symbol, −1 (lowered as by `delete`) or +1
        (raised as by `overexpress`).
    state
        `resting` or `stimulated` cells.
    n_cells, n_controls
        Cells of each compound, a third of them at a tenth of its dose, which does a tenth as much; and cells with the
        vehicle.
    rng
        Source of doses, donors and counts.

    Returns
    -------
    Raw counts; `obs`: compound (or `DMSO`), dose (µM; 1 or 10, 0 for the vehicle), replicate (2, each with its own donor),
    condition (the state); same genes as the world's cells.

    Examples
    --------
    >>> toy = world(0, n_cells=64, n_corpus=64)
    >>> rng = np.random.default_rng(0)
    >>> screen = treat(toy, {"toyinib": {"SEMA3F": -1, "TTC22": -1}}, state="stimulated", rng=rng)
    >>> screen.obs.groupby(["compound", "dose"]).size().to_dict()
    {('DMSO', 0.0): 300, ('toyinib', 1.0): 20, ('toyinib', 10.0): 40}
    """
    names = [VEHICLE, *compounds]
    which_n = np.repeat(np.arange(len(names)), [n_controls, *[n_cells] * len(compounds)])
    turn_n = np.concatenate([np.arange(n_controls), np.tile(np.arange(n_cells), len(compounds))])
    replicate_n = turn_n // 3 % 2
    dose_n = np.where(which_n == 0, 0.0, np.where(turn_n % 3 == 2, 1.0, 10.0))
    noise_ng = world.network.noise(replicate_n, rng=rng)
    for place, name in enumerate(names[1:], start=1):
        column = places_of(world.genes, list(compounds[name]))
        push_g = [LOG_DOSE["overexpress" if sign > 0 else "delete"] for sign in compounds[name].values()]
        rows_n = np.flatnonzero(which_n == place)
        noise_ng[np.ix_(rows_n, column)] += np.outer(dose_n[rows_n] / 10, push_g)
    log_ng, _ = world.network.settle(noise_ng, np.full(len(which_n), _dose(state)))
    obs = {
        "compound": np.array(names, dtype=object)[which_n],
        "dose": dose_n,
        "replicate": [f"replicate {replicate + 1}" for replicate in replicate_n],
        "condition": state,
    }
    return as_anndata(sequenced(log_ng, rng), world.genes, obs)


def panel(
    world: ToyWorld,
    k: int,
    *,
    how: Literal["hit-enriched", "random"] = "hit-enriched",
    reading: tuple[State, Kind] | None = None,
    rng: np.random.Generator,
) -> list[str]:
    """Choose k genes to perturb; with the same `rng` seed, a smaller panel is the start of a larger one.

    Parameters
    ----------
    world
        The world whose hits are meant.
    k
        Number of genes.
    how
        `hit-enriched`: while hits last, 8 among the first 20 genes and 14 among the first 50, as in published panels, which
        were chosen from known regulators; hits and other genes come by turns from the two halves that a campaign makes
        of its targets, so that of 40 genes 20 train. `random`: any genes.
    reading
        Start state and kind whose hits are meant; `None` = knock-downs in stimulated or activations in resting cells.
    rng
        Source of the order.

    Returns
    -------
    Ensembl ids.
    """
    order = [str(gene) for gene in rng.permutation(world.genes.gene_id.to_numpy())]
    if not 0 < k <= len(order):
        msg = f"A panel needs between 1 and {len(order)} genes; it was asked for {k}. Correct `k`."
        raise InputError(msg)
    if how == "random":
        return order[:k]
    readings = [reading] if reading else READINGS
    known = {gene for start, kind in readings for gene in world.truth(start, kind).query("hit").gene_id}
    hits, others = [gene for gene in order if gene in known], [gene for gene in order if gene not in known]
    wanted = np.round(8 * (np.arange(k + 1) / 20) ** 0.61)
    chosen: list[str] = []
    turn = {True: -1, False: -1}
    for more in np.diff(wanted):
        is_hit = bool((more and hits) or not others)
        pool = hits if is_hit else others
        place = next((place for place, gene in enumerate(pool) if half(gene) == turn[is_hit]), 0)
        chosen.append(pool.pop(place))
        turn[is_hit] = -1 - turn[is_hit]
    return chosen


def write(
    world: ToyWorld,
    folder: Path,
    *,
    k: int = 40,
    n_cells: int = 60,
    how: Literal["hit-enriched", "random"] = "hit-enriched",
) -> None:
    """Write cells.h5ad, corpus.h5ad, perturbed.h5ad (k knock-downs in stimulated cells) and truth.csv.

    Parameters
    ----------
    world
        The world that is written.
    folder
        Where; it is made where it is missing.
    k
        Genes of the panel.
    n_cells
        Cells of each target.
    how
        How the panel is drawn: see `panel`.

    Notes
    -----
    truth.csv holds both kinds for both start states.
    """
    rng = np.random.default_rng([world.seed, 4])
    targets = panel(world, k, how=how, reading=("stimulated", "delete"), rng=rng)
    perturbed = perturb(world, targets, modality="crispri", state="stimulated", n_cells=n_cells, rng=rng)
    folder.mkdir(parents=True, exist_ok=True)
    for name, adata in {"cells": world.cells, "corpus": world.corpus, "perturbed": perturbed}.items():
        adata.write_h5ad(folder / f"{name}.h5ad", compression="gzip", convert_strings_to_categoricals=False)
    truths = [world.truth(start, kind) for start in STATES for kind in DEFAULT_KINDS]
    pd.concat(truths, ignore_index=True).to_csv(folder / "truth.csv", index=False)


def _dose(state: State) -> float:
    if state not in STATES:
        msg = f"A toy state is one of {some(STATES)}; it is {state!r}. Correct it."
        raise InputError(msg)
    return float(STATES.index(state))
