"""Sets, pairs and drugs: files, against a slow loop over cells, and every refusal."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from perturbloop.data.tokens import Tokens
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError
from perturbloop.perturb.asked import Combination, pairs, read_perturbations, singles
from perturbloop.perturb.combine import combination_shifts
from perturbloop.perturb.edit import Perturbation, Target
from perturbloop.perturb.exact import ExactEngine
from perturbloop.schema import COMBINATIONS, PerturbConfig

IDS = [f"ENSG{number:011d}" for number in range(5)]
WORDS = Vocabulary.of_genes(IDS, ["STAT1", "JAK2", "IL6", "TNF", "CD3E"], np.ones(5), max_length=16)
NO_TOKEN = "ENSG00000999999"
EVERYWHERE = PerturbConfig(cells_per_gene=99)


@pytest.fixture
def write(tmp_path):
    """Write a file and give its path."""

    def call(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return call


@pytest.fixture
def engine(model, readout):
    return ExactEngine(model, readout)


def targets_of(found):
    return {one.name: [(target.token, target.kind, target.dose) for target in one.targets] for one in found}


# ------------------------------------------------------------------------------------------------- files


def test_each_line_of_a_gmt_file_is_a_set_that_is_edited_together(write):
    path = write("sets.gmt", f"first\tabout\tSTAT1\t{IDS[1]}.7\tSTAT1\n\nsecond\t\tjak2\t{NO_TOKEN}\t\n")
    found = read_perturbations(path, WORDS, kind="inhibit", dose=0.5)
    assert targets_of(found) == {
        "first": [(2, "inhibit", 0.5), (3, "inhibit", 0.5)],
        "second": [(3, "inhibit", 0.5)],
    }
    assert [one.missing for one in found] == [(), (NO_TOKEN,)]


def test_a_list_is_tested_gene_by_gene_and_a_gene_named_twice_counts_once(write):
    path = write("genes.txt", f"# chosen\nIL6\nSTAT1 \n\n{IDS[2]}\nTNF\n")
    found = read_perturbations(path, WORDS)
    assert targets_of(found) == {
        name: [(token, "delete", 1.0)] for name, token in (("IL6", 4), ("STAT1", 2), ("TNF", 5))
    }


def test_rows_of_one_name_are_one_drug_with_signed_targets(write):
    text = (
        "gene\tname\tdose\tkind\tsource\n"
        "JAK2\truxo\t\tinhibitor\ta\nSTAT1\tboth\t0.25\tinhibit\tb\nIL6\truxo\t\t+1\tc\nTNF\tboth\t\tactivate\td\n"
    )
    found = read_perturbations(write("drugs.tsv", text), WORDS, dose=0.5)
    assert targets_of(found) == {
        "ruxo": [(3, "delete", 1.0), (4, "overexpress", 1.0)],
        "both": [(2, "inhibit", 0.25), (5, "activate", 0.5)],
    }


@pytest.mark.parametrize(
    ("word", "kind"),
    [(word, "delete") for word in ("delete", "-1", "inhibits", "Inhibitor", "antagonist")]
    + [(word, "overexpress") for word in ("overexpress", "+1", "1", "activates", "agonist")],
)
def test_words_of_drug_tables_become_edits(write, word, kind):
    found = read_perturbations(write("drugs.tsv", f"name\tgene\tkind\nd\tTNF\t{word}\n"), WORDS)
    assert targets_of(found) == {"d": [(5, kind, 1.0)]}


def test_unknown_names_are_missing_genes_where_that_is_asked_for(write):
    path = write("sets.gmt", "first\t\tSTAT1\tNONE1\n")
    assert read_perturbations(path, WORDS, skip_unknown=True)[0].missing == ("NONE1",)
    path = write("genes.txt", f"NONE1\nSTAT1\nNONE2\n{NO_TOKEN}\n")
    found = read_perturbations(path, WORDS, skip_unknown=True)
    assert targets_of(found) == {"NONE1": [], "STAT1": [(2, "delete", 1.0)], "NONE2": [], NO_TOKEN: []}


def test_a_table_of_compounds_is_read_by_its_own_column_names(write):
    names = write("drugs.tsv", "name\tgene\tkind\nd\tTNF\tantagonist\n")
    compounds = write("compounds.tsv", "compound\ttarget\taction\tnote\nd\tTNF\tantagonist\t,\n")
    assert read_perturbations(compounds, WORDS) == read_perturbations(names, WORDS)


def test_pairs_are_all_pairs_of_a_list_once():
    found = pairs(["STAT1", "JAK2", IDS[0], "IL6"], WORDS, kind="overexpress")
    assert [one.name for one in found] == ["STAT1 + JAK2", "STAT1 + IL6", "JAK2 + IL6"]
    assert targets_of(found)["JAK2 + IL6"] == [(3, "overexpress", 1.0), (4, "overexpress", 1.0)]


HEAD = "name\tgene\tkind\tdose\n"


@pytest.mark.parametrize(
    ("name", "text", "options", "says"),
    [
        ("sets.csv", "a", {}, ["'.gmt', '.txt' or '.tsv'", "sets.csv", "Rename"]),
        ("none.txt", None, {}, ["none.txt", "there is none", "Correct the path"]),
        ("empty.txt", "\n \n", {}, ["at least one gene", "empty", "Fill it"]),
        ("genes.txt", "STAT1 JAK2\nTNF\n", {}, ["one gene in each line", "'STAT1 JAK2'", "of its own"]),
        ("genes.txt", "# nothing\n", {}, ["one gene in each line", "none", "of its own"]),
        ("genes.txt", "STAT1\nNONE1\nNONE2\n", {}, ["know", "'NONE1', 'NONE2'", "--skip-unknown"]),
        ("genes.txt", f"STAT1\n{NO_TOKEN}\n", {}, ["with a token", NO_TOKEN, "Remove"]),
        ("genes.txt", "STAT1\n", {"kind": "deleet"}, ["'activate'", "'deleet'", "Did you mean 'delete'"]),
        ("genes.txt", "STAT1\n", {"dose": 1.5, "kind": "inhibit"}, ["between 0 and 1", "1.5", "Correct"]),
        ("genes.txt", "STAT1\n", {"dose": 0.5}, ["'inhibit' or 'activate'", "0.5 for 'delete'", "Change"]),
        ("sets.gmt", "first\tSTAT1\n", {}, ["a description and its genes", "'1: first\\tSTAT1'", "GMT"]),
        ("sets.gmt", "a\t\tTNF\na\t\tIL6\n", {}, ["a name of its own", "'a'", "Rename"]),
        ("sets.gmt", f"good\t\tTNF\nlost\t\t{NO_TOKEN}\n", {}, ["with a token", "'lost'", "Remove"]),
        ("drugs.tsv", "name\tgenes\nd\tTNF\n", {}, ["'compound', 'gene', 'action'", "'genes'", "Add 'gene', 'action'"]),
        ("drugs.tsv", HEAD, {}, ["one row", "'name'", "no row"]),
        ("drugs.tsv", HEAD + "\tTNF\tdelete\t\n", {}, ["name a perturbation and a gene", "'TNF'", "Fill", "row 1 "]),
        ("drugs.tsv", HEAD + "d\tTNF\tagonst\t\n", {}, ["`kind`", "'agonst'", "Did you mean 'agonist'", "row 1 "]),
        ("drugs.tsv", HEAD + "d\tTNF\tinhibit\thalf\n", {}, ["`dose`", "'half'", "Correct", "row 1 "]),
        ("drugs.tsv", HEAD + "d\tTNF\tinhibit\t2\n", {}, ["`dose`", "2", "Correct", "row 1 "]),
        ("drugs.tsv", HEAD + "d\tTNF\t-1\t0.5\n", {}, ["`dose`", "'delete'", "Change", "row 1 "]),
        ("drugs.tsv", HEAD + "d\tTNF\t-1\t\nd\tTNF\t+1\t\n", {}, ["one thing to a gene", "'d'", "'TNF'", "Remove"]),
    ],
)  # fmt: skip
def test_a_file_is_refused_with_what_is_needed_what_came_and_what_to_do(
    write, tmp_path, name, text, options, says
):
    path = tmp_path / name if text is None else write(name, text)
    with pytest.raises(InputError) as refusal:
        read_perturbations(path, WORDS, **options)
    words = "\n".join([str(refusal.value), *getattr(refusal.value, "__notes__", [])])
    assert not [part for part in says if part not in words]


def test_one_gene_makes_no_pair_and_donors_must_be_those_of_the_cells(engine, tokens):
    with pytest.raises(InputError, match=r"at least two genes; 1 came\. Name more"):
        pairs(["STAT1"], WORDS)
    with pytest.raises(InputError, match=r"each of the 6 cells; it names 2\. Take"):
        combination_shifts(engine, tokens, [], EVERYWHERE, donor_n=np.array(["a", "b"]))


# ------------------------------------------------------------------------------------------------ numbers


def changed(genes, targets, *, insert=False):
    """Deletions and overexpression by list arithmetic; `None` where nothing changes or nothing is left."""
    absent = [token for token, _ in targets if token not in genes]
    if absent and not insert:
        return None
    raised = [token for token, kind in targets if kind == "overexpress"]
    found = raised + [gene for gene in genes if gene not in [token for token, _ in targets]]
    return None if found in ([], genes) else found


def expected(model, readout, tokens, targets, *, insert=False):
    """Shifts and synergy of one perturbation, cell by cell."""

    def read(genes):
        emb_d = next(model.hidden([np.asarray(genes)])).mean(axis=0).astype(float)
        cosine = emb_d @ readout.goal_d / np.linalg.norm(emb_d) / np.linalg.norm(readout.goal_d)
        return np.array([cosine, emb_d @ readout.weight_d])

    rows = []
    for cell in range(tokens.n_cells):
        genes = tokens.row(cell).tolist()
        edited = changed(genes, targets, insert=insert)
        if edited is not None:
            alone = [changed(genes, [target], insert=insert) or genes for target in targets]
            parts = [read(row)[1] - read(genes)[1] for row in alone]
            cosine, logit = read(edited) - read(genes)
            rows.append((cell, cosine, logit, logit - sum(parts)))
    return pd.DataFrame(rows, columns=["cell", "shift_to_goal", "logit_shift", "synergy"])


@pytest.mark.parametrize("insert", [False, True])
@pytest.mark.parametrize(
    "targets",
    [
        [(4, "delete")],
        [(4, "delete"), (7, "delete")],
        [(9, "overexpress"), (4, "overexpress")],
        [(6, "delete"), (9, "overexpress")],
        [(4, "delete"), (11, "delete"), (9, "overexpress")],
    ],
)
def test_sets_pairs_and_drugs_equal_a_loop_over_single_cells(engine, model, tokens, readout, targets, insert):
    asked = [Perturbation("it", tuple(Target(token, kind) for token, kind in targets))]
    config = PerturbConfig(cells_per_gene=99, not_expressed="insert" if insert else "skip")
    ours = combination_shifts(engine, tokens, asked, config).iloc[0]
    slow = expected(model, readout, tokens, targets, insert=insert)
    assert len(slow) > 1
    assert ours["n_cells"] == len(slow)
    assert ours["n_donors"] == ours["n_missing"] == 0
    assert ours["n_targets"] == len(targets)
    for name in ("shift_to_goal", "logit_shift"):
        assert ours[name] == pytest.approx(slow[name].mean(), abs=1e-6)
    test = stats.ttest_1samp(slow["logit_shift"], 0)
    assert ours["se"] == pytest.approx(slow["logit_shift"].sem(), abs=1e-6)
    assert ours["pvalue"] == pytest.approx(test.pvalue, rel=1e-3)
    assert ours[["ci_low", "ci_high"]].tolist() == pytest.approx(list(test.confidence_interval()), abs=1e-5)
    if len(targets) == 2:
        reach = stats.ttest_1samp(slow["synergy"], 0).confidence_interval()
        assert ours["synergy"] == pytest.approx(slow["synergy"].mean(), abs=1e-6)
        assert ours[["synergy_ci_low", "synergy_ci_high"]].tolist() == pytest.approx(list(reach), abs=1e-5)
    else:
        assert ours[["synergy", "synergy_ci_low", "synergy_ci_high"]].isna().all()


def test_donors_are_the_replicates_where_they_are_named(engine, model, tokens, readout):
    targets, donor_n = [(4, "delete"), (7, "delete")], np.array(list("aabbcc"))
    asked = [Perturbation("it", tuple(Target(token, kind) for token, kind in targets))]
    config = PerturbConfig(cells_per_gene=99, not_expressed="insert")
    ours = combination_shifts(engine, tokens, asked, config, donor_n=donor_n).iloc[0]
    slow = expected(model, readout, tokens, targets, insert=True)
    by_donor = slow.groupby(donor_n[slow["cell"]]).mean()
    assert ours["n_donors"] == len(by_donor) > 1
    assert ours["logit_shift"] == pytest.approx(by_donor["logit_shift"].mean(), abs=1e-6)
    assert ours["se"] == pytest.approx(by_donor["logit_shift"].sem(), abs=1e-6)
    assert ours["synergy"] == pytest.approx(by_donor["synergy"].mean(), abs=1e-6)


def test_a_part_that_changes_nothing_adds_nothing(engine, tokens):
    first = int(tokens.row(2)[0])
    asked = [
        Perturbation("dose 0", (Target(4, "delete"), Target(7, "inhibit", 0.0))),
        Perturbation("first", (Target(int(tokens.row(2)[3]), "delete"), Target(first, "overexpress"))),
    ]
    found = combination_shifts(engine, tokens.select(np.array([2])), asked, EVERYWHERE)
    assert found["synergy"].tolist() == [0.0, 0.0]
    assert (found["logit_shift"] != 0).all()


def test_a_part_that_would_empty_a_cell_leaves_its_synergy_open(engine):
    cells = Tokens.of_rows([[5]])
    asked = [Perturbation("swap", (Target(5, "delete"), Target(6, "overexpress")))]
    found = combination_shifts(engine, cells, asked, PerturbConfig(not_expressed="insert")).iloc[0]
    assert found["n_cells"] == 1
    assert np.isfinite(found["logit_shift"])
    assert np.isnan(found["synergy"])


def test_a_perturbation_that_applies_to_no_cell_is_listed_without_numbers(engine):
    cells = Tokens.of_rows([[5, 6, 7], [7, 6]])
    asked = [
        Perturbation("absent", (Target(5, "delete"), Target(9, "delete"))),
        Combination("present", (Target(6, "delete"),), ("GONE",)),
    ]
    skipped = combination_shifts(engine, cells, asked, EVERYWHERE)
    assert list(skipped.columns) == COMBINATIONS.names
    assert skipped["name"].tolist() == ["absent", "present"]
    assert skipped["n_cells"].tolist() == [0, 2]
    assert skipped["n_missing"].tolist() == [0, 1]
    numbers = ["shift_to_goal", "logit_shift", "se", "ci_low", "ci_high", "pvalue", "synergy"]
    assert skipped.loc[0, numbers].isna().all()
    inserted = combination_shifts(
        engine, cells, asked, PerturbConfig(cells_per_gene=99, not_expressed="insert")
    )
    assert inserted["n_cells"].tolist() == [1, 2]
    asked = [asked[0], Combination("unknown", (), ("GONE",))]
    alone = combination_shifts(engine, cells, asked, EVERYWHERE)
    assert alone["n_cells"].tolist() == [0, 0]
    assert alone["targets"].tolist()[1] == ""
    assert combination_shifts(engine, cells, [], EVERYWHERE).empty


def test_genes_that_the_file_does_not_hold_are_named(engine, model):
    cells, words = Tokens.of_rows([[5, 6, 7], [7, 6]]), model.vocabulary
    asked = [
        Perturbation("both", (Target(6, "delete"), Target(9, "delete"))),
        Perturbation("one", (Target(6, "delete"),)),
    ]
    assert combination_shifts(engine, cells, asked, EVERYWHERE)["absent"].tolist() == ["", ""]
    held = {words.gene_of_token[6]}
    named = combination_shifts(engine, cells, asked, EVERYWHERE, held=held)["absent"]
    assert named.tolist() == [words.names.name_of(words.gene_of_token[9]), ""]


def test_every_row_is_read_once_whatever_the_order_and_number_of_perturbations(
    engine, model, tokens, monkeypatch
):
    genes = model.vocabulary.gene_ids[:5].tolist()
    asked = [*pairs(genes, model.vocabulary), *singles(genes, model.vocabulary)]
    whole = combination_shifts(engine, tokens, asked, EVERYWHERE)
    seen, read, done = [], ExactEngine.read, []

    def noted(engine, rows):
        seen.extend(tuple(row.tolist()) for row in rows)
        return read(engine, rows)

    monkeypatch.setattr(ExactEngine, "read", noted)
    monkeypatch.setattr("perturbloop.perturb.combine.ROWS", 7)
    found = combination_shifts(
        engine, tokens, asked[::-1], EVERYWHERE, on_edits=lambda *count: done.append(count)
    )
    assert len(seen) == len(set(seen))
    assert done[-1] == (15, 15)
    assert len(done) > 1
    pd.testing.assert_frame_equal(found[::-1].reset_index(drop=True), whole, atol=1e-6)


def test_targets_are_told_in_words(engine, tokens, model):
    asked = [Perturbation("it", (Target(4, "delete"), Target(7, "inhibit", 0.5)))]
    found = combination_shifts(engine, tokens, asked, EVERYWHERE)
    names = model.vocabulary.gene_names
    assert found.loc[0, "targets"] == f"delete {names[2]} + inhibit {names[5]} at 0.5"


def test_special_tokens_stay_at_both_ends(engine):
    cells = Tokens.of_rows([[12, 5, 6, 7, 13]], has_cls=True)
    asked = [Perturbation("it", (Target(6, "delete"), Target(7, "overexpress")))]
    found = combination_shifts(engine, cells, asked, EVERYWHERE).iloc[0]
    read = [engine.read([np.array(row)])[0, 1] for row in ([12, 7, 5, 13], [12, 5, 6, 7, 13])]
    assert found["logit_shift"] == pytest.approx(read[0] - read[1], abs=1e-6)
