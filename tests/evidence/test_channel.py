"""The evidence channel of a round: which effects it reads, and what its controls exchange."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturbloop.evaluate import scoreboard
from perturbloop.evidence.channel import (
    MOST_MEASURED,
    Evidence,
    Networks,
    effects_of_kind,
    evidence_of,
    evidence_predictions,
    measured_genes,
    posterior_table,
)
from perturbloop.evidence.graphs import from_vectors
from perturbloop.evidence.kernels import vector_kernel
from perturbloop.schema import EFFECTS, METHODS, PREDICTIONS, EvaluateConfig

GENES = np.array([f"ENSG{number:011d}" for number in range(90)], dtype=object)


@pytest.fixture
def evidence(rng):
    """Nine modules of ten genes with an effect each; every third gene is measured, a third of these are held out."""
    vector_gd = np.repeat(np.eye(9), 10, axis=0)
    known = Networks(
        GENES,
        (vector_kernel("modules", GENES, sparse.csr_matrix(vector_gd)),),
        (),
        from_vectors(GENES, vector_gd, name="modules"),
    )
    effect = np.repeat([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, -1.0], 10)[::3]
    rows = pd.DataFrame(
        {
            "gene_id": GENES[::3],
            "gene_name": [f"G{n}" for n in range(30)],
            "target": "",
            "modality": "crispri",
            "level": "gene",
            "guide_id": "",
            "effect_to_goal": effect + rng.normal(scale=0.05, size=30),
            "se": 0.1,
            "own_gene_in_readout": False,
            "fold": np.tile([-1, -1, 0], 10),
        }
    )
    return Evidence(known, rows, dict(zip(rows["gene_id"], rows["fold"].astype(int), strict=True)))


@pytest.fixture
def base(rng):
    rows = [
        pd.DataFrame(
            {"method": name, "kind": "delete", "gene_id": GENES, "score": rng.normal(size=90), "fold": fold}
        )
        for name, fold in (("frozen", -1), ("de", -1), ("full-closed", -1), ("full-closed", 0))
    ]
    return PREDICTIONS.checked(pd.concat(rows))


def test_every_row_ranks_all_genes_in_every_fold(base, evidence, rng):
    found = evidence_predictions(base, evidence, kind="delete", rng=rng)
    counts = found.groupby(["method", "fold"]).size()
    assert set(counts.index) == {(row.name, fold) for row in METHODS if row.rule for fold in (-1, 0)}
    assert (counts == 90).all()


def test_held_out_effects_are_never_read(base, evidence):
    held_out = evidence.effects["fold"] == 0
    changed = evidence.effects.assign(
        effect_to_goal=evidence.effects["effect_to_goal"].where(~held_out, 99.0)
    )
    one, other = (
        evidence_predictions(
            base,
            Evidence(evidence.known, effects, evidence.fold_of),
            kind="delete",
            rng=np.random.default_rng(0),
        )
        for effects in (evidence.effects, changed)
    )
    pd.testing.assert_frame_equal(one, other)


def test_the_posterior_finds_the_modules_and_shuffled_effects_do_not(base, evidence, rng):
    found = evidence_predictions(base, evidence, kind="delete", rng=rng)
    left = ~np.isin(GENES, evidence.effects["gene_id"])
    truth = np.repeat([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, -1.0], 10)[left]
    wide = found[found["fold"] == -1].pivot_table("score", "gene_id", "method").loc[GENES[left]]
    rho = wide.apply(lambda score: np.corrcoef(score, truth)[0, 1])
    assert rho["posterior"] > 0.7
    assert rho["posterior-alone"] > 0.7
    dealt = [
        evidence_predictions(base, evidence, kind="delete", rng=rng, methods=["posterior-shuffled"])
        for _ in range(20)
    ]
    shuffled = [
        np.corrcoef(table[table["fold"] == -1].set_index("gene_id")["score"].loc[GENES[left]], truth)[0, 1]
        for table in dealt
    ]
    assert np.mean(shuffled) < 0.1
    assert np.quantile(shuffled, 0.75) < 0.4


def test_only_the_rows_that_are_asked_for_are_made(base, evidence, rng):
    found = evidence_predictions(base, evidence, kind="delete", rng=rng, methods=["posterior-shuffled"])
    assert set(found["method"]) == {"posterior-shuffled"}


def test_the_table_holds_genes_that_were_not_used_and_who_says_so(base, evidence):
    frozen = base[base["method"] == "frozen"].set_index("gene_id")["score"]
    names = dict(zip(GENES, (f"N{n}" for n in range(90)), strict=True))
    table, share = posterior_table(evidence, frozen, "delete", names)
    used = evidence.effects.loc[evidence.effects["fold"] == -1, "gene_id"]
    assert set(table["gene_id"]) == set(GENES) - set(used)
    assert share == {"modules": pytest.approx(1.0)}
    first = table.set_index("gene_id").loc[GENES[1]]
    assert first["mean"] > 0
    assert "N0" in first["neighbors"]


def test_of_very_many_effects_the_clearest_half_stays_and_the_rest_is_drawn():
    n = 3 * MOST_MEASURED
    genes = np.array([f"ENSG{number:011d}" for number in range(n)], dtype=object)
    effect = np.random.default_rng(0).normal(size=n)
    rows = pd.DataFrame({"gene_id": genes, "effect_to_goal": effect, "se": 1.0})
    kept = measured_genes(rows, seed=0)
    assert len(kept) == MOST_MEASURED
    clearest = rows["effect_to_goal"].abs().nlargest(MOST_MEASURED // 2).index
    assert set(rows.loc[clearest, "gene_id"]) <= set(kept["gene_id"])
    pd.testing.assert_frame_equal(kept, measured_genes(rows, seed=0))


def effects_of(gene_ids, folds):
    """Gene-level effects of a knock-down; the first is a hit."""
    hit = np.arange(len(gene_ids)) == 0
    text = dict.fromkeys(("target", "guide_id"), "")
    numbers = dict.fromkeys(("pvalue", "padj", "n_cells", "n_guides", "n_replicates"), 1)
    rows = pd.DataFrame({"gene_id": gene_ids, "gene_name": gene_ids, "hit": hit, "fold": folds})
    rows = rows.assign(effect_to_goal=1.0 + hit, effect=-1.0 - hit, se=0.1, own_gene_in_readout=False)
    return EFFECTS.checked(rows.assign(modality="crispri", level="gene", **text, **numbers))


@pytest.mark.parametrize(
    ("gene_ids", "folds", "is_believed"),
    [
        (GENES[:2], [0, 1], False),
        (GENES[:3], [0, 0, 1], False),
        ([GENES[0], "unmeasured 1", "unmeasured 2"], [0, 1, 2], False),
        (GENES[:4], [0, 1, 2, 3], True),
    ],
)
def test_few_targets_are_judged_by_the_simple_rule_alone(base, evidence, rng, gene_ids, folds, is_believed):
    effects = effects_of(list(gene_ids), folds)
    fold_of = dict(zip(effects["gene_id"], folds, strict=True))
    made = evidence_of(evidence.known, effects, "delete", fold_of=fold_of)
    open_loop = base[base["fold"].eq(-1) & base["method"].ne("full-closed")]
    found = evidence_predictions(open_loop, made, kind="delete", rng=rng)
    judged = scoreboard(pd.concat([open_loop, found]), effects, config=EvaluateConfig(bootstrap=2))
    assert ("posterior" in set(judged["method"])) == made.enough == is_believed
    assert {"evidence", "propagation"} <= set(judged["method"])


def test_cells_and_screens_meet_in_one_unit_and_none_shadows_the_other():
    """Cells say 5 errors, a screen 1 of the first gene: neither is dropped; alone, each keeps its unit."""
    rows = pd.DataFrame(
        {
            "gene_id": GENES[[0, 1, 0, 2, 3]],
            "modality": "crispri",
            "level": "gene",
            "effect_to_goal": [0.5, 0.0, 1.0, 6.0, 40.0],
            "se": [0.1, 0.1, 1.0, 1.0, 1.0],
            "n_cells": [50, 60, 0, 0, 0],
        }
    )
    both = effects_of_kind(rows, "delete").set_index("gene_id")
    assert both["effect_to_goal"].to_dict() == pytest.approx(
        {GENES[0]: (5.0 + 1.0) / 2, GENES[1]: 0.0, GENES[2]: 6.0, GENES[3]: 8.0}
    )
    assert both.loc[GENES[0], "se"] == pytest.approx(0.5**0.5)
    cells = effects_of_kind(rows[:2], "delete")
    assert cells[["effect_to_goal", "se"]].to_numpy().ravel().tolist() == pytest.approx([0.5, 0.1, 0.0, 0.1])
    screen = effects_of_kind(rows[2:], "delete").set_index("gene_id")["effect_to_goal"]
    assert screen.to_dict() == pytest.approx({GENES[0]: 1.0, GENES[2]: 6.0, GENES[3]: 8.0})


def test_files_of_one_gene_are_weighed_by_their_precision():
    rows = pd.DataFrame(
        {
            "gene_id": GENES[[0, 0, 1]],
            "modality": ["crispri", "crispr_ko", "crispri"],
            "level": "gene",
            "effect_to_goal": [1.0, 2.0, 5.0],
            "se": [0.1, 0.2, 0.7],
            "n_cells": [50, 60, 70],
        }
    )
    found = effects_of_kind(rows, "delete").set_index("gene_id")
    # precision 100 and 25: (100 * 1 + 25 * 2) / 125, and an error of 125 ** -1/2
    assert found.loc[GENES[0], ["effect_to_goal", "se"]].tolist() == pytest.approx([1.2, 0.0894427191])
    assert found.loc[GENES[1], ["effect_to_goal", "se"]].tolist() == pytest.approx([5.0, 0.7])


def test_measured_genes_that_the_cells_do_not_hold_teach_and_are_not_ranked(base, evidence):
    """The first gene of each module leaves the cells: what was measured of it still tells of its module."""
    vector_gd, outside = np.repeat(np.eye(9), 10, axis=0), np.arange(90) % 10 == 0
    order = np.argsort(outside, kind="stable")
    held = GENES[~outside]
    known = Networks(
        GENES[order],
        tuple(kernel.aligned(GENES[order]) for kernel in evidence.known.networks),
        (),
        from_vectors(held[5:], vector_gd[~outside][5:], name="modules"),  # a graph may lack genes
        n_outside=9,
    )
    effects = evidence.effects.iloc[:9].assign(gene_id=GENES[outside], gene_name="OUT")
    effects = effects.assign(effect_to_goal=np.where(np.arange(9) < 2, 1.0, 0.0), fold=-1, n_cells=0)
    made = evidence_of(known, effects, "delete", fold_of=dict.fromkeys(effects["gene_id"], -1))
    frozen = base[base["method"] == "frozen"].set_index("gene_id")["score"].loc[held]
    table, _ = posterior_table(made, 0 * frozen, "delete", dict(zip(held, held, strict=True)))
    assert table["gene_id"].tolist() == held.tolist()
    mean = table.set_index("gene_id")["mean"]
    assert mean[GENES[[1, 11]]].min() > mean[GENES[21:][~outside[21:]]].max() + 0.1
    assert "by OUT" in table["neighbors"].iloc[0]


def test_of_the_genes_beside_the_cells_only_those_that_are_read_are_computed(evidence):
    wide = Networks(
        np.array([*GENES, "a", "b", "c"], dtype=object),
        tuple(kernel.aligned(np.array([*GENES, "a", "b", "c"])) for kernel in evidence.known.networks),
        (),
        evidence.known.graph,
        n_outside=3,
    )
    assert wide.beside(["b", GENES[0]]).gene_ids[wide.n_ranked :].tolist() == ["b"]
    assert wide.beside(["b"]).networks[0].vector_gd.shape[0] == 91
    assert wide.beside("abc") is wide
