"""A simulated disease with a known way back: a knocked-out regulator, overactive axes, and a screen of twelve compounds.

The names and the pharmacology are real: which family a gene is of, what a compound inhibits or activates, roughly at which
concentration. **The biology is simulated**: which genes move the state, and how far, is drawn by every seed and says nothing about
RUNX1, blood or these drugs.

RUNX1 lost makes four axes overactive (MTOR, PRKC, PI3K, CD74-MIF), and these push the cell from the state of the controls to that
of the disease. About 70 % of an axis's genes act, the rest only bear the family's name; AMPK (PRKAA1) restrains instead. Some
transcription factors act too, and nobody can drug them. Beside the axes stand eleven druggable families that do nothing; their
genes are co-expressed, moved by RUNX1, or moved by the disease as often as, or more often than, those of the axes.

It favors methods that carry an effect from a drug's target to its family, since families are causal or not as a whole but for the
30 % of the axes; curated gene sets know these families. It favors doses: occupancy follows the stated potency. It does not favor
expression: a compound blocks the protein and leaves its target's RNA alone, and consequences outshine causes. Traps: disease cells
divide more and are larger, so that a compound that shrinks cells or stops them looks like a cure; a share of the knockout arm was
never edited; knockout and control differ in cell types; twelve compounds share targets.
"""

from dataclasses import dataclass
from importlib.resources import files

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Float

from perturbloop.data import toy
from perturbloop.data.network import Network
from perturbloop.data.toy_cells import as_anndata, corpus_cells, sequenced
from perturbloop.data.toy_disease_network import disease_genes, disease_network, gene_truth
from perturbloop.errors import InputError

CONTROL, DISEASE = "AAVS1", "RUNX1-KO"
TOXIC = {"bortezomib": 7.0, "dinaciclib": 6.5, "doxorubicin": 6.0}
"""Compounds that kill, and the −log10 M at which half of that effect is reached."""
DOSES = (0.1, 1.0, 10.0)
REVERSER = 0.1
"""Least share of the way back, at the highest dose, that makes a reverser."""
CELL_TYPES = ("stem cell", "myeloid progenitor")
UMI, PLATED = 1000.0, 4000


@dataclass(frozen=True)
class DiseaseWorld:
    """A disease, its cells, a sequenced drug screen in them, and the answers, which no step of the loop may read."""

    seed: int
    cells: anndata.AnnData
    """Raw counts of untreated cells; `obs`: genotype, donor_id (paired), cell_type, edited (the truth)."""
    screen: anndata.AnnData
    """Raw counts; `obs` as `cells`, and compound (`DMSO` = vehicle), dose (µM), time_h, plate, well, recovered_cells (of the well)."""
    targets: pd.DataFrame
    """compound, gene (symbol), action (inhibitor, activator), potency (−log10 M)."""
    truth: pd.DataFrame
    """By gene: gene_id, gene_name, family, druggable, axis (of `AXES`, or none); inhibit, activate: change of the state toward
    the control in knockout cells when the gene is lowered to 20 %, or raised fivefold; control_delete: change of the state of
    control cells toward the disease when it is lowered; hit: inhibit or activate at least `HIT`; targeted, by a compound."""
    response: pd.DataFrame
    """By compound and dose: compound, dose (µM), kind (reverser, inert, toxic), share (of the way back, 0 to 1), survival."""
    readouts: dict[str, pd.DataFrame]
    """Outcomes without cells, one row a well: well, plate, donor_id, compound, dose, value. `viability` is in percent; `cytokine`, in
    pg/ml, is high in the disease, and falls with the cells that make it."""
    network: Network
    """The network that made the cells."""

    def corpus(self, n_cells: int = 3000) -> anndata.AnnData:
        """Unlabelled cells of other donors, edited to any degree, to pretrain a small model on.

        Parameters
        ----------
        n_cells
            Cells.
        """
        return corpus_cells(
            self.network, self.truth, n_cells=n_cells, rng=np.random.default_rng([self.seed, 5])
        )


