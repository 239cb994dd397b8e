import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from perturbloop.data.compounds import read_targets
from perturbloop.data.toy_disease import CONTROL, DISEASE, TOXIC, disease_world
from perturbloop.data.toy_disease_network import AXES, disease_genes
from perturbloop.errors import InputError


@pytest.fixture(scope="module")
def world():
    return disease_world(0, n_donors=4, n_cells=80, n_well=6)


def genes_of(table):
    return table.set_index("gene_name")


def per_cell(world, adata, family):
    """Share of each cell's counts that lies in a family of genes."""
    counts = adata.X.toarray()
    return counts[:, (world.truth.family == family).to_numpy()].sum(axis=1) / counts.sum(axis=1)


def settled(network, noise_ng, stimulus):
    """Mean state after plain iteration of the network's equations."""
    given = noise_ng + stimulus * network.induction_g
    weight_g = network.weight_g * (network.gate_g + (1 - network.gate_g) * stimulus)
    moved, state = given, np.zeros(len(given))
    for _ in range(30):
        moved = given + state[:, None] * network.response_g + moved @ network.edges_gg
        state = expit(network.resting + network.push * stimulus + moved @ weight_g)
    return state.mean()


def test_both_files_are_labelled_like_those_of_a_lab(world):
    cells, screen = world.cells.obs, world.screen.obs
    assert cells.groupby(["genotype", "donor_id"]).size().eq(80).all()
    assert set(screen.groupby("donor_id").genotype.nunique()) == {2}
    arms = screen.drop_duplicates(["genotype", "compound", "dose"])[["genotype", "compound", "dose"]]
    assert len(arms) == 12 * 3 + 3 + 2
    assert screen.loc[screen["compound"] == "DMSO", "dose"].eq(0).all()
    assert not set(world.cells.obs_names) & set(world.screen.obs_names)
    assert screen.groupby("well").donor_id.nunique().eq(1).all()
    assert np.array_equal(world.screen.X.data, np.round(world.screen.X.data))


def test_a_tenth_of_the_knockout_was_never_edited_and_no_control_was(world):
    edited = world.screen.obs.groupby("genotype")["edited"].mean()
    assert edited[CONTROL] == 0
    assert edited[DISEASE] == pytest.approx(0.9, abs=0.03)
    assert disease_world(0, n_donors=2, n_cells=50, n_well=2, unedited=0).cells.obs["edited"].sum() == 100


def test_the_knocked_out_gene_passes_the_control_gate(world):
    regulator = genes_of(world.truth).loc["RUNX1"]
    assert regulator["activate"] > 0.1
    assert regulator["inhibit"] < -0.05
    assert regulator["control_delete"] > 0.1


def test_truth_and_response_agree_with_a_brute_force_simulation_of_other_cells(world):
    noise_ng = world.network.noise(np.arange(200) % 50, rng=np.random.default_rng(9))
    named = list(world.truth["gene_name"])
    disease, control = settled(world.network, noise_ng, 1.0), settled(world.network, noise_ng, 0.0)
    for gene in ("MTOR", "PRKAA1", "ADRB2"):
        given = noise_ng.copy()
        given[:, named.index(gene)] += np.log(0.2)
        effect = disease - settled(world.network, given, 1.0)
        assert effect == pytest.approx(genes_of(world.truth).loc[gene, "inhibit"], abs=0.03)
    given = noise_ng.copy()
    given[:, named.index("MTOR")] += np.log(0.2) * 1.0 / (1.0 + 1e-3)
    share = (disease - settled(world.network, given, 1.0)) / (disease - control)
    told = world.response.query("compound == 'rapamycin' and dose == 1").iloc[0]
    assert share == pytest.approx(told["share"], abs=0.05)


def test_known_drugs_act_in_the_known_direction(world):
    top = world.response.query("dose == 10").set_index("compound")
    for compound in ("rapamycin", "enzastaurin", "idelalisib", "A-769662"):  # the last is an activator
        assert top.loc[compound, "kind"] == "reverser"
    key = genes_of(world.truth).loc[["MTOR", "PRKCB", "PIK3CD", "CD74", "MIF"]]
    assert key["hit"].all()
    assert (key["inhibit"] > 0.04).all()
    assert genes_of(world.truth).loc["PRKAA1", "activate"] > 0.04


def test_every_axis_keeps_hits_that_no_compound_targets(world):
    open_hits = world.truth[world.truth["hit"] & ~world.truth["targeted"] & world.truth["druggable"]]
    assert set(open_hits["axis"]) == set(AXES)
    assert world.truth.query("axis == 'PRKC'")["hit"].mean() < 1  # not all of a family act


