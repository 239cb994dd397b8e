import numpy as np
import pandas as pd
import pytest

from perturbloop.data import toy
from perturbloop.data.compounds import Compound, folds_of_genes, read_compounds, torn
from perturbloop.data.perturbed import read_perturbed
from perturbloop.errors import InputError, StateError
from perturbloop.schema import PerturbedConfig

GENES = [f"ENSG{place:011d}" for place in range(40)]


@pytest.fixture
def written(tmp_path):
    """Write a table of targets and read it."""

    def write(text, name="targets.tsv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_compound_has_signed_targets_in_the_words_of_the_field(written):
    rows = [("a", GENES[0], "Inhibitor"), ("a", GENES[1], "-1"), ("b", f"{GENES[2]}.4", "agonist")]
    rows += [("c", GENES[3], "antagonist"), ("c", GENES[4], "+1"), ("d", "nobody", "inhibitor")]
    table = "compound\tgene\taction\n" + "".join("\t".join(row) + "\n" for row in rows)
    compounds, unknown = read_compounds(written(table))
    assert compounds["a"] == Compound("a", inhibits=frozenset(GENES[:2]))
    assert compounds["b"].activates == {GENES[2]}
    assert [compounds[name].arm for name in "abcd"] == ["inhibitor", "activator", None, None]
    assert compounds["c"].genes == {GENES[3], GENES[4]}
    assert (unknown, compounds["d"].genes) == (("nobody",), frozenset())
    commas, _ = read_compounds(written(table.replace("\t", ","), "targets.csv"))
    assert commas == compounds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("compound\tgene\na\tb\n", r"columns 'compound', 'gene', 'action'; .* Add 'action'"),
        (f"compound\tgene\taction\na\t{GENES[0]}\tinhibitr\n", r"also hold 'inhibitr'.*is 'inhibitor'"),
        (
            f"compound\tgene\taction\na\t{GENES[0]}\tagonist\na\t{GENES[0]}\tantagonist\n",
            rf"these do two: 'a: {GENES[0]}'",
        ),
    ],
)
def test_other_tables_are_refused(written, text, message):
    with pytest.raises(InputError, match=message):
        read_compounds(written(text))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read.*--targets"):
        read_compounds(tmp_path / "none.tsv")


def test_whatever_compounds_link_shares_a_fold(rng):
    compounds = [
        Compound(f"c{place}", inhibits=frozenset(rng.choice(GENES, size=size, replace=False).tolist()))
        for place, size in enumerate(rng.integers(1, 4, size=15))
    ]
    fold_of = folds_of_genes(compounds, known={}, folds=5)
    assert set(fold_of) == set().union(*(one.genes for one in compounds))
    assert torn(compounds, fold_of) == []
    assert folds_of_genes(compounds[::-1], known={}, folds=5) == fold_of
    alone = folds_of_genes([Compound(gene, inhibits=frozenset([gene])) for gene in GENES], known={}, folds=5)
    assert set(alone.values()) == {-1, 0}  # 30 groups or more: half is held out


def test_folds_that_were_given_stay_and_a_compound_between_them_is_torn():
    known = {GENES[0]: 0, GENES[1]: 3}
    across = Compound("across", inhibits=frozenset(GENES[:3]))
    same = Compound("same", activates=frozenset([GENES[1], GENES[3]]))
    fold_of = folds_of_genes([across, same], known=known, folds=5)
    assert known.items() <= fold_of.items()
    assert "across" in torn([across, same], fold_of)
    assert torn([same], folds_of_genes([same], known=known, folds=5)) == []


def drug_config(folder, **options):
    return PerturbedConfig(
        **{
            "path": str(folder / "drugs.h5ad"),
            "target_column": "compound",
            "control": toy.VEHICLE,
            "modality": "drug",
            "targets": str(folder / "targets.tsv"),
            "replicate_column": "replicate",
        }
        | options
    )


@pytest.fixture
def drugs(world, tmp_path, rng):
    """Two compounds at two doses, one of them without a row in the table."""
    genes = world.genes.gene_id.tolist()
    adata = toy.treat(world, {"x": {genes[0]: -1}, "y": {genes[1]: -1}}, state="stimulated", rng=rng)
    adata.write_h5ad(tmp_path / "drugs.h5ad")
    (tmp_path / "targets.tsv").write_text(
        f"compound\tgene\taction\nx\t{genes[0]}\tinhibitor\nx\tq\t-1\nz\tr\t-1\n"
    )
    return tmp_path


def test_cells_at_the_highest_dose_of_each_compound_are_read(drugs):
    perturbed, report = read_perturbed(drug_config(drugs, dose_column="dose"))
    assert report["dropped"] == {"lower dose": 40}
    assert report["targets"] == {"x": 40, "y": 40}
    assert report["targets_unmapped"] == ["y"]
    assert report["compound_genes_unknown"] == ["q"]  # what compounds of other screens hit is no matter
    assert list(perturbed.compounds) == ["x"]
    assert perturbed.target_ids == {}
    whole, _ = read_perturbed(drug_config(drugs))
    assert (whole.target_n == "x").sum() == 60


def test_drugs_need_their_targets_and_doses_that_are_numbers(drugs):
    with pytest.raises(InputError, match=r"need `targets`.*--targets"):
        drug_config(drugs, targets=None)
    with pytest.raises(InputError, match=r"must hold doses as numbers; it also holds 'stimulated'"):
        read_perturbed(drug_config(drugs, dose_column="condition"))
    with pytest.raises(StateError, match="--dose-column"):
        read_perturbed(drug_config(drugs, dose_column="doses"))
    (drugs / "targets.tsv").write_text("compound\tgene\taction\nz\tENSG00000000001\t-1\n")
    with pytest.raises(InputError, match=r"At least one compound needs a known target.*'x', 'y'"):
        read_perturbed(drug_config(drugs))


def test_a_simulated_compound_moves_its_targets_together_and_by_dose(world, rng):
    genes = world.genes.sort_values("gene_id").gene_id.tolist()
    counts = pd.Series(np.asarray(world.cells.X.sum(axis=0)).ravel(), index=world.cells.var_names)
    low, high = counts.loc[genes].nlargest(2).index
    adata = toy.treat(world, {"x": {low: -1, high: 1}}, state="resting", n_cells=600, n_controls=600, rng=rng)
    share = adata.to_df().div(adata.to_df().sum(axis=1), axis=0)[[low, high]]
    mean = share.groupby(adata.obs["dose"]).mean()
    ratio = mean.div(mean.loc[0.0])
    assert ratio.loc[10.0, low] < 0.4 < 0.7 < ratio.loc[1.0, low] < 1.0
    assert ratio.loc[10.0, high] > 2.5 > 1.4 > ratio.loc[1.0, high] > 1.0