def disease_world(
    seed: int, *, n_donors: int = 6, n_cells: int = 150, n_well: int = 24, unedited: float = 0.1
) -> DiseaseWorld:
    """Simulate a disease by knockout of RUNX1, and twelve compounds on it.

    Parameters
    ----------
    seed
        Seed of everything.
    n_donors
        Donors, each with both genotypes and all arms; the first half on plate 1.
    n_cells
        Untreated cells of each donor and genotype.
    n_well
        Sequenced cells of a well in which all survive; one well for each donor, genotype, compound and dose, four for the vehicle.
    unedited
        Share of cells in the knockout arms that have kept RUNX1.

    Examples
    --------
    >>> world = disease_world(0, n_donors=2, n_cells=20, n_well=2)
    >>> world.cells.obs.groupby("genotype").size().to_dict()
    {'AAVS1': 40, 'RUNX1-KO': 40}
    >>> world.response.groupby("kind").compound.nunique().to_dict()
    {'inert': 3, 'reverser': 6, 'toxic': 3}
    """
    if n_donors < 2 or n_cells < 1 or n_well < 1 or not 0 <= unedited < 1:
        msg = (
            "A disease world needs 2 donors or more, 1 cell or more, and a share of unedited cells from 0 to below 1; it got "
            f"`n_donors` {n_donors}, `n_cells` {n_cells}, `n_well` {n_well}, `unedited` {unedited}. Correct these."
        )
        raise InputError(msg)
    listed = disease_genes()
    targets = pd.read_csv(str(files("perturbloop.data") / "toy_disease_targets.csv"))
    network = disease_network(listed, np.random.default_rng([seed, 0]))
    push = {key: _push(targets, listed, *key) for key in _arms(targets)}
    obs = _wells(targets, n_donors, n_cells, n_well, np.random.default_rng([seed, 1]))
    grown = _grown(network, listed, obs, push, unedited, np.random.default_rng([seed, 2]))
    untreated = (obs["compound"] == "").to_numpy()
    wells = grown.obs[~untreated & (grown.obs["genotype"] == DISEASE)]
    readouts = _readouts(wells, np.random.default_rng([seed, 6]))
    screen = grown[~untreated].copy()
    del screen.obs["state"]
    screen.obs_names = [f"{name}-screen" for name in screen.obs_names]
    cells = grown[untreated].copy()
    cells.obs = cells.obs[["genotype", "donor_id", "cell_type", "edited"]]
    truth = gene_truth(network, listed, np.random.default_rng([seed, 3]))
    return DiseaseWorld(
        seed=seed,
        cells=cells,
        screen=screen,
        targets=targets,
        truth=truth.assign(targeted=listed.gene_name.isin(targets["gene"])),
        response=_response(network, push, np.random.default_rng([seed, 4])),
        readouts=readouts,
        network=network,
    )


def _arms(targets: pd.DataFrame) -> list[tuple[str, float]]:
    return [(name, dose) for name in targets["compound"].unique() for dose in DOSES]


def _occupancy(dose: float, potency: float) -> float:
    """Share of the target that is bound, of a dose in µM and a potency in −log10 M."""
    return dose / (dose + 10 ** (6 - potency))


def _toxicity(compound: str, dose: float) -> float:
    return _occupancy(dose, TOXIC[compound]) if compound in TOXIC else 0.0


def _push(targets: pd.DataFrame, listed: pd.DataFrame, compound: str, dose: float) -> Float[np.ndarray, " g"]:
    """Change of each gene's log activity; that of a toxic compound's targets is none of the disease's."""
    push_g = np.zeros(len(listed))
    place = dict(zip(listed.gene_name, range(len(listed)), strict=True))
    for row in targets[targets["compound"] == compound].itertuples():
        full = toy.LOG_DOSE["delete" if row.action == "inhibitor" else "overexpress"]
        push_g[place[row.gene]] = full * _occupancy(dose, row.potency)
    return push_g


def _wells(
    targets: pd.DataFrame, n_donors: int, n_cells: int, n_well: int, rng: np.random.Generator
) -> pd.DataFrame:
    """One row a cell; compound '' = untreated."""
    top, few = DOSES[-1], ("rapamycin", "enzastaurin", "bortezomib")
    arms = [(genotype, "", 0.0) for genotype in (CONTROL, DISEASE)]
    arms += [(genotype, toy.VEHICLE, 0.0) for genotype in (CONTROL, DISEASE) for _ in range(4)]
    arms += [(DISEASE, *arm) for arm in _arms(targets)] + [(CONTROL, name, top) for name in few]
    rows = []
    for donor in range(n_donors):
        for well, (genotype, compound, dose) in enumerate(arms):
            survival = (1 - 0.9 * _toxicity(compound, dose)) * rng.lognormal(0, 0.1)
            sequenced_cells = n_cells if not compound else max(2, round(n_well * survival))
            plate = "plate 1" if donor < n_donors / 2 else "plate 2"
            rows += [
                (genotype, compound, dose, 48, plate, f"{plate} {donor + 1}-{well - 1}", f"donor {donor + 1}", round(PLATED * survival))
            ] * sequenced_cells  # fmt: skip
    columns = ["genotype", "compound", "dose", "time_h", "plate", "well", "donor_id", "recovered_cells"]
    return pd.DataFrame(rows, columns=columns)


