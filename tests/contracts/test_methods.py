"""What every method must say of itself, and where one that is added in a single place must show."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from perturbloop.evaluate import scoreboard
from perturbloop.evaluate.comparisons import comparisons, gains
from perturbloop.evaluate.curves import EVIDENCE, LEVELS, curve_means, methods_at, point_rows
from perturbloop.evaluate.held_out import held_out
from perturbloop.evidence.channel import (
    RULES,
    SHUFFLES,
    Networks,
    evidence_of,
    evidence_predictions,
    propagated_scores,
)
from perturbloop.evidence.graphs import from_vectors
from perturbloop.evidence.kernels import vector_kernel
from perturbloop.plots import learning_curves
from perturbloop.plots import scoreboard as drawn_scoreboard
from perturbloop.schema import EFFECTS, METHODS, PREDICTIONS, EvaluateConfig, Method, controls_of, method

ADDED = (
    Method(
        "expression-spread",
        "baseline",
        "spread from expression",
        "expression plus spread effects",
        rule="plus",
        partner="expression",
        against=("propagation", "evidence"),
        control="expression-spread-shuffled",
        curve="evidence",
    ),
    Method(
        "expression-spread-shuffled",
        "control",
        "spread from expression, shuffled",
        "as expression-spread, effects shuffled",
        rule="plus",
        partner="expression",
        variant="shuffled",
    ),
)
NAME, CONTROL = (entry.name for entry in ADDED)


@pytest.mark.parametrize("entry", METHODS, ids=lambda entry: entry.name)
def test_a_method_names_only_what_is_there(entry):
    names = {other.name for other in METHODS}
    assert [other.name for other in METHODS].count(entry.name) == 1
    assert {*entry.against} <= names - {entry.name}
    assert not entry.control or (method(entry.control).role, method(entry.control).variant) == (
        "control",
        "shuffled",
    )
    assert bool(entry.rule) == bool(entry.partner)
    assert not entry.rule or (entry.rule in RULES and entry.partner in names | {"permuted", "nothing"})
    assert entry.curve in names | {"", LEVELS, EVIDENCE}
    if entry.curve == EVIDENCE:  # no other score is at hand at such a point
        assert entry.partner in {*methods_at(LEVELS), "nothing", "permuted"}


def test_lines_of_learning_curves_have_a_place_of_their_own():
    places = [entry.line for entry in METHODS if entry.line]
    assert sorted(places) == list(range(1, len(places) + 1))


def test_gains_come_channel_by_channel_and_the_open_loop_last():
    pairs = comparisons()
    assert list(dict.fromkeys(name for name, _, _ in pairs)) == [
        *(f"{level}-closed" for level in ("frozen", "lora", "full")),
        *("posterior", "evidence", "both", "frozen"),
    ]
    assert pairs[3] == (
        "full-closed",
        "full-unperturbed",
        "",
    )  # a control goes with the first comparison alone


@pytest.fixture
def added(monkeypatch):
    """Two methods more: records at the end of the list, and one rule beside the others."""
    ours = [module for name, module in sys.modules.items() if name.startswith("perturbloop")]
    for module in ours:
        if vars(module).get("METHODS") is METHODS:
            monkeypatch.setattr(module, "METHODS", (*METHODS, *ADDED))
    monkeypatch.setitem(
        RULES,
        "plus",
        lambda evidence, partner, rows: partner + propagated_scores(evidence, rows).reindex(partner.index),
    )


@pytest.fixture
def judged(rng):
    """Six modules of ten genes; half of each is measured, two of these five are held out; two modules move cells."""
    genes = np.array([f"ENSG{number:011d}" for number in range(60)], dtype=object)
    effect = np.where(np.arange(60) < 20, 1.0, 0.0)[::2] + rng.normal(scale=0.1, size=30)
    rows = pd.DataFrame(dict.fromkeys(EFFECTS.names, ""), index=range(30)).assign(
        gene_id=genes[::2], modality="crispri", level="gene", effect_to_goal=effect, se=0.1, n_cells=60
    )
    return rows.assign(hit=effect > 0.5, fold=np.tile([-1, -1, -1, 0, 0], 6))


@pytest.fixture
def evidence(judged):
    genes = np.array([f"ENSG{number:011d}" for number in range(60)], dtype=object)
    vector_gd = np.repeat(np.eye(6), 10, axis=0)
    kernel, graph = vector_kernel("modules", genes, vector_gd), from_vectors(genes, vector_gd, name="modules")
    fold_of = dict(zip(judged["gene_id"], judged["fold"], strict=True))
    return evidence_of(Networks(genes, (kernel,), (), graph), judged, "delete", fold_of=fold_of)


@pytest.fixture
def base(evidence, rng):
    genes = evidence.known.gene_ids
    rows = [
        pd.DataFrame({"method": name, "kind": "delete", "gene_id": genes, "score": rng.normal(size=60)})
        for name in ("frozen", "de", "expression", "chance")
    ]
    return PREDICTIONS.checked(pd.concat(rows).assign(fold=-1))


def test_a_method_added_in_one_place_is_on_the_scoreboard_and_among_the_gains(
    added, base, evidence, judged, rng
):
    made = evidence_predictions(base, evidence, kind="delete", rng=rng)
    predictions, config = pd.concat([base, made]), EvaluateConfig(bootstrap=2)
    metrics = scoreboard(predictions, judged, config=config)
    assert {NAME, CONTROL} <= set(metrics["method"])
    (ax, _) = drawn_scoreboard(metrics).axes
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[-2:] == ["spread from expression", "↳ spread from expression, shuffled"]
    assert controls_of(NAME) == (CONTROL,)

    found = gains(predictions, judged, {"delete": evidence}, config=config).set_index(["method", "against"])
    assert found.loc[(NAME, "propagation"), "control"] == CONTROL
    assert f"Mean of {SHUFFLES} shuffles" in found.loc[(NAME, "propagation"), "sentence"]
    assert found.loc[(NAME, "evidence"), "control"] == ""


def test_it_is_a_line_of_the_learning_curves_that_starts_at_its_partner(added, base, evidence, judged, rng):
    truth, methods = held_out(judged, "delete"), {0: methods_at(LEVELS), 20: methods_at(EVIDENCE)}
    assert methods[20][-1] == NAME
    made = evidence_predictions(base, evidence, kind="delete", rng=rng, methods=methods[20])
    rows = [
        {"kind": "delete", "method": name, "panel": "random" if k else "", "k": k, "seed": 0} | row
        for k, names in methods.items()
        for name in names
        for row in point_rows(
            (made[made["fold"] == 0] if k else base).query("method == @name"), truth, method=name
        )
    ]
    means = curve_means(pd.DataFrame(rows))
    at = means[means["metric"] == "auroc"].set_index("method")["value"]
    ax = learning_curves(means).axes[0]
    line = next(line for line in ax.lines if line.get_label() == "spread from expression")
    assert line.get_xdata().tolist() == [0, 20]
    assert line.get_ydata().tolist() == [at["expression"], at[NAME]]


@pytest.fixture(scope="module")
def reference():
    """Module that writes the reference; loaded before any method is added."""
    docs = Path(__file__).parents[2] / "docs"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(docs)
        return importlib.import_module("_generate")


def test_it_has_a_row_in_the_reference(reference, added):
    row = next(line for line in reference.methods().splitlines() if line.startswith(f"| `{NAME}` |"))
    assert "| evidence | spread from expression |" in row
    assert row.endswith(f"| `expression` | `propagation`, `evidence` | `{CONTROL}` |")
