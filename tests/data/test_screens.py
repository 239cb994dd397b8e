"""Tables of screens: formats, signs, hits, losses, and what is refused."""

import gzip

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from perturbloop.data.screen_formats.base import standard_error
from perturbloop.data.screens import report_lines
from perturbloop.errors import GeneIdError, InputError
from perturbloop.schema import SCREEN, ScreenConfig

N_GENES = 40


def mageck(frame, score):
    """Write as MAGeCK does: each arm tests its own side."""
    p_low = stats.norm.cdf(score * 3)
    return pd.DataFrame(
        {
            "id": frame["Gene"],
            "num": 4,
            "neg|score": p_low,
            "neg|p-value": p_low,
            "neg|fdr": np.minimum(1, p_low * 3),
            "neg|lfc": score,
            "pos|score": 1 - p_low,
            "pos|p-value": 1 - p_low,
            "pos|fdr": np.minimum(1, (1 - p_low) * 3),
            "pos|lfc": score,
        }
    )


# ------------------------------------------------------------------------------------------------- signs


@pytest.mark.parametrize(
    ("modality", "higher_is", "to_goal", "raising"),
    [
        ("crispri", "goal", 1, -1),
        ("crispri", "start", -1, 1),
        ("crispr_ko", "goal", 1, -1),
        ("crispra", "goal", 1, 1),
        ("crispra", "start", -1, -1),
    ],
)
def test_the_sign_follows_what_was_done_and_which_end_is_high(
    read, frame, modality, higher_is, to_goal, raising
):
    screen, _ = read(frame, modality=modality, higher_is=higher_is)
    np.testing.assert_allclose(screen["effect_to_goal"], to_goal * frame["Score"])
    np.testing.assert_allclose(screen["effect"], raising * frame["Score"])
    assert list(screen.columns) == SCREEN.names


# ----------------------------------------------------------------------------------------------- formats


def test_each_gene_of_a_mageck_summary_has_the_p_and_fdr_of_its_own_arm(read, frame, rng):
    score = rng.normal(size=N_GENES)
    table = mageck(frame, score)
    screen, report = read(table, name="screen.gene_summary.txt")
    assert report["format"] == "MAGeCK gene summary"
    for row, (_, line) in zip(screen.itertuples(), table.iterrows(), strict=True):
        arm = "neg" if line["pos|lfc"] < 0 else "pos"
        assert row.padj == pytest.approx(line[f"{arm}|fdr"])
        assert row.pvalue == pytest.approx(min(1, 2 * line[f"{arm}|p-value"]))
        assert row.n_reagents == 4
    certain = np.abs(3 * score) >= 1
    np.testing.assert_allclose(screen["se"][certain], 1 / 3, rtol=1e-6)
    assert screen["se"][~certain].isna().all()


@pytest.mark.parametrize(
    ("renamed", "format_name"),
    [
        ({"Score": "log2FoldChange", "FDR": "padj"}, "DESeq2 table"),
        ({"Score": "logFC", "pvalue": "P.Value", "FDR": "adj.P.Val"}, "limma table"),
        ({"Score": "logFC", "pvalue": "PValue"}, "edgeR table"),
        ({"Gene": "names", "Score": "logfoldchanges", "pvalue": "pvals", "FDR": "pvals_adj"}, "scanpy table"),
        ({"Score": "LFC"}, "table with one score a row"),
    ],
)
@pytest.mark.parametrize("name", ["screen.csv", "screen.tsv", "screen.csv.gz"])
def test_tables_of_tools_are_known_by_their_columns(read, frame, renamed, format_name, name):
    expected, _ = read(frame)
    screen, report = read(frame.rename(columns=renamed), name=name)
    assert report["format"] == format_name
    pd.testing.assert_frame_equal(screen, expected)


def test_row_names_of_r_are_the_genes_and_a_numbered_first_column_is_not(read, frame):
    of_r, _ = read(frame.rename(columns={"Gene": ""}))
    numbered, _ = read(frame.reset_index(names=""))
    pd.testing.assert_frame_equal(of_r, numbered)


