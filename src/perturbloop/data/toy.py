"""Small simulated cells with a known answer: two states, really perturbed cells, and every gene's true effect.

Gene names are real, roles are not: they are dealt out anew by every seed and carry no biology. What the worlds
favour, and what they cannot show, is said in `docs/explanation/embedded-example.md`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from perturbloop.data import network
from perturbloop.data.splits import half
from perturbloop.errors import GeneIdError, InputError, closest, some
from perturbloop.schema import DEFAULT_KINDS, Kind, Modality, kind_of

State = Literal["resting", "stimulated"]
STATES: tuple[State, ...] = get_args(State)
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

MEAN_UMI, DEPTH_SPREAD, DISPERSION = 430.0, 0.35, 0.3
GUIDES, STRENGTH = 3, (1.3, 1.1, 0.6)


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


def genes() -> pd.DataFrame:
    """Return the packaged list of 400 human genes, Ensembl id and symbol, chosen for plain names.

    >>> genes().columns.tolist(), len(genes())
    (['gene_id', 'gene_name'], 400)
    """
    return pd.read_csv(str(files("perturbloop.data") / "toy_genes.csv")).astype(object)


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
    named = _named(n_genes) if scale > 1 else genes()
    if not scale * network.FIXED_GENES < n_genes <= len(named):
        msg = (
            f"`n_genes` must be between {scale * network.FIXED_GENES + 1} and {len(named)}; it is {n_genes}. "
            "Choose a number in between: only the house-keeping genes vary."
        )
        raise InputError(msg)
    drawn = network.draw(n_genes, misleading=misleading, rng=np.random.default_rng([seed, 0]), scale=scale)
    listed = named.iloc[:n_genes].assign(
        role=drawn.role_g, module=_group_names(drawn.factor_g, drawn.n_modules)
    )
    return ToyWorld(
        seed=seed,
        misleading=misleading,
        genes=listed,
        cells=_two_states(
            drawn, listed, n_cells=n_cells, design=design, rng=np.random.default_rng([seed, 1])
        ),
        corpus=_corpus(drawn, listed, n_cells=n_corpus, rng=np.random.default_rng([seed, 2])),
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
    column = _columns(world, list(targets))
    target_n = np.concatenate([np.full(n_controls, -1), np.repeat(column, n_cells)])
    turn_n = np.concatenate([np.arange(n_controls), np.tile(np.arange(n_cells), len(column))])
    guide_n, replicate_n = turn_n % GUIDES, turn_n // GUIDES % 2
    noise_ng = world.network.noise(replicate_n, rng=rng)
    hit = np.flatnonzero(target_n >= 0)
    strength_pg = {gene: _guide_strength(world.seed, gene) for gene in column.tolist()}
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
    return _adata(_counts(log_ng, rng), world.genes, obs)


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
        column = _columns(world, list(compounds[name]))
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
    return _adata(_counts(log_ng, rng), world.genes, obs)


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


def _named(n_genes: int) -> pd.DataFrame:
    """Packaged names, then as many made-up ones as are wanted."""
    made_up = [(f"ENSG9{number:010d}", f"TOY{number}") for number in range(n_genes)]
    return pd.concat([genes(), pd.DataFrame(made_up, columns=["gene_id", "gene_name"])], ignore_index=True)[
        :n_genes
    ].astype(object)


def _group_names(factor_g: np.ndarray, n_modules: int) -> np.ndarray:
    groups = np.where(factor_g < n_modules, "module", "program")
    numbers = np.where(factor_g < n_modules, factor_g, factor_g - n_modules) + 1
    named = [f"{group} {number}" for group, number in zip(groups, numbers, strict=True)]
    return np.where(factor_g < 0, "none", np.array(named, dtype=object))


def _two_states(
    drawn: network.Network, listed: pd.DataFrame, *, n_cells: int, design: str, rng: np.random.Generator
) -> anndata.AnnData:
    stimulus_n = np.arange(n_cells) * 2 // n_cells
    turn_n = np.arange(n_cells)
    donor_n = turn_n % 8 if design == "paired" else turn_n % 4 + 4 * stimulus_n
    log_ng, _ = drawn.settle(drawn.noise(donor_n, rng=rng), stimulus_n.astype(float))
    obs = {
        "state": np.array(STATES, dtype=object)[stimulus_n],
        "donor_id": [f"donor {i + 1}" for i in donor_n],
    }
    return _adata(_counts(log_ng, rng), listed, obs)


def _corpus(
    drawn: network.Network, listed: pd.DataFrame, *, n_cells: int, rng: np.random.Generator
) -> anndata.AnnData:
    donor_n = np.arange(n_cells) % 6
    noise_ng = drawn.noise(donor_n, rng=rng, program_spread=2.0)
    log_ng, _ = drawn.settle(noise_ng, rng.uniform(0, 1, n_cells))
    return _adata(_counts(log_ng, rng), listed, {"donor_id": [f"corpus donor {i + 1}" for i in donor_n]})


def _counts(log_ng: Float[np.ndarray, "n g"], rng: np.random.Generator) -> sparse.csr_matrix:
    """Sequence the cells: log-normal depth, gamma-Poisson (negative binomial) counts; dropout is what depth misses."""
    share_ng = np.exp(log_ng - log_ng.max(axis=1, keepdims=True))
    share_ng /= share_ng.sum(axis=1, keepdims=True)
    depth_n = MEAN_UMI * rng.lognormal(-(DEPTH_SPREAD**2) / 2, DEPTH_SPREAD, len(log_ng))
    mean_ng = depth_n[:, None] * share_ng * rng.gamma(1 / DISPERSION, DISPERSION, log_ng.shape)
    return sparse.csr_matrix(rng.poisson(mean_ng).astype(np.float32))


def _adata(counts_ng: sparse.csr_matrix, listed: pd.DataFrame, obs: dict[str, object]) -> anndata.AnnData:
    names = pd.Index([f"cell{i}" for i in range(counts_ng.shape[0])], dtype=object)
    var = pd.DataFrame({"ensembl_id": listed.gene_id, "gene_name": listed.gene_name})
    var.index = pd.Index(listed.gene_id.to_numpy(), dtype=object)
    return anndata.AnnData(counts_ng, obs=pd.DataFrame(obs, index=names), var=var)


def _columns(world: ToyWorld, targets: Sequence[str]) -> np.ndarray:
    ids, names = world.genes.gene_id.tolist(), world.genes.gene_name.tolist()
    position = {name: i for known in (names, ids) for i, name in enumerate(known)}
    unknown = [target for target in targets if target not in position]
    if unknown:
        msg = (
            f"Targets must be Ensembl ids or symbols among the {len(ids)} genes of the toy world; these are not: "
            f"{some(unknown)}. The closest to the first: {closest(unknown[0], position)}."
        )
        raise GeneIdError(msg)
    return np.array([position[target] for target in targets], dtype=int)


def _guide_strength(seed: int, gene: int) -> Float[np.ndarray, " guides"]:
    """Log-dose factors of a gene's guides, the same in every experiment of a world; one of the three is weak."""
    return np.random.default_rng([seed, 5, gene]).permutation(STRENGTH)
