"""Which compound does what to which gene, by the published files and by a user's table: no sign may be wrong."""

import numpy as np
import pandas as pd
import pytest

from perturbloop.data.compounds import Compound, inseparable, named, read_compounds
from perturbloop.data.drugs import read_interactions, weights_of
from perturbloop.data.drugs.words import kind_of_phrases
from perturbloop.data.genes import GeneNames
from perturbloop.errors import InputError

MTOR, PRKCB, PIK3CD = "ENSG00000198793", "ENSG00000166501", "ENSG00000171608"
TLR7, GLP1R = "ENSG00000196664", "ENSG00000112164"
CASES = [("SIROLIMUS", MTOR, -1), ("ENZASTAURIN", PRKCB, -1), ("IDELALISIB", PIK3CD, -1)]
CASES += [("IMIQUIMOD", TLR7, 1), ("EXENATIDE", GLP1R, 1)]
"""Known drugs, the gene they act on and which way."""
SYMBOL = {MTOR: "MTOR", PRKCB: "PRKCB", PIK3CD: "PIK3CD", TLR7: "TLR7", GLP1R: "GLP1R"}
NAMES = GeneNames.of({name: gene for gene, name in SYMBOL.items()})
SIGN = {"delete": -1, "overexpress": 1, "": 0}


def signs(table):
    return {
        (row.compound, SYMBOL.get(row.gene, row.gene)): SIGN[row.kind]
        for row in table.itertuples(index=False)
    }


@pytest.mark.shared_data
def test_known_drugs_have_their_signs_in_the_file_of_dgidb(shared):
    table = read_interactions(shared / "knowledge" / "dgidb_interactions.tsv")
    found = signs(table)
    assert found["SIROLIMUS", "MTOR"] == found["EVEROLIMUS", "MTOR"] == found["IDELALISIB", "PIK3CD"] == -1
    assert found["ENZASTAURIN", "PRKCA"] == -1  # this file has no row of it and PRKCB
    assert found["SOTRASTAURIN", "PRKCB"] == -1
    assert found["IMIQUIMOD", "TLR7"] == found["LIXISENATIDE", "GLP1R"] == 1
    assert found["HYDROXYCHLOROQUINE", "TLR7"] == -1  # an antagonist is no agonist
    assert found["MILATUZUMAB", "CD74"] == found["BETP", "GLP1R"] == 0  # no type; an allosteric modulator
    assert set(table.loc[table["mechanism"].str.contains("inverse"), "kind"]) == {"delete"}
    assert (table["kind"] != "").mean() == pytest.approx(0.268, abs=0.005)  # three of four signs are unknown
    compounds, _ = read_compounds(shared / "knowledge" / "dgidb_interactions.tsv", names=NAMES)
    assert named(compounds, ["rapamycin"])["rapamycin"].inhibits == {MTOR}


def test_chembl_files_of_both_forms_have_the_signs(tmp_path):
    targets = {"SIROLIMUS": "CHEMBL2842", "ENZASTAURIN": "CHEMBL3045", "IDELALISIB": "CHEMBL3130"}
    targets |= {"IMIQUIMOD": "CHEMBL5936", "EXENATIDE": "CHEMBL1784"}
    accession = dict(zip(targets.values(), ("P42345", "P05771", "O00329", "Q9NYK1", "P43220"), strict=True))
    symbol = dict(zip(accession.values(), SYMBOL.values(), strict=True))
    (tmp_path / "chembl_uniprot_mapping.txt").write_text(
        "# chembl_36\n"
        + "".join(f"{code}\t{target}\tname\tSINGLE PROTEIN\n" for target, code in accession.items())
    )
    (tmp_path / "uniprot.tsv").write_text(
        "Entry\tGene Names\n" + "".join(f"{a}\t{b} X\n" for a, b in symbol.items())
    )
    aliases = [tmp_path / "chembl_uniprot_mapping.txt", tmp_path / "uniprot.tsv"]
    head = (
        '"Parent Molecule ChEMBL ID";"Parent Molecule Name";"Max Phase";"Mechanism of Action";"Target ChEMBL ID";"Target Name";'
        '"Action Type";"Target Type";"Target Organism";"Synonyms";"Parent Molecule ChEMBL ID"\n'
    )
    web, api = (
        [head],
        [
            "mec_id,molecule_chembl_id,mechanism_of_action,target_chembl_id,action_type,direct_interaction,max_phase\n"
        ],
    )
    for place, (name, _, sign) in enumerate(CASES):
        word = "INHIBITOR" if sign < 0 else "AGONIST"
        web.append(
            f'"CHEMBL{place}";"{name}";"4";"a {word}";"{targets[name]}";"x";"{word}";"SINGLE PROTEIN";"Homo sapiens";"";"CHEMBL{place}"\n'
        )
        api.append(f"{place},CHEMBL{place},a {word},{targets[name]},{word},1,3.0\n")
    web.append('"CHEMBL9";"ALBENDAZOLE";"4";"x";"CHEMBL777";"x";"INHIBITOR";"x";"Ascaris";"";"CHEMBL9"\n')
    (tmp_path / "web.csv").write_text("".join(web))
    (tmp_path / "api.csv").write_text("".join(api))
    table = read_interactions(tmp_path / "web.csv", aliases=aliases)
    assert signs(table) == {(name, SYMBOL[gene]): sign for name, gene, sign in CASES}
    assert set(table["stage"]) == {"approved"}
    other = read_interactions(tmp_path / "api.csv", aliases=aliases)
    assert signs(other) == {(f"CHEMBL{n}", SYMBOL[gene]): sign for n, (_, gene, sign) in enumerate(CASES)}
    assert set(other["stage"]) == {"phase 3"}
    with pytest.raises(InputError, match=r"must lead to genes; ChEMBL names 5 .*--aliases MAPPING,SYMBOLS"):
        read_interactions(tmp_path / "api.csv")