def test_row_names_without_a_name_are_the_genes_and_a_separator_at_the_end_is_nothing(read, frame):
    plain, _ = read(frame)
    text = frame.to_csv(index=False)
    nameless, report = read(text.replace("Gene,", "", 1))  # as `write.table` of R leaves it
    assert report["columns"]["gene"] == "Unnamed: 0"
    ended, _ = read(text.replace("\n", ",\n").replace(",\n", "\n", 1))
    for screen in (nameless, ended):
        pd.testing.assert_frame_equal(screen, plain)


def test_a_byte_order_mark_and_semicolons_do_not_matter(read, frame):
    expected, _ = read(frame)
    screen, _ = read(b"\xef\xbb\xbf" + frame.to_csv(index=False, sep=";").encode())
    pd.testing.assert_frame_equal(screen, expected)


def test_named_columns_go_before_those_that_are_found(read, frame):
    frame = frame.assign(mine=-frame["Score"], error=0.5, q=0.5)
    screen, report = read(frame, score_column="mine", se_column="error", fdr_column="q")
    np.testing.assert_allclose(screen["effect_to_goal"], -frame["Score"])
    assert set(screen["se"]) == {0.5}
    assert set(screen["padj"]) == {0.5}
    assert report["columns"]["score"] == "mine"


def test_without_fdr_it_is_made_from_the_p_values(read, frame):
    screen, _ = read(frame.drop(columns="FDR"))
    np.testing.assert_allclose(screen["padj"], stats.false_discovery_control(frame["pvalue"]))


def test_a_standard_error_is_read_off_score_and_p(rng):
    score, error = rng.normal(size=50), rng.uniform(0.1, 2, size=50)
    pvalue = 2 * stats.norm.sf(np.abs(score) / error)
    found = standard_error(score, pvalue)
    certain = np.abs(score) / error >= 1
    np.testing.assert_allclose(found[certain], error[certain])
    assert np.isnan(found[~certain]).all()


# ----------------------------------------------------------------------------------- genes, losses, hits


def test_every_row_that_is_lost_is_counted_by_its_reason(read, frame):
    extra = pd.DataFrame(
        {
            "Gene": ["Non-Targeting", "NO-TARGET", "LOC1", None, "OLD39", "GENE1.2"],
            "Score": 0.5,
            "pvalue": 0.5,
            "FDR": 0.5,
        }
    )
    frame.loc[3, "Score"] = np.nan
    frame.loc[4, "Score"] = np.inf
    screen, report = read(pd.concat([frame, extra], ignore_index=True))
    assert report["dropped"] == {"controls, not genes": 2, "no gene": 1, "no score": 2}
    assert report["unknown"] == ["LOC1", "GENE1.2"]
    assert report["repeated"] == ["OLD39"]
    assert len(screen) == report["n_genes"] == N_GENES - 2
    assert screen["gene_id"].is_unique
    said = " ".join(report_lines(report))
    for words in ("2 rows left out: controls", "'LOC1'", "another row speaks for the gene of 'OLD39'"):
        assert words in said


def test_of_two_rows_of_a_gene_the_present_symbol_speaks_wherever_it_stands(read, frame):
    older = frame.iloc[[39]].assign(Gene="OLD39", Score=9.0)
    for table in (pd.concat([older, frame]), pd.concat([frame, older])):
        screen, _ = read(table)
        assert screen.set_index("label").loc["GENE39", "effect_to_goal"] == frame.loc[39, "Score"]


def test_one_of_several_screens_is_chosen_by_name(read, frame):
    both = pd.concat([frame.assign(screen="IL2"), frame.assign(screen="CTLA4", Score=-frame["Score"])])
    screen, report = read(both, screen="CTLA4")
    np.testing.assert_allclose(screen["effect_to_goal"], -frame["Score"])
    assert report["dropped"] == {"of other screens": N_GENES}
    with pytest.raises(
        InputError, match=r"--only NAME: one of 2 screens in its column 'screen': 'CTLA4', 'IL2'"
    ):
        read(both)
    with pytest.raises(InputError, match="Did you mean 'CTLA4'"):
        read(both, screen="CTLA-4")


