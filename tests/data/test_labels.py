from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.data.cells import Cells
from perturbloop.data.labels import call_labels, phenotype_labels, read_calls, refuse_same_screen
from perturbloop.data.perturbed import PerturbedCells
from perturbloop.errors import InputError, LeakageError, StateError
from perturbloop.schema import PerturbedConfig

GENES = ["ENSG00000000001", "ENSG00000000002"]


def sorted_cells(phenotype):
    """Six cells, the first two of them controls, with this phenotype."""
    obs = pd.DataFrame({"sorted": phenotype}, index=[f"cell{place}" for place in range(6)])
    counts = sparse.csr_matrix(np.ones((6, 2), dtype=np.float32))
    names = np.array(GENES, dtype=object)
    config = PerturbedConfig(
        path="sorted.h5ad",
        target_column="target",
        control="NT",
        modality="crispr_ko",
        label_source="phenotype",
        phenotype_column="sorted",
    )
    return PerturbedCells(
        cells=Cells(counts, names, names, obs, "sorted.h5ad", ""),
        target_n=np.array(["NT", "NT", "A", "A", "B", "B"], dtype=object),
        guide_n=None,
        replicate_n=np.full(6, "all", dtype=object),
        control="NT",
        modality="crispr_ko",
        config=config,
    )


@pytest.mark.parametrize(
    ("phenotype", "label"),
    [
        ([0.1, 0.2, 0.3, 0.9, 1.0, np.nan], [0.1, 0.2, 0.3, 0.9, 1.0, np.nan]),
        (["ill", "ill", "well", "ill", "well", None], [0, 0, 1, 0, 1, np.nan]),
        ([False, False, True, False, True, True], [0, 0, 1, 0, 1, 1]),
        (pd.Categorical(["ill", "ill", "well", "ill", "well", None]), [0, 0, 1, 0, 1, np.nan]),
        (pd.Categorical([0, 0, 1, 0, 1, None]), [0, 0, 1, 0, 1, np.nan]),
        (pd.array([0, 0, 1, 0, 1, None], dtype="Int64"), [0, 0, 1, 0, 1, np.nan]),
        (pd.array([False, False, True, False, True, None], dtype="boolean"), [0, 0, 1, 0, 1, np.nan]),
    ],
)
def test_a_phenotype_is_a_probability_or_a_gate_and_may_be_missing(phenotype, label):
    np.testing.assert_array_equal(
        phenotype_labels(sorted_cells(phenotype), start="ill", goal="well"), np.array(label, dtype=float)
    )


@pytest.mark.parametrize(
    ("phenotype", "message"),
    [
        ([0, 1, 5, 40, 2, 3.5], r"probability of the goal state.*it also holds '2\.0', '3\.5'.*Calibrate"),
        (["ill", "ill", "well", "high", "ill", "ill"], r"state 'ill' or 'well'; it also holds 'high'"),
        ([0.1, 0.9, 0.5, 0.5, 0.5, 0.5], r"must differ among perturbed cells.*'0\.5'"),
    ],
)
def test_other_phenotypes_are_refused_with_what_they_hold(phenotype, message):
    with pytest.raises(StateError, match=message):
        phenotype_labels(sorted_cells(phenotype), start="ill", goal="well")


def test_a_phenotype_needs_its_column():
    cells = sorted_cells([0.1] * 6)
    cells = replace(cells, config=replace(cells.config, phenotype_column="facs"))
    with pytest.raises(StateError, match=r"'facs' is not among 'sorted'.*--phenotype-column"):
        phenotype_labels(cells, start="ill", goal="well")
    with pytest.raises(InputError, match=r"need `phenotype_column`.*--phenotype-column"):
        replace(cells.config, phenotype_column=None)
    with pytest.raises(InputError, match=r"belongs to labels of source `phenotype`; it is 'state_score'"):
        replace(cells.config, label_source="state_score")
    with pytest.raises(InputError, match=r"need `label_table`.*--label-table"):
        replace(cells.config, label_source="screen")


def test_calls_label_each_cell_by_its_target(tmp_path):
    path = tmp_path / "il2.tsv"
    path.write_text(f"gene\tcall\n{GENES[0]}\tgoal\n{GENES[1]}.7\tnone\nENSG00000000003\tstart\n")
    calls = read_calls(path)
    assert calls == {GENES[0]: 1.0, GENES[1]: 0.0, "ENSG00000000003": 0.0}
    own = {"A": GENES[0], "B": GENES[1]}
    labels = call_labels(np.array(["NT", "A", "B", "other"]), own, calls, source="il2.tsv")
    np.testing.assert_array_equal(labels, [np.nan, 1, 0, np.nan])
    with pytest.raises(InputError, match=r"both kinds.*of 1 targets il2\.tsv knows 1, with the calls '0\.0'"):
        call_labels(np.array(["B"]), {"B": GENES[1]}, calls, source="il2.tsv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene,hit\nSTAT1,goal\n", r"columns 'gene' and 'call'.*lacks 'call'"),
        (f"gene,call\n{GENES[0]},up\n", r"calls 'goal', 'start', 'none'; it also holds the calls 'up'"),
        (f"gene,call\n{GENES[0]},goal\n{GENES[0]}.1,none\n", rf"one call.*these have two: '{GENES[0]}'"),
        ("gene,call\nnobody,goal\n", r"none of its 1 genes is known"),
    ],
)
def test_other_tables_of_calls_are_refused(tmp_path, text, message):
    (tmp_path / "calls.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_calls(tmp_path / "calls.csv")


def test_a_missing_table_of_calls_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read.*--label-table"):
        read_calls(tmp_path / "none.csv")


@pytest.mark.parametrize("truth", [{"ifng": "aa"}, {"IL2": "bb"}])
def test_labels_of_the_screen_that_judges_are_refused_by_content_or_name(truth):
    with pytest.raises(LeakageError, match=rf"'il2' is the same screen as '{next(iter(truth))}'"):
        refuse_same_screen("il2", "aa", truth)


@pytest.mark.parametrize(("digest", "other"), [("aa", "bb"), ("", "")])
def test_another_screen_may_label_and_a_file_that_is_gone_is_no_match(digest, other):
    try:
        refuse_same_screen("il2", digest, {"ifng": other})
        refused = False
    except LeakageError:
        refused = True
    assert not refused
