"""Label sources in a campaign: what trains, what the report says, what is refused."""

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from scipy import sparse

from perturbloop.data.splits import half
from perturbloop.errors import InputError, LeakageError
from perturbloop.evidence.labels import refuse_labels_of_truth
from perturbloop.loop.campaign import init, record
from perturbloop.loop.execute import perturbed_examples
from perturbloop.loop.folder import open_campaign
from perturbloop.loop.inputs import read_inputs
from perturbloop.schema import PerturbedConfig, ScreenConfig, options_of
from perturbloop.store.campaign_file import digests_of


def screen(path="elsewhere.tsv", name="donor 1", **options):
    return ScreenConfig(path=str(path), name=name, modality="crispri", higher_is="goal", **options)


def called(few, tmp_path):
    """A table that can be read as labels and as a screen: four targets are called, and all have a score."""
    genes = sorted(set(read_h5ad(few.perturbed_path).obs["target"]) - {"non-targeting"})
    rows = [f"{gene},{'goal' if at < 4 else 'none'},{at - 4}\n" for at, gene in enumerate(genes)]
    (tmp_path / "sister.csv").write_text("gene,call,score\n" + "".join(rows))
    return tmp_path / "sister.csv"


def examples_of(folder):
    campaign = open_campaign(folder)
    with campaign.store:
        return perturbed_examples(campaign, read_inputs(campaign.config))


def test_cells_train_by_the_phenotype_they_were_sorted_by(few, tmp_path, rng):
    adata = read_h5ad(few.perturbed_path)
    adata.obs["gate"] = rng.choice(["resting", "stimulated"], size=adata.n_obs)
    adata.obs.loc[adata.obs_names[::7], "gate"] = None
    adata.write_h5ad(tmp_path / "sorted.h5ad")
    init(tmp_path / "study", few.config())
    options = {"label_source": "phenotype", "phenotype_column": "gate"}
    report, _ = record(tmp_path / "study", few.perturbed(path=str(tmp_path / "sorted.h5ad"), **options))
    assert report.label_source == "phenotype"
    gate = adata.obs["gate"]
    assert report.n_labelled == int((gate.notna() & adata.obs["target"].ne("non-targeting")).sum())
    found = examples_of(tmp_path / "study").label_n
    np.testing.assert_array_equal(found, np.where(gate.isna(), np.nan, gate == "resting"))


def test_labels_of_a_screen_are_taken_with_a_warning_and_refused_once_it_judges(few, tmp_path):
    genes = sorted(set(read_h5ad(few.perturbed_path).obs["target"]) - {"non-targeting"})
    table = tmp_path / "sister.csv"
    table.write_text("gene,call\n" + "".join(f"{g},{'goal' if g < genes[4] else 'none'}\n" for g in genes))
    init(tmp_path / "study", few.config())
    entry = few.perturbed(label_source="screen", label_table=str(table))
    report, new = record(tmp_path / "study", entry)
    assert new
    assert report.warnings[0].startswith("Training labels are calls of another screen")
    found = examples_of(tmp_path / "study")
    assert set(found.label_n[found.target_n != ""]) == {0.0, 1.0}
    assert np.isnan(found.label_n[found.target_n == ""]).all()

    same = tmp_path / "copy of it.csv"
    same.write_bytes(table.read_bytes())
    refuse_labels_of_truth(entry, [screen(few.perturbed_path)])
    with pytest.raises(LeakageError, match="'sister' is the same screen as 'donor 1', 'copy of it'"):
        refuse_labels_of_truth(entry, [screen(same)])
    others = ({"path": "elsewhere/Sister.txt"}, {"path": "elsewhere/Sister.txt.gz"}, {"screen": "Sister"})
    for of_that_name in ({"name": "Sister"}, *others):
        with pytest.raises(LeakageError, match="'sister' is the same screen as 'Sister'"):
            refuse_labels_of_truth(entry, [screen(**of_that_name)])


def test_labels_of_held_out_targets_alone_are_refused_before_anything_is_written(made, tmp_path):
    names = sorted(set(read_h5ad(made.perturbed_path).obs["target"]) - {"non-targeting"})
    folder = tmp_path / "study"
    inputs = init(folder, made.config())
    fold_of = dict(zip(inputs.cells.gene_names, map(half, inputs.cells.gene_ids), strict=True))
    held_out, training = ([name for name in names if fold_of[name] == fold] for fold in (0, -1))
    table = tmp_path / "sister.csv"
    entry = made.perturbed(label_source="screen", label_table=str(table))

    def write(*called):
        rows = [f"{name},{'goal' if place % 2 else 'none'}\n" for place, name in enumerate(called)]
        table.write_text("gene,call\n" + "".join(rows))

    write(*held_out)
    with pytest.raises(
        InputError, match=f"{len(held_out)} have labelled cells, and all .* held out for ever"
    ):
        record(folder, entry)
    assert not (folder / "perturbed").exists()
    write(*held_out, training[0])
    assert record(folder, entry)[1]