def test_a_hit_is_told_by_one_rule(read, frame, tmp_path):
    listed = tmp_path / "hits.txt"
    listed.write_text("GENE3\nENSG00000000005\nNOGENE\n")
    frame = frame.assign(Hit=["True" if place < 2 else "False" for place in range(N_GENES)])
    by_fdr, _ = read(frame, fdr=0.2)
    assert set(by_fdr.index[by_fdr["hit"]]) == set(frame.index[frame["FDR"] < 0.2])
    by_top, report = read(frame, top=0.1)
    assert set(by_top.index[by_top["hit"]]) == set(frame["Score"].abs().nlargest(4).index)
    assert report["n_toward"] + report["n_away"] == report["n_hits"] == 4
    by_list, report = read(frame, hits=str(listed))
    assert list(by_list.loc[by_list["hit"], "label"]) == ["GENE3", "GENE5"]
    assert report["hits_absent"] == ["NOGENE"]
    assert "'NOGENE'" in report["warnings"][0]
    by_column, _ = read(frame.iloc[::-1], hit_column="Hit")
    assert set(by_column.loc[by_column["hit"], "label"]) == {"GENE0", "GENE1"}


def test_an_unsigned_score_and_a_screen_without_hits_are_warned_of(read, frame):
    _, report = read(frame.assign(Score=frame["Score"].abs(), FDR=1.0))
    assert len(report["warnings"]) == 2
    assert "one sign" in report["warnings"][0]
    assert "No gene is a hit" in report["warnings"][1]


def test_of_mageck_screens_side_by_side_one_is_chosen_by_what_stands_behind_its_columns(read, frame):
    first, second = mageck(frame, frame["Score"]), mageck(frame, -frame["Score"])
    side_by_side = pd.concat(
        [
            first[["id", "num"]],
            first.drop(columns=["id", "num"]).add_suffix(".Resting_Teff"),
            second.drop(columns=["id", "num"]).add_suffix(".Stim_Teff"),
        ],
        axis=1,
    )
    with pytest.raises(
        InputError,
        match=r"--only NAME: one of 2 comparisons side by side: 'Resting_Teff', 'Stim_Teff'",
    ):
        read(side_by_side, name="sgrna.txt")
    with pytest.raises(InputError, match=r"`--only stim` must be .* Did you mean 'Stim_Teff'\?"):
        read(side_by_side, name="sgrna.txt", screen="stim")
    for name, table in (("Resting_Teff", first), ("Stim_Teff", second)):
        screen, report = read(side_by_side, name="sgrna.txt", screen=name)
        pd.testing.assert_frame_equal(screen, read(table, name="sgrna.txt")[0])
        assert report["format"] == "MAGeCK gene summary"
    alone = side_by_side[[name for name in side_by_side if "Stim" not in name]]
    pd.testing.assert_frame_equal(read(alone, name="sgrna.txt")[0], read(first, name="sgrna.txt")[0])


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (lambda _: "", {}, "it is empty"),
        (lambda table: table.iloc[:0], {}, "and no row"),
        (lambda _: b"\x89HDF\r\n\x1a\n\0\0", {}, "Cells are recorded with `--perturbed`"),
        (
            lambda table: table.rename(columns={"Score": "x"}),
            {},
            "--score-column NAME: the column of signed scores, one of 'Gene'",
        ),
        (
            lambda table: table.rename(columns={"Gene": "x"}),
            {},
            "--gene-column NAME: the column of genes, one of 'x', 'Score'",
        ),
        (lambda table: table.assign(Score=np.nan), {}, "all 40 are missing"),
        (lambda table: table.assign(Score="high"), {}, "40 of 40 values are not: 'high'"),
        (lambda table: table.assign(pvalue=5.0), {}, "values between 0 and 1; 40 are not: '5.0'"),
        (lambda table: table, {"score_column": "LFC"}, "its columns are 'Gene', 'Score'"),
        (lambda table: table, {"hit_column": "Hit"}, "--hit-column Hit"),
        (lambda table: table, {"hit_column": "Gene"}, "must hold true or false"),
        (lambda table: table, {"screen": "IL2"}, "needs the column 'screen'"),
        (
            lambda table: table.drop(columns=["FDR", "pvalue"]),
            {},
            "--top SHARE or --hits FILE: what a hit is",
        ),
        (lambda table: pd.concat([table] * 3), {}, "80 of 120 rows.*name a gene again"),
        (lambda _: b"\xef\xbb\xbf\n\n", {}, "it cannot be read"),
        (lambda table: table.assign(SE=-1.0), {}, "not negative; 40 are: '-1.0'"),
        (lambda table: table.rename(columns={"Score": "LFC", "FDR": " LFC"}), {}, "several named 'LFC'"),
        (lambda _: "Gene,Score\nGENE1,a,b,0.5\nGENE2,a,b,0.7\n", {}, "has 2 .*values. Correct the header"),
    ],
)
def test_a_file_that_is_no_screen_is_refused_with_what_to_do(read, frame, change, options, says):
    with pytest.raises(InputError, match=f"(?s){says}"):
        read(change(frame), **options)


