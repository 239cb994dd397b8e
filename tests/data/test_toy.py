import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from perturbloop.data import network, toy
from perturbloop.data.splits import half
from perturbloop.errors import GeneIdError, InputError

SMALL = {"n_cells": 64, "n_corpus": 64}
TRUTH_COLUMNS = ["gene_id", "gene_name", "start", "goal", "kind", "effect", "hit", "away"]


def signed_de(cells: anndata.AnnData) -> np.ndarray:
    """Rank-sum score of stimulated against resting cells, one per gene; positive = higher in stimulated cells."""
    counts = cells.X.toarray()
    ranks = rankdata(np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)), axis=0)
    stimulated = (cells.obs["state"] == "stimulated").to_numpy()
    return ranks[stimulated].mean(axis=0) - ranks[~stimulated].mean(axis=0)


def de_auroc(world: toy.ToyWorld) -> tuple[float, float]:
    """AUROC of signed DE for knock-downs in stimulated cells, and for activations in resting cells."""
    score = signed_de(world.cells)  # a gene that is up is knocked down to go back, activated to go forward
    return tuple(roc_auc_score(world.truth(start, kind).hit, score) for start, kind in toy.READINGS)


def brute_force(
    net: network.Network, gene: int | None, *, log_dose: float, stimulus: float, noise_ng: np.ndarray
) -> float:
    """Mean state after plain iteration of the network's equations, one edge pass at a time."""
    given = noise_ng + stimulus * net.induction_g
    if gene is not None:
        given = given.copy()
        given[:, gene] += log_dose
    weight_g = net.weight_g * (net.gate_g + (1 - net.gate_g) * stimulus)
    moved, state = given, np.zeros(len(given))
    for _ in range(60):
        moved = given + state[:, None] * net.response_g + moved @ net.edges_gg
        state = expit(net.resting + net.push * stimulus + moved @ weight_g)
    return float(state.mean())


@pytest.fixture(scope="module")
def worlds():
    return [toy.world(seed, n_cells=800, n_corpus=16) for seed in range(8)]


def test_signed_de_is_neither_trivial_nor_hopeless(worlds):
    scores = [np.mean(de_auroc(world)) for world in worlds]
    assert 0.55 < np.mean(scores) < 0.70
    assert 0.55 < scores[0] < 0.70


def test_about_one_gene_in_eight_is_causal_and_modules_hold_4_to_8_regulators(worlds):
    for world in worlds:
        kd, oe = (world.truth(start, kind) for start, kind in toy.READINGS)
        assert 0.09 < (kd.hit | kd.away | oe.hit).mean() < 0.15
        regulators = world.genes[world.genes.role == "regulator"].module.value_counts()
        assert len(regulators) == 8
        assert regulators.between(4, 8).all()


def test_cells_are_as_shallow_as_stated(worlds):
    for world in worlds:
        depth = np.asarray(world.cells.X.sum(axis=1)).ravel()
        detected = np.diff(world.cells.X.indptr)
        assert depth.mean() == pytest.approx(430, rel=0.05)
        assert detected.mean() == pytest.approx(160, rel=0.07)
        assert depth.std() / depth.mean() > 0.3


def test_counts_are_raw_integers_and_the_tables_are_complete(world):
    assert world.cells.shape == (400, 360)
    assert world.cells.X.dtype == np.float32
    assert world.cells.X.format == "csr"
    assert np.array_equal(world.cells.X.data, np.round(world.cells.X.data))
    assert world.cells.X.data.min() >= 1
    assert list(world.cells.var.columns) == ["ensembl_id", "gene_name"]
    assert list(world.cells.var_names) == list(world.genes.gene_id) == list(world.corpus.var_names)
    assert list(world.genes.columns) == ["gene_id", "gene_name", "role", "module"]
    assert world.cells.obs["state"].value_counts().to_dict() == {"resting": 200, "stimulated": 200}
    assert "state" not in world.corpus.obs
    assert not set(world.corpus.obs["donor_id"]) & set(world.cells.obs["donor_id"])


def test_donors_are_paired_unless_asked_to_be_nested(world):
    per_donor = world.cells.obs.groupby("donor_id").state.nunique()
    assert len(per_donor) == 8
    assert (per_donor == 2).all()
    nested = toy.world(0, design="nested", **SMALL).cells.obs.groupby("donor_id").state.nunique()
    assert len(nested) == 8
    assert (nested == 1).all()


def test_donors_differ_more_than_chance_allows(world):
    resting = world.cells[world.cells.obs["state"] == "resting"]
    totals = np.asarray(resting.X.sum(axis=1))
    share = pd.DataFrame(resting.X.toarray() / totals).set_axis(resting.var_names, axis=1)

    def between(donors):
        return share.groupby(np.asarray(donors)).mean().std().mean()

    rng = np.random.default_rng(0)
    shuffled = [between(rng.permutation(resting.obs["donor_id"])) for _ in range(5)]
    assert between(resting.obs["donor_id"]) > 1.1 * max(shuffled)


