"""The table of targets of a small round, by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook
from scipy.stats import fisher_exact, mannwhitneyu

from perturbloop.errors import InputError
from perturbloop.report.targets import Found, csv_of, target_lines, write_targets
from perturbloop.schema import ACTION, EFFECTS, INTERACTIONS, POSTERIOR, PREDICTIONS, RANKING, TARGETS, concat
from perturbloop.targets import Filters, find
from perturbloop.targets.agreement import agreement
from perturbloop.targets.groups import groups, stem_of

NAMES = ["MTOR", "PRKCB", "PRKCA", "TLR7", "CD74", "MIF", "PIK3CD", "ACTB"]
ID = {name: f"ENSG{place:011d}" for place, name in enumerate(NAMES)}
UP = [0.9, 0.8, 0.7, 0.1, 0.6, 0.5, 0.4, -0.2]
"""Expected effect of inhibiting each gene; activating does the opposite."""


def ranking():
    parts = []
    for kind, sign in (("delete", 1), ("overexpress", -1)):
        effect = sign * np.array(UP)
        parts.append(
            pd.DataFrame(
                {
                    "gene_id": list(ID.values()),
                    "gene_name": NAMES,
                    "kind": kind,
                    "action": ACTION[kind],
                    "benefit": effect,
                    "ranked_by": "posterior",
                    "effect": effect,
                    "ci_low": effect - 0.3,
                    "ci_high": effect + 0.3,
                    "logit_shift": effect / 10,
                    "log2fc": [-1.0, 1.0, *[-0.1] * 6],
                    "de_padj": [0.001, 0.001, *[0.9] * 6],
                    "flags": ["", "essential,interferon", *[""] * 6],
                    "status": ["scored"] * 6 + ["spent" if kind == "delete" else "scored", "scored"],
                }
            )
        )
    return pd.concat(parts).reindex(columns=RANKING.names)


def effects():
    """PIK3CD was measured by knock-down; PRKCA and PRKCB through one compound that hits both."""
    base = {"se": 0.2, "hit": True, "fold": 0, "n_cells": 40, "padj": 0.01}
    rows = [
        {
            "gene_id": ID["PIK3CD"],
            "target": "PIK3CD",
            "modality": "crispri",
            "level": "gene",
            "effect_to_goal": 1.5,
        }
        | base
    ]
    for name in ("PRKCA", "PRKCB"):
        row = (
            {"gene_id": ID[name], "target": "enza", "modality": "inhibitor", "effect_to_goal": 0.5}
            | base
            | {"hit": False}
        )
        rows += [row | {"level": "gene"}, row | {"level": "guide", "guide_id": "enza"}]
    frame = pd.DataFrame(rows)
    return EFFECTS.completed(frame.assign(effect=-frame["effect_to_goal"]))


def interactions(*rows):
    names = ["compound", "gene", "mechanism", "kind", "stage"]
    table = pd.DataFrame(rows, columns=names).assign(potency=np.nan, source="x", compound_id="", synonyms="")
    return INTERACTIONS.checked(table)


DRUGS = interactions(
    ("SIROLIMUS", "MTOR", "inhibitor", "delete", "approved"),
    ("EVEROLIMUS", "FRAP1", "inhibitor", "delete", ""),  # what MTOR was called before
    ("MYSTERY", "MTOR", "", "", ""),
    ("ENZASTAURIN", "PRKCA", "inhibitor", "delete", "phase 3"),
    ("ENZASTAURIN", "PRKCB", "inhibitor", "delete", "phase 3"),
    ("IMIQUIMOD", "TLR7", "agonist", "overexpress", "approved"),
    ("MILATUZUMAB", "CD74", "antibody", "", ""),
    ("IDELALISIB", "PIK3CD", "inhibitor", "delete", "approved"),
)


def predictions(rng, n=200):
    ids = [*ID.values(), *(f"ENSG9{place:010d}" for place in range(n - len(ID)))]
    parts = [
        pd.DataFrame(
            {"method": method, "kind": kind, "gene_id": ids, "score": rng.normal(size=n), "fold": -1}
        )
        for method in ("frozen", "de", "de-isp")
        for kind in ("delete", "overexpress")
    ]
    return concat(PREDICTIONS, parts)


@pytest.fixture
def found(rng):
    return find(
        ranking(),
        POSTERIOR.completed(
            pd.DataFrame({"gene_id": [ID["MTOR"]], "kind": "delete", "neighbors": "+0.21 by RPTOR"})
        ),
        effects(),
        predictions(rng),
        interactions=DRUGS,
        categories={"MTOR": ["KINASE"], "PRKCB": ["kinase", "clinically actionable"]},
    )


def test_a_row_says_what_is_needed_and_which_compounds_do_it(found):
    table = found.targets.set_index(["gene_name", "action"])
    assert list(found.targets.columns) == TARGETS.names
    assert set(table.index) == {(name, "inhibit") for name in NAMES[:-1]} | {("ACTB", "activate")}
    mtor = table.loc["MTOR", "inhibit"]
    assert (mtor["compounds"], mtor["n_agree"], mtor["n_unknown"]) == ("SIROLIMUS, EVEROLIMUS", 2, 1)
    assert (mtor["stage"], mtor["sign_known"], mtor["tractability"]) == ("approved", True, "kinase")
    assert (mtor["neighbors"], mtor["place"], mtor["de_says"]) == ("+0.21 by RPTOR", 1, "agrees")
    assert table.loc["PRKCB", "inhibit"]["de_says"] == "opposes"  # lower in the start state than in the goal
    tlr7 = table.loc["TLR7", "inhibit"]
    assert (tlr7["n_oppose"], tlr7["sign_known"], tlr7["compounds"]) == (1, False, "")
    assert table.loc["CD74", "inhibit"][["n_unknown", "sign_known", "axis"]].tolist() == [
        1,
        False,
        "MIF–CD74",
    ]
    signs = found.compounds.set_index(["gene_name", "compound"])["direction"]
    assert signs["TLR7", "IMIQUIMOD"] == "opposes"
    assert signs["CD74", "MILATUZUMAB"] == signs["MTOR", "MYSTERY"] == "unknown"


def test_what_was_measured_wins_and_shared_compounds_are_not_separable(found):
    table = found.targets.set_index("gene_name")
    own = table.loc["PIK3CD"]
    assert (own["basis"], own["effect"], own["status"]) == ("measured", 1.5, "spent")
    assert own["ci_low"] == pytest.approx(1.5 - 1.96 * 0.2, abs=1e-4)
    assert np.isnan(own["place"])
    assert own["measured"] == "crispri +1.50 ± 0.20 (hit)"
    assert table.loc["PRKCA", "credit"] == "not separable from PRKCB"
    assert found.targets["gene_name"].iloc[0] == "PIK3CD"  # a measured hit with a drug
    known = found.targets["sign_known"].tolist()
    assert known == sorted(known, reverse=True)
    activated = find(
        ranking().assign(effect=0.1), POSTERIOR.completed(pd.DataFrame()), effects(), predictions(np.random.default_rng(0)),
        interactions=DRUGS, categories={},
    ).targets  # fmt: skip
    row = activated[activated["gene_name"].eq("PIK3CD") & activated["action"].eq("activate")].iloc[0]
    assert row["cautions"] == "the opposite was a hit"


def test_filters_choose_rows(found):
    def names(**options):
        return Filters(**options).of(found.targets)["gene_name"].tolist()

    assert "ACTB" not in names()
    assert "ACTB" in names(druggable=False)
    assert names(approved=True) == ["PIK3CD", "MTOR"]
    assert names(sign_known=True, top=3) == ["PIK3CD", "MTOR", "PRKCB"]
    assert "PRKCB" not in names(without_flags=("interferon",))
    assert "PRKCB" not in names(without_flags=("all",))
    assert names(genes=("mtor", ID["CD74"])) == ["MTOR", "CD74"]
    assert names(action="activate", druggable=False) == ["ACTB"]
    certain = found.targets.set_index("gene_name")["certainty"]
    assert names(min_certainty=0.999) == [name for name in names() if certain[name] >= 0.999]
    with pytest.raises(InputError, match=r"`--genes` must name genes .*'FOO'.*perturbloop gene"):
        names(genes=("foo",))
    with pytest.raises(InputError, match="must be inhibit or activate"):
        Filters(action="lower")
    with pytest.raises(InputError, match="between 0 and 1"):
        Filters(min_certainty=2)


def test_families_and_axes_are_rolled_up_with_a_rank_sum(found):
    table = found.groups.set_index(["group", "action"])
    family = table.loc["PRKC*", "inhibit"]
    assert family["genes"] == "PRKCB (2), PRKCA (3)"
    assert family["compounds"] == "ENZASTAURIN (PRKCA, PRKCB)"
    assert table.loc["MIF–CD74", "inhibit"]["n_genes"] == 2
    places = np.arange(1, 41, dtype=float)
    ranked = pd.DataFrame(
        {"gene_name": [f"G{n}" for n in range(40)], "action": "inhibit", "place": places, "measured": ""}
    )
    members = {"family": {"F*": ["G2", "G5", "G11", "G30"]}}
    drugs = pd.DataFrame({"gene_name": ["G2"], "direction": "agrees", "action": "inhibit", "compound": "x"})
    row = groups(ranked, members, drugs).iloc[0]
    inside = np.isin(ranked["gene_name"], members["family"]["F*"])
    test = mannwhitneyu(
        places[inside], places[~inside], alternative="less", method="asymptotic", use_continuity=False
    )
    assert row["pvalue"] == pytest.approx(test.pvalue)
    assert [stem_of(name) for name in ("PIK3CD", "PIK3CA", "CD74", "HLA-A")] == ["PIK3C", "PIK3C", "", ""]


def test_de_and_isp_overlap_as_fishers_test_says(rng):
    table = predictions(rng, n=400)
    shared = rng.normal(size=400)
    table["score"] += np.tile(shared, 6)
    row = agreement(table, effects(), {"inhibit": "delete"}).iloc[0]
    part = table[table["kind"].eq("delete")].pivot_table(index="gene_id", columns="method", values="score")
    best = {name: set(part[name].nlargest(40).index) for name in ("de", "frozen")}
    both = len(best["de"] & best["frozen"])
    assert (row["n_scored"], row["n_de"], row["n_isp"], row["n_both"]) == (400, 40, 40, both)
    expected = fisher_exact([[both, 40 - both], [40 - both, 320 + both]], alternative="greater").pvalue
    assert row["pvalue"] == pytest.approx(expected)
    measured = [ID["PIK3CD"], ID["PRKCA"], ID["PRKCB"]]
    assert (row["n_measured"], row["n_hits"]) == (3, 1)
    picked = [gene for gene in measured if gene in best["de"]]
    assert (
        np.isnan(row["ppv_de"])
        if not picked
        else row["ppv_de"] == np.mean([gene == measured[0] for gene in picked])
    )


def test_lines_fit_a_terminal_and_files_are_safe(found, tmp_path):
    lines = target_lines(found, [], 80)
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("8 druggable targets: for 4 a compound")
    text = csv_of(found.targets)
    assert "'+0.21 by RPTOR" in text
    write_targets(found, tmp_path / "t.xlsx")
    book = load_workbook(tmp_path / "t.xlsx")
    assert book.sheetnames == ["targets", "compounds", "groups", "agreement", "pathways", "columns"]
    cells = {cell.value: cell.data_type for row in book["targets"].rows for cell in row}
    assert cells["+0.21 by RPTOR"] == "s"
    with pytest.raises(InputError, match=r"ends in '.csv' or '.xlsx'; `.*t.txt` does not"):
        write_targets(found, tmp_path / "t.txt")
    assert json.dumps(found.targets["gene_name"].tolist())
    assert isinstance(found, Found)


def test_pathways_of_the_best_genes_have_the_scored_ones_as_background():
    gseapy = pytest.importorskip("gseapy")
    assert gseapy
    from perturbloop.targets.pathways import pathways

    names = [f"G{n}" for n in range(200)]
    ranked = pd.DataFrame({"gene_name": names, "action": "inhibit", "place": np.arange(1.0, 201)})
    sets = {"mine": {"hit": [*names[:6], *names[100:104], "OTHER"], "none": names[50:60]}}
    row = pathways(ranked, sets).iloc[0]
    assert (row["pathway"], row["n_genes"], row["n_best"]) == ("hit", 10, 6)
    expected = fisher_exact([[6, 4], [4, 186]], alternative="greater").pvalue
    assert row["pvalue"] == pytest.approx(expected)
    assert row["leading"] == "G0, G1, G2, G3, G4, G5"
