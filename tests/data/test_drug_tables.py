"""Tables with one score a compound, against their definition."""

import numpy as np
import pandas as pd
import pytest

from perturbloop.data.drug_responses import combined
from perturbloop.errors import InputError


@pytest.fixture
def targets(tmp_path):
    path = tmp_path / "targets.tsv"
    rows = [f"drug{place}\tGENE{place}\tinhibitor" for place in range(30)]
    rows += ["DRUG0\tGENE1\tinhibitor", "drug2\tGENE31\tactivator"]
    path.write_text("\n".join(["name\tgene\tkind", *rows]))
    return str(path)


@pytest.fixture
def responses(rng):
    names = [f"drug{place}" for place in range(31)]
    return pd.DataFrame({"compound": names, "response": rng.normal(size=31), "p": 0.01})


def test_a_gene_has_the_mean_response_to_the_compounds_that_inhibit_it(read, responses, targets):
    screen, report = read(responses, modality="inhibitor", targets=targets, top=0.1)
    by_gene = screen.set_index("label")
    value = responses["response"]
    assert by_gene.loc["GENE1", "effect_to_goal"] == pytest.approx(value[:2].mean())
    assert by_gene.loc["GENE1", "se"] == pytest.approx(value[:2].std() / np.sqrt(2))
    assert by_gene.loc["GENE1", "n_reagents"] == 2
    assert by_gene.loc["GENE5", "effect"] == pytest.approx(-value[5])
    assert report["compounds_without_targets"] == ["drug30"]
    assert "GENE31" not in by_gene.index
    assert report["compounds"]["drug0"] == sorted(by_gene.loc[["GENE0", "GENE1"], "gene_id"])
    without, _ = read(responses, modality="inhibitor", targets=targets, top=0.1, left_out=["drug0"])
    assert set(by_gene.index) - set(without["label"]) == {"GENE0"}
    assert without.set_index("label").loc["GENE1", "effect_to_goal"] == pytest.approx(value[1])


def test_activated_targets_are_another_arm(read, responses, targets):
    screen, _ = read(responses, modality="activator", targets=targets, top=0.5)
    assert list(screen["label"]) == ["GENE31"]
    assert screen["effect"].item() == screen["effect_to_goal"].item()


def test_the_p_of_a_gene_is_corrected_for_its_compounds():
    rows = pd.DataFrame(
        {"gene_id": "a", "label": "A", "score": [2.0, 1.0, -0.5], "se": np.nan, "pvalue": [0.03, 0.01, 1e-9]}
    )
    assert combined(rows)["pvalue"].item() == pytest.approx(
        0.03
    )  # 3 × 0.01: the compound of the other sign has no say


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: pd.concat([table, table]), "one row a compound"),
        (lambda table: table.assign(compound="my " + table["compound"]), "of 31 none has.*Name them alike"),
        (
            lambda table: table.rename(columns={"compound": "x"}),
            "--gene-column NAME: the column of compounds, one of 'x'",
        ),
    ],
)
def test_drug_tables_that_cannot_be_read_are_refused(read, responses, targets, change, says):
    with pytest.raises(InputError, match=says):
        read(change(responses), modality="inhibitor", targets=targets, top=0.1)


def test_an_unknown_action_of_a_drug_is_refused(read, responses, tmp_path):
    path = tmp_path / "actions.tsv"
    path.write_text("compound\ttarget\taction\ndrug1\tGENE1\tinhibitr\n")
    with pytest.raises(InputError, match=r"also hold 'inhibitr'\. The closest .* is 'inhibitor'"):
        read(responses, modality="inhibitor", targets=str(path), top=0.1)


def test_rows_without_a_compound_are_left_out_and_counted(read, responses, targets):
    unnamed = responses.iloc[:2].assign(**{responses.columns[0]: None})
    _, report = read(pd.concat([responses, unnamed]), modality="inhibitor", targets=targets, top=0.1)
    assert report["dropped"]["no compound"] == 2
    assert "" not in report["compounds_without_targets"]
