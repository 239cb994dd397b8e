"""A drug screen in a campaign: what is spent, what is judged, what is said."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.data import toy
from perturbloop.data.perturbed import read_perturbed
from perturbloop.errors import InputError, LeakageError
from perturbloop.evidence.recorded_cells import of_usable_compounds
from perturbloop.loop.campaign import init, measured, play, record
from perturbloop.loop.execute import perturbed_examples
from perturbloop.loop.folder import open_campaign
from perturbloop.loop.inputs import read_inputs
from perturbloop.loop.recorded import Outcomes
from perturbloop.schema import EFFECTS, PerturbedConfig, ScreenConfig
from perturbloop.train.examples import closed_loop, open_loop
from perturbloop.train.sources import TrainingCells

N_SINGLE = 8


@pytest.fixture(scope="module")
def screened(made, tmp_path_factory):
    """Eight selective inhibitors, one of two genes, one that does both, one that nobody knows."""
    folder = tmp_path_factory.mktemp("drugs")
    world = toy.world(1, n_cells=160, n_corpus=120)
    genes = world.genes.gene_name.tolist()
    compounds = {f"single {place}": {genes[place]: -1} for place in range(N_SINGLE)}
    compounds["double"] = {genes[20]: -1, genes[21]: -1}
    compounds["mixed"] = {genes[22]: -1, genes[23]: 1}
    compounds["unknown"] = {genes[24]: -1}
    rng = np.random.default_rng(0)
    adata = toy.treat(world, compounds, state="stimulated", n_cells=24, n_controls=60, rng=rng)
    adata.write_h5ad(folder / "drugs.h5ad")
    rows = [
        (name, gene, "inhibitor" if sign < 0 else "activator")
        for name, targets in compounds.items()
        for gene, sign in targets.items()
        if name != "unknown"
    ]
    pd.DataFrame(rows, columns=["compound", "gene", "action"]).to_csv(
        folder / "targets.tsv", sep="\t", index=False
    )
    entry = PerturbedConfig(
        path=str(folder / "drugs.h5ad"),
        target_column="compound",
        control=toy.VEHICLE,
        modality="drug",
        targets=str(folder / "targets.tsv"),
        dose_column="dose",
        replicate_column="replicate",
    )
    init(folder / "study", made.config())
    report, _ = record(folder / "study", entry)
    ids = dict(zip(world.genes.gene_name, world.genes.gene_id, strict=True))
    return folder / "study", report, {name: [ids[gene] for gene in of] for name, of in compounds.items()}


def test_the_report_names_what_was_used_and_what_was_not(screened):
    _, report, _ = screened
    said = " ".join(report.warnings)
    assert report.targets_unmapped == ("unknown",)
    for part in (
        "without a known target .*'unknown'",
        "raise another .*'mixed'",
        "several targets .*'double'",
    ):
        assert pd.Series([said]).str.contains(part).all()
    assert len(report.hit_genes) == N_SINGLE + 4


def test_all_genes_that_a_compound_hits_are_in_one_fold_and_none_is_scored_when_spent(screened):
    folder, report, hit = screened
    assert len({report.hit_genes[gene] for gene in hit["double"]}) == 1
    assert len({report.hit_genes[gene] for gene in hit["mixed"]}) == 1
    rows = measured(folder, report.folder)
    assert set(rows["modality"]) == {"inhibitor"}
    assert set(rows["gene_id"]) == {hit[f"single {n}"][0] for n in range(N_SINGLE)} | set(hit["double"])
    number = play(folder, until="evaluate").round
    place = folder / "rounds" / f"{number:03d}"
    ranking = pd.read_parquet(place / "ranking.parquet")
    spent = set(ranking.loc[ranking["status"] == "spent", "gene_id"])
    assert set(report.hit_genes) & set(ranking["gene_id"]) <= spent  # under 30 targets all train the ranking
    for path in folder.glob("models/*/state_model.json"):
        card = json.loads(path.read_text())["card"]
        held_out = {gene for gene, fold in report.hit_genes.items() if fold == card["fold"]}
        assert not held_out & set(card["spent"])
    judged = pd.read_parquet(place / "metrics.parquet").query("denominator == 'all' and metric == 'auroc'")
    assert set(judged["n_genes"]) == {N_SINGLE + 2}


def test_cells_of_a_compound_cannot_train_what_judges_any_of_its_targets(screened):
    folder, _, hit = screened
    campaign = open_campaign(folder)
    with campaign.store:
        inputs = read_inputs(campaign.config)
        found = perturbed_examples(campaign, inputs)
    first, other = sorted(hit["double"])
    assert found.hits[first] == {first, other}
    assert (found.target_n == first).sum() == 16  # at the highest dose
    assert (found.target_n == other).sum() == 0
    unperturbed = open_loop(
        inputs.view.tokens, inputs.states.is_goal_n, max_cells=40, rng=np.random.default_rng(0)
    )
    tokens = inputs.view.tokens.select(np.resize(np.arange(inputs.view.tokens.n_cells), len(found.target_n)))
    options = {"training": [first], "share": 0.5, "rng": np.random.default_rng(0), "hits": found.hits}
    with pytest.raises(LeakageError, match=f"cannot train: '{other}'"):
        closed_loop(unperturbed, tokens, found.label_n, found.target_n, held_out=[other], **options)
    examples = closed_loop(unperturbed, tokens, found.label_n, found.target_n, held_out=[], **options)
    assert examples.spent == (first, other)


def test_genes_of_a_compound_between_folds_have_no_cells_that_train(screened):
    folder, report, hit = screened
    assert list(report.cell_genes) == sorted(report.hit_genes)
    campaign = open_campaign(folder)
    with campaign.store:
        inputs = read_inputs(campaign.config)
    perturbed, _ = read_perturbed(campaign.config.perturbed[0], names=inputs.names)
    first, other = sorted(hit["double"])
    fold_of = report.hit_genes | {first: 0, other: 1}
    recorded = replace(report, hit_genes=fold_of, cell_genes=of_usable_compounds(perturbed, fold_of))
    assert set(report.cell_genes) - set(recorded.cell_genes) == {first, other}
    outcomes = Outcomes(pd.DataFrame(columns=EFFECTS.names), pd.DataFrame(columns=EFFECTS.names), (recorded,))
    assert outcomes.with_cells == frozenset(recorded.cell_genes)
    assert outcomes.fold_of[other] == 1


def test_edited_cells_stand_for_compounds_that_do_one_thing_to_one_gene(screened):
    folder, _, hit = screened
    campaign = open_campaign(folder)
    with campaign.store:
        inputs = read_inputs(campaign.config)
        found = perturbed_examples(campaign, inputs)
    first = min(hit["mixed"])
    assert set(found.kind_n[found.target_n == first]) == {""}
    assert set(found.kind_n[found.target_n == hit["single 0"][0]]) == {"delete"}
    train = replace(inputs.config.train, consistency=1.0)
    cells = TrainingCells(inputs.states, inputs.view, train, found)
    examples, rng = cells.examples("closed", sorted(set(found.target_n) - {""}), ())
    assert set(hit["double"]) | set(hit["mixed"]) <= set(examples.spent)
    aims = cells.aims(examples, rng)
    assert 0 < len(aims.logit_p) <= N_SINGLE


def test_a_drug_response_screen_with_the_same_table_of_targets_judges_beside_the_cells(screened, tmp_path):
    folder = Path(shutil.copytree(screened[0], tmp_path / "study"))
    before = {row.gene_id: row.fold for row in measured(folder, screened[1].folder).itertuples()}
    targets = screened[0].parent / "targets.tsv"
    table = pd.read_csv(targets, sep="\t").drop_duplicates("compound").assign(response=np.arange(10.0) - 4)
    table[["compound", "response"]].to_csv(tmp_path / "responses.csv", index=False)
    line = f"record {folder} --modality inhibitor --targets {targets} --json"
    screen = f" --screen {tmp_path / 'responses.csv'} --name viability --higher-is goal --top 0.3"
    done = CliRunner().invoke(app, shlex.split(line + screen), catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["n_effects"] == N_SINGLE + 3  # the activated target is another arm
    number = play(folder, until="evaluate").round
    place = folder / "rounds" / f"{number:03d}"
    effects = pd.read_parquet(place / "effects.parquet").query("level == 'gene'")
    assert set(effects["modality"]) == {"inhibitor"}
    assert set(effects["n_cells"].gt(0)) == {True, False}
    assert before.items() <= dict(zip(effects["gene_id"], effects["fold"], strict=True)).items()
    assert "viability" not in json.loads((place / "scores.json").read_text())["label_sources"]
    assert set(pd.read_parquet(place / "metrics.parquet")["method"]) >= {"full-closed", "linear", "evidence"}


def test_genes_with_the_score_of_one_compound_are_held_out_together(made, tmp_path):
    """Sixty compounds of two genes each: apart, the one would hand its score to the judgement of the other."""
    genes = toy.world(1, n_cells=160, n_corpus=120).genes
    names, ids = genes["gene_name"].tolist(), genes["gene_id"].tolist()
    rows = [f"c{place // 2},{names[place]},inhibitor\n" for place in range(120)]
    (tmp_path / "targets.csv").write_text("compound,gene,action\n" + "".join(rows))
    scores = "".join(f"c{place},{place - 30}\n" for place in range(60))
    (tmp_path / "responses.csv").write_text("compound,response\n" + scores)
    options = {
        "path": str(tmp_path / "responses.csv"),
        "modality": "inhibitor",
        "higher_is": "goal",
        "top": 0.3,
    }
    entry = ScreenConfig(
        name="viability", targets=str(tmp_path / "targets.csv"), min_detection=0.0, **options
    )
    init(tmp_path / "study", made.config())
    report, _ = record(tmp_path / "study", entry)
    assert report.n_effects == 120
    (path,) = (tmp_path / "study").glob("screens/*/effects_all.parquet")
    fold_of = pd.read_parquet(path).set_index("gene_id")["fold"]
    assert all(fold_of[ids[place]] == fold_of[ids[place + 1]] for place in range(0, 120, 2))
    assert set(fold_of) == {-1, 0}

    apart = [names[ids.index(fold_of.index[fold_of == fold][0])] for fold in (-1, 0)]
    rows += [f"c0,{name},inhibitor\n" for name in apart]
    (tmp_path / "targets.csv").write_text("compound,gene,action\n" + "".join(dict.fromkeys(rows)))
    report, _ = record(tmp_path / "study", replace(entry, top=0.2), replace=True)
    assert report.warnings[-1].endswith("say nothing of a gene: 'c0'.")


def test_a_compound_may_have_the_name_of_its_gene(few, tmp_path):
    names = sorted(set(read_h5ad(few.perturbed_path).obs["target"]) - {toy.CONTROL})
    rows = "".join(f"{name},{name},inhibitor\n" for name in names)
    (tmp_path / "targets.csv").write_text("compound,gene,action\n" + rows)
    init(tmp_path / "study", few.config())
    entry = few.perturbed(modality="drug", targets=str(tmp_path / "targets.csv"))
    report, _ = record(tmp_path / "study", entry)
    found = measured(tmp_path / "study", report.folder)
    assert set(found["gene_name"]) == set(names)
    assert set(found["modality"]) == {"inhibitor"}


def test_targets_that_nobody_knows_are_named(few, tmp_path):
    (tmp_path / "targets.csv").write_text("compound,gene,action\nA,NOGENE,inhibitor\n")
    adata = read_h5ad(few.perturbed_path)
    adata.obs["drug"] = np.where(adata.obs["target"] == toy.CONTROL, toy.CONTROL, "A")
    adata.write_h5ad(tmp_path / "drugs.h5ad")
    init(tmp_path / "study", few.config())
    options = {"path": str(tmp_path / "drugs.h5ad"), "target_column": "drug", "modality": "drug"}
    with pytest.raises(InputError, match="names those of 'A', and knows no gene of them: 'NOGENE'"):
        record(tmp_path / "study", few.perturbed(**options, targets=str(tmp_path / "targets.csv")))


def test_a_table_of_targets_belongs_to_drugs(screened):
    targets = screened[0].parent / "targets.tsv"
    line = (
        f"record {screened[0]} --perturbed x.h5ad --target-column compound --control DMSO --modality crispri"
    )
    done = CliRunner().invoke(app, shlex.split(f"{line} --targets {targets}"))
    assert done.exit_code == 1
    assert "`targets` belongs to compounds" in done.stderr