def _grown(
    network: Network,
    listed: pd.DataFrame,
    obs: pd.DataFrame,
    push: dict[tuple[str, float], np.ndarray],
    unedited: float,
    rng: np.random.Generator,
) -> anndata.AnnData:
    """Settle, let divide and sequence the cells; toxic compounds stop division, shrink cells, and raise mitochondrial RNA."""
    n, family = len(obs), listed.family.to_numpy()
    arm_n = list(zip(obs["compound"], obs["dose"], strict=True))
    edited = (obs["genotype"] == DISEASE).to_numpy() & (rng.random(n) >= unedited)
    push_ng = np.array([push.get(arm, np.zeros(len(listed))) for arm in arm_n])
    toxic_n = np.array([_toxicity(*arm) for arm in arm_n])
    noise_ng = network.noise(obs["donor_id"].to_numpy(), rng=rng)
    log_ng, state_n = network.settle(noise_ng + push_ng, edited.astype(float))
    log_ng -= push_ng  # the protein is blocked, not its RNA
    myeloid_n = rng.random(n) < 0.35 + 0.2 * edited
    type_g = np.where((family == "other") & (rng.random(len(listed)) < 0.1), rng.normal(0, 1, len(listed)), 0)
    phase_n = np.where(rng.random(n) < (0.2 + 0.35 * state_n) * (1 - 0.9 * toxic_n), rng.integers(1, 3, n), 0)
    for phase, name in ((1, "S"), (2, "G2M")):
        log_ng += np.outer(np.where(phase_n == phase, 1.0, -0.8), family == name)
    log_ng += np.outer(myeloid_n, type_g) + np.outer(toxic_n, family == "mitochondrial")
    depth_n = UMI * np.where(phase_n > 0, 1.4, 1.0) * (1 - 0.6 * toxic_n)
    wells = pd.factorize(obs["well"])[0]
    depth_n *= rng.lognormal(0, 0.15, wells.max() + 1)[wells]
    told = obs.assign(cell_type=np.where(myeloid_n, *CELL_TYPES[::-1]), edited=edited, state=state_n)
    return as_anndata(
        sequenced(log_ng, rng, umi_n=depth_n), listed, {name: told[name].to_numpy() for name in told}
    )


def _response(
    network: Network, push: dict[tuple[str, float], np.ndarray], rng: np.random.Generator
) -> pd.DataFrame:
    noise_ng, ones = network.noise(np.arange(500) % 50, rng=rng), np.ones(500)

    def state(push_g: np.ndarray | float, knocked: float) -> float:
        return float(network.settle(noise_ng + push_g, knocked * ones)[1].mean())

    control, disease = state(0.0, 0.0), state(0.0, 1.0)
    rows = [
        (compound, dose, (disease - state(push_g, 1.0)) / (disease - control), 1 - 0.9 * _toxicity(compound, dose))
        for (compound, dose), push_g in push.items()
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["compound", "dose", "share", "survival"])
    best = table.groupby("compound")["share"].transform("last")
    kind = np.where(table["compound"].isin(TOXIC), "toxic", np.where(best >= REVERSER, "reverser", "inert"))
    return table.assign(kind=kind)[["compound", "dose", "kind", "share", "survival"]]


def _readouts(cells: pd.DataFrame, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Viability, and a cytokine that living cells make by their state, of every well of the knockout."""
    columns = ["well", "plate", "donor_id", "compound", "dose"]
    by_well = cells.groupby(columns, sort=False)
    wells = by_well[["recovered_cells", "state"]].mean().reset_index()
    alive = wells["recovered_cells"] / PLATED
    viability = 100 * alive * rng.lognormal(0, 0.05, len(wells))
    cytokine = alive * (50 + 400 * wells["state"]) * rng.lognormal(0, 0.1, len(wells))
    return {
        name: wells[columns].assign(value=values.round(1))
        for name, values in (("viability", viability), ("cytokine", cytokine))
    }