def test_a_seed_gives_the_same_world_and_another_seed_another():
    first, again, other = (toy.world(seed, **SMALL) for seed in (3, 3, 4))
    assert (first.cells.X != again.cells.X).nnz == 0
    assert (first.corpus.X != again.corpus.X).nnz == 0
    pd.testing.assert_frame_equal(first.truth(), again.truth())
    assert (first.cells.X != other.cells.X).nnz > 0
    assert list(first.genes.role) != list(other.genes.role)


def test_the_truth_does_not_depend_on_how_many_cells_are_drawn(world):
    pd.testing.assert_frame_equal(world.truth(), toy.world(0, **SMALL).truth())


def test_truth_is_signed_toward_the_other_state_of_the_same_change(world):
    delete, activate = world.truth("stimulated", "delete"), world.truth("stimulated", "overexpress")
    assert list(delete.columns) == TRUTH_COLUMNS
    assert (delete.goal == "resting").all()
    strong = delete.hit.to_numpy()
    assert (activate.effect[strong] < 0).all()
    assert (world.truth("resting", "overexpress").effect[strong] > 0).all()
    assert (world.truth("resting", "delete").effect[strong] < 0).all()
    assert delete.effect[delete.hit].min() >= toy.HIT["stimulated", "delete"]
    assert delete.effect[delete.away].max() <= -toy.AWAY


@pytest.mark.parametrize(("start", "kind"), toy.READINGS)
def test_truth_agrees_with_a_brute_force_simulation_of_other_cells(world, start, kind):
    truth = world.truth(start, kind)
    ordered = truth.effect.abs().sort_values(ascending=False).index
    noise_ng = world.network.noise(np.arange(1500) % 100, rng=np.random.default_rng(99))
    given = {"log_dose": toy.LOG_DOSE[kind], "stimulus": float(start == "stimulated"), "noise_ng": noise_ng}
    before = brute_force(world.network, None, **given)
    toward = 1 if start == "resting" else -1
    for gene in [*ordered[[0, 1, 10, 30, 43]], ordered[-1]]:
        measured = toward * (brute_force(world.network, gene, **given) - before)
        assert measured == pytest.approx(truth.effect[gene], abs=0.012)


def test_unperturbed_cells_have_the_stated_mean_states(world):
    noise_ng = world.network.noise(np.arange(1500) % 100, rng=np.random.default_rng(7))
    resting, stimulated = (
        brute_force(world.network, None, log_dose=0, stimulus=s, noise_ng=noise_ng) for s in (0, 1)
    )
    assert resting == pytest.approx(network.RESTING_MEAN, abs=0.02)
    assert stimulated == pytest.approx(network.STIMULATED_MEAN, abs=0.02)


def test_consequences_have_no_effect_on_the_state(world):
    silent = world.genes.role.isin(["effector", "program", "housekeeping"]).to_numpy()
    assert (world.truth().effect[silent] == 0).all()
    assert not world.truth().effect[world.genes.role == "regulator"].eq(0).any()


def test_regulators_are_hardly_differential_and_effectors_are(worlds):
    for world in worlds[:3]:
        moved = pd.Series(np.abs(signed_de(world.cells))).groupby(world.genes.role.to_numpy()).median()
        assert moved["regulator"] < 0.6 * moved["effector"]


def test_a_knock_down_acts_on_the_effectors_through_the_network(world):
    truth = world.truth().set_index("gene_id").effect
    roles = world.genes.set_index("gene_id").role
    cause = truth[roles == "regulator"].idxmax()
    bystander = roles.index[roles == "housekeeping"][0]
    screen = toy.perturb(
        world,
        [cause, bystander],
        modality="crispri",
        state="stimulated",
        n_cells=400,
        n_controls=400,
        rng=np.random.default_rng(1),
    )
    rising = world.network.response_g > 0.5
    symbols = world.genes.set_index("gene_id").gene_name
    share = pd.Series(
        np.asarray(screen.X[:, rising].sum(axis=1)).ravel() / np.asarray(screen.X.sum(axis=1)).ravel()
    )
    level = share.groupby(screen.obs["target"].to_numpy()).mean()
    assert level[symbols[cause]] < 0.9 * level[toy.CONTROL]
    assert level[symbols[bystander]] == pytest.approx(level[toy.CONTROL], rel=0.06)


@pytest.mark.parametrize(("modality", "left"), [("crispri", 0.2), ("crispra", 5.0)])
def test_a_guide_changes_its_own_gene_as_stated(world, modality, left):
    target = world.genes.gene_name[
        np.argmax(np.where(world.genes.role == "housekeeping", world.network.base_g, -9))
    ]
    rng = np.random.default_rng(2)
    screen = toy.perturb(
        world, [target], modality=modality, state="resting", n_cells=300, n_controls=300, rng=rng
    )
    column = world.genes.gene_name.tolist().index(target)
    others = np.arange(360) != column
    share = screen.X[:, column].toarray().ravel() / np.asarray(screen.X[:, others].sum(axis=1)).ravel()
    mean = pd.Series(share).groupby(screen.obs["target"].to_numpy()).mean()
    assert np.log(mean[target] / mean[toy.CONTROL]) == pytest.approx(np.log(left), abs=0.35)