@pytest.mark.parametrize("release", ["older", "newer"])
def test_open_targets_of_both_releases_have_the_signs(tmp_path, release):
    new = release == "newer"
    mechanisms = tmp_path / ("drug_mechanism_of_action" if new else "mechanismOfAction")
    molecules = tmp_path / ("drug_molecule" if new else "molecule")
    for folder in (mechanisms, molecules):
        folder.mkdir()
    rows = [
        {
            "actionType": "INHIBITOR" if sign < 0 else "AGONIST",
            "mechanismOfAction": "x",
            "chemblIds": [f"CHEMBL{place}"],
            "targetName": "x",
            "targetType": "single protein",
            "targets": [gene],
        }
        for place, (_, gene, sign) in enumerate(CASES)
    ]
    pd.DataFrame(rows).to_parquet(mechanisms / "part-0.parquet")
    stage = (
        {"maximumClinicalStage": "APPROVAL"}
        if new
        else {"maximumClinicalTrialPhase": 3.0, "isApproved": True}
    )
    drugs = [
        {"id": f"CHEMBL{n}", "name": name, "synonyms": ["other"]} | stage
        for n, (name, _, _) in enumerate(CASES)
    ]
    pd.DataFrame(drugs).to_parquet(molecules / "part-0.parquet")
    table = read_interactions(tmp_path)
    assert signs(table) == {(name, SYMBOL[gene]): sign for name, gene, sign in CASES}
    assert set(table["stage"]) == {"approved"}
    alone = read_interactions(mechanisms / "part-0.parquet")
    assert set(alone["compound"]) == {f"CHEMBL{n}" for n in range(5)}
    compounds, unknown = read_compounds(tmp_path, names=NAMES)
    assert (compounds["IMIQUIMOD"].activates, unknown) == ({TLR7}, ())
    with pytest.raises(InputError, match=r"must hold Open Targets' mechanisms.*drug_mechanism_of_action"):
        read_interactions(molecules)


def test_a_table_may_hold_potencies_in_a_stated_unit_and_unknown_signs(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text(
        "compound\tgene\taction\tki_nm\tpic50\n"
        "a\tMTOR\tinhibitor\t1\t\na\tPIK3CD\tinhibitor\t100\t\na\tTLR7\tbinder\t\t\na\tPRKCB\tantagonist\t\t8\nb\tGLP1R\t\t\t\n"
    )
    compounds, _ = read_compounds(path, names=NAMES)
    one = compounds["a"]
    assert (one.inhibits, one.unsigned) == ({MTOR, PIK3CD, PRKCB}, {TLR7})
    assert one.genes == {MTOR, PIK3CD, PRKCB, TLR7}
    assert one.potency == pytest.approx({MTOR: 9.0, PIK3CD: 7.0, PRKCB: 8.0})
    assert one.arm == "inhibitor"
    assert (compounds["b"].unsigned, compounds["b"].arm) == ({GLP1R}, None)
    dose = 9e-9  # occupies nine tenths of a target of 1 nM
    expected = {
        MTOR: 0.9,
        PRKCB: dose / (dose + 1e-8),
        PIK3CD: dose / (dose + 1e-7),
        TLR7: dose / (dose + 1e-8),
    }
    assert one.weights == pytest.approx(expected)
    assert weights_of(one.potency, one.genes, 1e-9)[MTOR] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("compound\tgene\taction\tki\na\tMTOR\tinhibitor\t3\n", r"needs its unit.*'ki'.*`ki_nm`"),
        (
            "compound\tgene\taction\tki_nm\na\tMTOR\tinhibitor\tlow\n",
            r"'ki_nm' .* must hold numbers; it also holds 'low'",
        ),
        (
            "compound\tgene\taction\tpotency\na\tMTOR\tinhibitor\t300\n",
            r"between 0 .* gives '300'.*the unit in its name",
        ),
        (
            "compound\tgene\taction\na\tMTOR\tmodulatr\n",
            r"also hold 'modulatr'.*is 'modulator'.*'unknown' where nobody knows",
        ),
        ("a\tb\n1\t2\n", r"needs the columns 'compound', 'gene', 'action'"),
    ],
)
def test_what_is_no_table_of_compounds_is_refused(tmp_path, text, message):
    (tmp_path / "own.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_compounds(tmp_path / "own.tsv")


def test_phrases_are_read_whole_and_contradictions_leave_the_sign_open():
    assert [
        kind_of_phrases(one)
        for one in ("antagonist", "inverse agonist", "partial agonist", "negative modulator")
    ] == [
        "delete",
        "delete",
        "overexpress",
        "delete",
    ]
    assert [kind_of_phrases(one) for one in ("agonist,antagonist", "", "vaccine", "antibody")] == [""] * 4


def test_genes_are_separable_where_their_unit_vector_is_a_sum_of_compounds(rng):
    genes = list("abcdef")
    for _ in range(20):
        hit = [
            frozenset(rng.choice(genes, size=rng.integers(1, 4), replace=False).tolist()) for _ in range(4)
        ]
        matrix = np.array([[gene in one for gene in genes] for one in hit], dtype=float)
        found = inseparable([Compound(str(place), inhibits=one) for place, one in enumerate(hit)])
        rank = np.linalg.matrix_rank
        for column, gene in enumerate(genes):
            unit = np.eye(len(genes))[column]
            told_apart = rank(np.vstack([matrix, unit])) == rank(matrix)
            assert (gene in found) == (matrix[:, column].any() and not told_apart)