@pytest.mark.parametrize(
    ("label", "says"), [("Cd{}", "must be human; 40 of 40"), ("probe_{}", "0 of 40 labels are known")]
)
def test_genes_of_another_kind_are_refused(read, frame, label, says):
    with pytest.raises(GeneIdError, match=says):
        read(frame.assign(Gene=[label.format(place) for place in range(N_GENES)]))


def test_a_damaged_archive_is_refused(read, frame):
    content = bytearray(gzip.compress(frame.to_csv(index=False).encode()))
    content[30:60] = b"\xff" * 30
    with pytest.raises(InputError, match="it cannot be read"):
        read(bytes(content), name="screen.csv.gz")


def test_a_list_without_a_gene_of_the_screen_is_refused(read, frame, tmp_path):
    with pytest.raises(InputError, match="it cannot be read"):
        read(frame, hits=str(tmp_path / "none.txt"))
    (tmp_path / "hits.txt").write_text("NOGENE\n")
    with pytest.raises(InputError, match=r"of the 1 that .* lists none is: 'NOGENE'"):
        read(frame, hits=str(tmp_path / "hits.txt"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"modality": "sgRNA"}, r"'crispr_ko' \(a knockout\), 'crispri' \(a knockdown\)"),
        ({"higher_is": "up"}, "'goal', 'start'"),
        ({"fdr": 0.1, "top": 0.1}, "told by one rule"),
        ({"fdr": 1.5}, "above 0 and below 1"),
        ({"name": " "}, "must not be empty"),
        ({"targets": "drugs.tsv"}, "inhibitor or activator"),
        ({"min_detection": 2.0}, "`min_detection`"),
    ],
)
def test_wrong_options_are_refused(options, says):
    known = {"path": "screen.csv", "name": "test", "modality": "crispri", "higher_is": "goal"}
    with pytest.raises(InputError, match=says):
        ScreenConfig(**(known | options))


def test_rows_without_a_screens_name_belong_to_none_and_do_not_rename_the_others(read, frame):
    several = pd.concat([frame.assign(screen=7), frame.assign(screen=None)])
    screen, report = read(several)
    assert len(screen) == N_GENES
    assert report["dropped"] == {"no screen name": N_GENES}
    assert read(several, screen="7")[1]["dropped"] == report["dropped"]


def test_a_column_of_screens_without_any_name_is_one_screen(read, frame):
    screen, report = read(frame.assign(screen=None))
    assert len(screen) == N_GENES
    assert report["dropped"] == {}
    with pytest.raises(InputError, match=r"`--only IL2` needs the column 'screen'.*no name in it"):
        read(frame.assign(screen=None), screen="IL2")


def test_a_mageck_score_is_said_to_come_from_both_columns(read, frame):
    _, report = read(mageck(frame, frame["Score"].to_numpy()), name="gene_summary.txt")
    assert report["columns"]["score"] == "neg|lfc and pos|lfc"