def test_signed_de_is_neither_trivial_nor_hopeless():
    scores = []
    for seed in range(3):
        world = disease_world(seed, n_cells=60, n_well=1)
        counts = world.cells.X.toarray()
        ranks = rankdata(np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)), axis=0)
        knocked = (world.cells.obs["genotype"] == DISEASE).to_numpy()
        asked = (world.truth["druggable"] & ~world.truth["targeted"]).to_numpy()
        true = ((world.truth["axis"] != "none") & world.truth["hit"]).to_numpy()
        up = ranks[knocked].mean(axis=0) - ranks[~knocked].mean(axis=0)
        scores.append(roc_auc_score(true[asked], up[asked]))
    assert 0.53 < np.mean(scores) < 0.70


def test_toxic_compounds_kill_shrink_and_stop_cells_but_leave_the_disease_state_alone(world):
    assert set(world.response.query("kind == 'toxic'")["compound"]) == set(TOXIC)
    assert world.response.query("kind == 'toxic'")["share"].abs().max() < 1e-9
    screen = world.screen[world.screen.obs["genotype"] == DISEASE]
    toxic = screen[(screen.obs["compound"] == "bortezomib") & (screen.obs["dose"] == 10)]
    vehicle = screen[screen.obs["compound"] == "DMSO"]
    assert toxic.obs["recovered_cells"].mean() < 0.3 * vehicle.obs["recovered_cells"].mean()
    assert toxic.X.sum(axis=1).mean() < 0.6 * vehicle.X.sum(axis=1).mean()
    for family in ("S", "G2M"):
        assert per_cell(world, toxic, family).mean() < per_cell(world, vehicle, family).mean()
    assert per_cell(world, toxic, "mitochondrial").mean() > per_cell(world, vehicle, "mitochondrial").mean()


def test_disease_cells_divide_more_and_are_of_other_types(world):
    obs = world.cells.obs
    myeloid = obs["cell_type"].eq("myeloid progenitor").groupby(obs["genotype"]).mean()
    assert myeloid[DISEASE] > myeloid[CONTROL] + 0.05
    cycling = pd.Series(per_cell(world, world.cells, "G2M"), obs.index).groupby(obs["genotype"]).mean()
    assert cycling[DISEASE] > cycling[CONTROL]


def test_a_compound_leaves_the_rna_of_its_target_alone(world):
    screen = world.screen[world.screen.obs["genotype"] == DISEASE]
    place = list(world.truth["gene_name"]).index("PSMB5")  # not of the network
    obs, counts = screen.obs, screen.X[:, place].toarray().ravel()
    treated = counts[(obs["compound"] == "bortezomib") & (obs["dose"] == 0.1)].mean()
    assert treated > 0.3 * counts[obs["compound"] == "DMSO"].mean()


def test_the_table_of_targets_is_one_the_package_reads(world, tmp_path):
    world.targets.to_csv(tmp_path / "targets.csv", index=False)
    table = read_targets(tmp_path / "targets.csv")
    assert table["compound"].nunique() == 12
    assert set(table["gene"]) <= set(disease_genes()["gene_name"])
    assert world.targets["potency"].between(5, 10).all()


def test_genes_bear_real_names_once():
    listed = disease_genes()
    assert listed["gene_id"].is_unique
    assert listed["gene_name"].is_unique
    assert listed["family"].value_counts()[["S", "G2M", "mitochondrial"]].tolist() == [43, 54, 13]


def test_a_seed_gives_the_same_world_and_another_seed_another():
    first, again, other = (disease_world(seed, n_donors=2, n_cells=10, n_well=1) for seed in (3, 3, 4))
    assert (first.screen.X != again.screen.X).nnz == 0
    pd.testing.assert_frame_equal(first.truth, again.truth)
    assert not first.truth["inhibit"].equals(other.truth["inhibit"])


def test_a_world_without_donors_or_of_unedited_cells_only_is_refused():
    with pytest.raises(InputError, match=r"needs 2 donors or more.*`unedited` 1\.0\. Correct these"):
        disease_world(0, unedited=1.0)


def test_readouts_have_a_row_a_well_and_the_cytokine_falls_with_the_disease_and_with_the_cells(world):
    viability, cytokine = (world.readouts[name] for name in ("viability", "cytokine"))
    assert len(cytokine) == cytokine["well"].nunique() == 4 * (12 * 3 + 4)
    top = cytokine[cytokine["dose"].isin([0, 10])].groupby("compound")["value"].mean()
    assert top["dactolisib"] < 0.8 * top["DMSO"]  # a reverser
    assert top["bortezomib"] < 0.4 * top["DMSO"]  # dead cells
    assert top["loratadine"] == pytest.approx(top["DMSO"], rel=0.2)
    of_vehicle = viability.loc[viability["compound"] == "DMSO", "value"]
    assert of_vehicle.mean() == pytest.approx(100, rel=0.1)