def test_other_targets_of_the_same_file_are_other_examples(few, tmp_path):
    folder = tmp_path / "study"
    adata = read_h5ad(few.perturbed_path)
    adata.obs["phenotype"] = np.linspace(0, 1, adata.n_obs)
    names = sorted(set(adata.obs["target"]) - {"non-targeting"})
    swapped = {names[0]: names[1], names[1]: names[0]}
    adata.obs["corrected"] = [swapped.get(name, name) for name in adata.obs["target"]]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    init(folder, few.config())
    options = {"label_source": "phenotype", "phenotype_column": "phenotype", "guide_column": None}
    digests = set()
    for column in ("target", "corrected"):
        record(
            folder,
            few.perturbed(path=str(tmp_path / "cells.h5ad"), target_column=column, **options),
            replace=True,
        )
        digests.add(examples_of(folder).digest)
    assert len(digests) == 2


def test_a_screen_that_labels_recorded_cells_may_not_be_recorded_as_truth(few, tmp_path):
    table = called(few, tmp_path)
    folder = tmp_path / "study"
    init(folder, few.config())
    record(folder, few.perturbed(label_source="screen", label_table=str(table)))
    with pytest.raises(LeakageError, match="'sister' is the same screen as 'truth'"):
        record(folder, screen(table, name="truth", top=0.3))
    with pytest.raises(LeakageError, match="'sister' is the same screen as 'Sister'"):
        record(folder, screen(few.perturbed_path, name="Sister"))
    assert "[[screen]]" not in (folder / "campaign.toml").read_text()


def test_recorded_screens_refuse_cells_that_train_by_them(few, tmp_path):
    table = called(few, tmp_path)
    folder = tmp_path / "study"
    init(folder, few.config())
    record(folder, screen(table, name="truth", top=0.3))
    with pytest.raises(LeakageError, match="'sister' is the same screen as 'truth'"):
        record(folder, few.perturbed(label_source="screen", label_table=str(table)))
    assert "[[perturbed]]" not in (folder / "campaign.toml").read_text()


def test_a_changed_label_table_makes_the_effects_stale_and_a_moved_one_does_not(few, tmp_path):
    (tmp_path / "one.csv").write_text("gene,call\nA,goal\n")
    (tmp_path / "other.csv").write_text("gene,call\nA,goal\n")
    one, other = (
        few.perturbed(label_source="screen", label_table=str(tmp_path / f"{name}.csv"))
        for name in ("one", "other")
    )
    assert isinstance(one, PerturbedConfig)
    assert (digests_of(one), options_of(one)) == (digests_of(other), options_of(other))
    (tmp_path / "other.csv").write_text("gene,call\nA,none\n")
    assert digests_of(one) != digests_of(other)


def test_escaped_cells_do_not_train_and_stay_in_the_effects(few, tmp_path):
    """A hundred controls become cells of one target; every second loses 30 genes, the others escaped."""
    adata = read_h5ad(few.perturbed_path)
    target = sorted(set(adata.obs["target"]) - {"non-targeting"})[0]
    taken = np.flatnonzero(adata.obs["target"] == "non-targeting")[:100]
    own, moved_n = np.isin(np.arange(adata.n_obs), taken), np.isin(np.arange(adata.n_obs), taken[::2])
    counts = adata.X.toarray()
    often = np.argsort(counts.sum(axis=0))[::-1][:30]
    counts[np.ix_(moved_n, often)] = 0
    adata.X = sparse.csr_matrix(counts)
    adata.obs["target"] = np.where(own, target, adata.obs["target"].astype(str))
    adata.write_h5ad(tmp_path / "escaped.h5ad")
    labels, reports = {}, {}
    for drop in (False, True):
        study = tmp_path / f"study {drop}"
        init(study, few.config())
        entry = few.perturbed(path=str(tmp_path / "escaped.h5ad"), drop_escaped=drop)
        reports[drop], _ = record(study, entry)
        labels[drop] = examples_of(study).label_n
    gone = np.isnan(labels[True])
    assert not np.isnan(labels[False]).any()
    assert gone[own & ~moved_n].mean() > 0.8
    assert gone[moved_n].mean() < 0.2
    assert reports[True].n_labelled == reports[False].n_labelled - gone.sum()
    first, other = (read_effects(tmp_path / f"study {drop}") for drop in (False, True))
    assert first.equals(other)
    explained = reports[True].contributions
    assert set(explained) == set(first.loc[first["hit"] & first["level"].eq("gene"), "target"])
    assert all(len(genes) == 5 for genes in explained.values())


def read_effects(folder):
    """Effects of the only recorded file."""
    (path,) = folder.glob("perturbed/*/effects_all.parquet")
    return pd.read_parquet(path)
