"""Gains of the evidence channel: what its control is, and how often it is made."""

import numpy as np
import pandas as pd
import pytest

from perturbloop.data.gene_sets import GeneSets
from perturbloop.evaluate import comparisons
from perturbloop.evidence.channel import SHUFFLES, Networks, evidence_of, evidence_predictions
from perturbloop.evidence.graphs import from_vectors
from perturbloop.evidence.kernels import vector_kernel
from perturbloop.schema import EFFECTS, GAINS, PREDICTIONS, EvaluateConfig

GENES = np.array([f"ENSG{number:011d}" for number in range(60)], dtype=object)
CONFIG = EvaluateConfig(bootstrap=20)


@pytest.fixture
def judged(rng):
    """Six modules of ten genes; half of each is measured, two of these five are held out; two modules move cells."""
    measured = np.arange(60) % 2 == 0
    effect = np.where(np.arange(60) < 20, 1.0, 0.0)[measured] + rng.normal(scale=0.1, size=30)
    rows = pd.DataFrame(dict.fromkeys(EFFECTS.names, ""), index=range(30)).assign(
        gene_id=GENES[measured], modality="crispri", level="gene", effect_to_goal=effect, se=0.1, n_cells=60
    )
    return rows.assign(hit=effect > 0.5, fold=np.tile([-1, -1, -1, 0, 0], 6))


@pytest.fixture
def made(judged, rng):
    vector_gd = np.repeat(np.eye(6), 10, axis=0)
    known = Networks(
        GENES,
        (vector_kernel("modules", GENES, vector_gd),),
        (),
        from_vectors(GENES, vector_gd, name="modules"),
    )
    fold_of = dict(zip(judged["gene_id"], judged["fold"], strict=True))
    evidence = evidence_of(known, judged, "delete", fold_of=fold_of)
    base = [
        pd.DataFrame(
            {"method": name, "kind": "delete", "gene_id": GENES, "score": rng.normal(size=60), "fold": -1}
        )
        for name in ("frozen", "de")
    ]
    base = PREDICTIONS.checked(pd.concat(base))
    return evidence, pd.concat([base, evidence_predictions(base, evidence, kind="delete", rng=rng)])


def test_a_control_of_the_evidence_is_the_mean_of_many_shuffles(made, judged):
    evidence, predictions = made
    found = comparisons.gains(predictions, judged, {"delete": evidence}, config=CONFIG)
    rows = found.set_index(["method", "against"])
    assert rows.loc[("posterior", "frozen"), "gain"] > 0.1
    assert rows.loc[("posterior", "frozen"), "control_gain"] < rows.loc[("posterior", "frozen"), "gain"] / 2
    assert f"Mean of {SHUFFLES} shuffles" in rows.loc[("evidence", "frozen"), "sentence"]
    assert rows.loc[("posterior", "de"), "control"] == ""


def test_shuffles_are_made_once_for_all_sets_of_targets(made, judged, monkeypatch):
    evidence, predictions = made
    calls = []

    def counted(*args, **options):
        calls.append(options["methods"])
        return evidence_predictions(*args, **options)

    monkeypatch.setattr(comparisons, "evidence_predictions", counted)
    related = pd.DataFrame(np.repeat(np.eye(6), 10, axis=0)).astype(pd.SparseDtype(float, 0.0))
    sets = GeneSets(
        "modules.gmt",
        np.array([f"m{n}" for n in range(6)], dtype=object),
        GENES,
        related.sparse.to_coo().tocsr().astype(np.float32),
    )
    found = comparisons.gains(predictions, judged, {"delete": evidence}, config=CONFIG, gene_sets=sets)
    assert len(calls) == 2 * SHUFFLES  # two controls, whatever the targets
    assert list(found) == GAINS.names
    none_left = found[found["targets"] == "pathway-disjoint"]
    assert none_left["gain"].isna().all()
    assert none_left["n_genes"].eq(0).all()


@pytest.mark.parametrize(
    ("n_hits", "says"), [(0, "none of 12 held-out targets is a hit"), (1, "cannot tell methods apart")]
)
def test_targets_that_cannot_tell_methods_apart_shuffle_nothing_and_say_so(
    made, judged, monkeypatch, n_hits, says
):
    evidence, predictions = made
    calls = []
    monkeypatch.setattr(comparisons, "evidence_predictions", lambda *args, **options: calls.append(options))
    held_out = np.flatnonzero(judged["fold"] >= 0)
    few = judged.assign(hit=np.isin(np.arange(30), held_out[:n_hits]))
    found = comparisons.gains(predictions, few, {"delete": evidence}, config=CONFIG)
    assert not calls
    assert found["sentence"].str.contains(says).all()
    assert found[["ci_low", "pvalue", "control_gain"]].isna().all(axis=None)