def test_a_screen_is_labelled_like_a_real_one(world):
    screen = toy.perturb(
        world, world.genes.gene_id[:2], modality="crispra", state="resting", rng=np.random.default_rng(0)
    )
    assert screen.obs["target"].value_counts().to_dict() == {"non-targeting": 300, "SEMA3F": 60, "TTC22": 60}
    assert screen.obs.groupby("target").guide.nunique().eq(3).all()
    assert screen.obs.groupby(["target", "guide"]).replicate.nunique().eq(2).all()
    assert set(screen.obs["condition"]) == {"resting"}
    assert list(screen.var_names) == list(world.genes.gene_id)


def test_panels_are_nested_and_hit_enriched(world):
    panels = {k: toy.panel(world, k, rng=np.random.default_rng(5)) for k in (10, 20, 50, 360)}
    known = {gene for start, kind in toy.READINGS for gene in world.truth(start, kind).query("hit").gene_id}
    assert panels[20] == panels[50][:20]
    assert panels[10] == panels[20][:10]
    assert sum(gene in known for gene in panels[20]) == 8
    assert sum(gene in known for gene in panels[50]) == 14
    forty = toy.panel(world, 40, reading=("stimulated", "delete"), rng=np.random.default_rng(5))
    assert sum(half(gene) == -1 for gene in forty) == 20
    assert sorted(panels[360]) == sorted(world.genes.gene_id)
    assert len(set(toy.panel(world, 20, how="random", rng=np.random.default_rng(5)))) == 20


def test_in_misleading_worlds_causes_leave_the_modules_and_keep_their_number():
    plain, misleading = toy.world(0, **SMALL), toy.world(0, misleading=True, **SMALL)
    causal = misleading.genes.role == "regulator"
    assert causal.sum() == (plain.genes.role == "regulator").sum()
    assert not misleading.genes.module[causal].str.startswith("module").any()
    assert misleading.genes.module[causal].value_counts().drop("none").max() < 9
    kd, oe = (misleading.truth(start, kind) for start, kind in toy.READINGS)
    assert 0.09 < (kd.hit | kd.away | oe.hit).mean() < 0.16
    assert 0.5 < np.mean(de_auroc(toy.world(0, misleading=True, n_cells=800, n_corpus=16))) < 0.75


def test_the_written_files_can_be_read_back(world, tmp_path):
    toy.write(world, tmp_path / "demo", k=6, n_cells=12)
    perturbed = anndata.read_h5ad(tmp_path / "demo" / "perturbed.h5ad")
    cells = anndata.read_h5ad(tmp_path / "demo" / "cells.h5ad")
    truth = pd.read_csv(tmp_path / "demo" / "truth.csv")
    assert (cells.X != world.cells.X).nnz == 0
    assert perturbed.obs["target"].nunique() == 7
    assert set(perturbed.obs["condition"]) == {"stimulated"}
    assert anndata.read_h5ad(tmp_path / "demo" / "corpus.h5ad").n_vars == 360
    assert list(truth.columns) == TRUTH_COLUMNS
    assert len(truth) == 4 * 360


def test_unknown_targets_are_named_with_the_closest():
    world = toy.world(0, **SMALL)
    with pytest.raises(GeneIdError, match=r"these are not: 'SEMA3'\. The closest to the first: .*'SEMA3F'"):
        toy.perturb(world, ["SEMA3"], modality="crispri", state="resting", rng=np.random.default_rng(0))


def test_what_the_simulator_cannot_do_is_refused():
    world = toy.world(0, **SMALL)
    with pytest.raises(InputError, match="modalities 'crispri' and 'crispra'; it got 'crispr_ko'"):
        toy.perturb(world, ["SEMA3F"], modality="crispr_ko", state="resting", rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="`n_genes` must be between 254 and 400; it is 100"):
        toy.world(0, n_genes=100)
    with pytest.raises(InputError, match="between 1 and 360 genes; it was asked for 400"):
        toy.panel(world, 400, rng=np.random.default_rng(0))


def test_a_larger_network_has_as_large_a_share_of_hits_and_as_wide_a_state():
    """Scale multiplies every role; the state of single cells varies as in the small network."""
    small = toy.world(0, n_cells=200, n_corpus=64)
    large = toy.world(0, n_genes=1440, n_cells=200, n_corpus=64, scale=4)
    counts = large.genes["role"].value_counts()
    assert counts["effector"] == 4 * small.genes["role"].value_counts()["effector"]
    assert large.genes["module"].nunique() == 4 * (8 + 5) + 1
    assert large.genes["gene_id"].is_unique
    shares = [world.truth("stimulated", "delete")["hit"].mean() for world in (small, large)]
    assert 0.5 < shares[1] / shares[0] < 2
    spreads = []
    for world in (small, large):
        noise_ng = world.network.noise(np.arange(600) % 8, rng=np.random.default_rng(1))
        spreads.append(world.network.settle(noise_ng, np.ones(600))[1].std())
    assert 0.6 < spreads[1] / spreads[0] < 1.6
