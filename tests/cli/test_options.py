"""Every option of the configuration is a flag of a command, and what is typed arrives where it belongs."""

import re
import shlex
from dataclasses import MISSING, fields, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.cli.app import CAMPAIGN, PRETRAINING
from perturbloop.cli.options import flag
from perturbloop.cli.record import RECORDED, entry
from perturbloop.errors import InputError
from perturbloop.schema import SECTIONS, CampaignConfig, DesignConfig, PerturbConfig, TrainConfig, file_fields
from perturbloop.schema.options import field_docs, nested, options
from perturbloop.schema.presets import preset
from perturbloop.train.pretrain_config import PretrainConfig

REQUIRED = "--cells c.h5ad --state-column s --start a --goal b --model m"
OTHER = {"emb_layer": "-1", "engine": "fast", "null_genes": "50", "positive_controls": "CD3E,VAV1:inhibit"}
"""Values of options that do not take just any of their type."""
COMPANIONS = {
    "targets": {"modality": "drug"},
    "phenotype_column": {"label_source": "phenotype"},
    "label_table": {"label_source": "screen"},
    **dict.fromkeys(  # noqa: RUF024 - none is changed
        ("donor_column", "time_column", "cell_type_column", "well_column"), {"arm_column": "arm"}
    ),
    "recovered_column": {"arm_column": "arm", "well_column": "well"},
}
"""Options that come only with others."""
OF_WELLS = ("readout", "control", "replicate_column", "dose_column", "viability")
"""Options of a screen that come only with a readout of wells."""


def commands():
    return typer.main.get_command(app).commands


def typed(option):
    """Some value of an option that is not its default, as it is typed."""
    if option.name in OTHER or option.kind is bool:
        return OTHER.get(option.name, "")
    if option.words:
        return next(word for word in option.words if word not in (option.default, *(option.default or ())))
    if option.kind in (int, float):
        return str((option.default or 0) + 1) if option.kind is int else "0.25"
    return "other"


def read(option, text):
    """The same as a configuration holds it."""
    if option.kind is bool:
        return True
    if option.is_file:
        return str(Path(text).resolve())
    return tuple(text.split(",")) if option.is_list else option.kind(text)


@pytest.fixture
def made(monkeypatch):
    """Configurations that `init` would make, without any work."""
    configs = []

    def init(folder, config, *, store="sqlite"):
        configs.append(config)
        return SimpleNamespace(lines=list, cautions=list)

    monkeypatch.setattr("perturbloop.loop.campaign.init", init)
    return configs


def test_no_option_of_any_section_is_without_a_flag():
    every = {(name, field.name) for name, kind in SECTIONS.items() for field in fields(kind)}
    every |= {("pretrain", field.name) for field in fields(PretrainConfig)}
    by_command = {"init": CAMPAIGN, "record": RECORDED, "pretrain": PRETRAINING}
    reached = {place for known in by_command.values() for option in known for place in option.places}
    assert every == reached
    for name, known in by_command.items():
        flags = {opt for param in commands()[name].params for opt in param.opts}
        assert {flag(option.name) for option in known} <= flags


@pytest.mark.parametrize("option", CAMPAIGN, ids=lambda option: option.name)
def test_what_is_typed_arrives_in_every_place_of_its_option(made, option):
    text = typed(option)
    needed = REQUIRED.replace("--cells c.h5ad", "") if option.name == "cells" else REQUIRED
    line = f"init new {needed} {flag(option.name)} {text}"
    done = CliRunner().invoke(app, shlex.split(line), catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    for section, field in option.places:
        assert getattr(getattr(made[0], section), field) == read(option, text)


def test_several_files_of_cells_follow_one_flag_and_two_flags_do_the_same(made):
    rest = REQUIRED.replace("--cells c.h5ad", "")
    full = tuple(str(Path(name).resolve()) for name in ("a.h5ad", "b.h5ad"))
    for line in (f"init new --cells a.h5ad b.h5ad {rest}", f"init --cells a.h5ad --cells b.h5ad {rest} new"):
        done = CliRunner().invoke(app, shlex.split(line), catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        assert made.pop().cells.paths == full


def test_a_preset_is_named_values_of_options_and_what_is_typed_wins(made):
    given = REQUIRED.replace("--model m", "--preset pershad2025 --donor-column d")
    done = CliRunner().invoke(app, shlex.split(f"init new {given} --as-published --epochs 2"))
    assert done.exit_code == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert (
        "Preset pershad2025 (doi:10.1101/2025.07.08.663754) set model gf-12L-30M-i2048, levels full" in said
    )
    assert "Typed in place of the preset's: epochs 2." in said
    train, judged = made[0].train, made[0].evaluate
    assert (train.learning_rate, train.warm_up_steps, train.epochs) == (5e-5, 500, 2)
    assert (train.batch_cells, train.accumulate, train.keep_epoch, train.levels) == (6, 2, "best", ("full",))
    assert (made[0].cells.split, judged.call) == ("cells", "geneformer")
    by_hand = {flag(name): value for name, value in preset("pershad2025").options.items()} | {"--epochs": 2}
    words = [
        f"{name} {','.join(value) if isinstance(value, tuple) else value}" for name, value in by_hand.items()
    ]
    plain = REQUIRED.replace("--model m", "--donor-column d")
    CliRunner().invoke(app, shlex.split(f"init new {plain} --as-published {' '.join(words)}"))
    model = made[1].train.model
    assert Path(model).name == train.model
    assert made[1] == replace(made[0], train=replace(train, model=model))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            "--preset pershad2025",
            r"random split of cells mixes donors.*Type `--as-published` .*--split donors`",
        ),
        (
            "--preset pershad --as-published",
            r"`--preset` takes 'pershad2025'; it is 'pershad'. Did you mean 'p",
        ),
        ("--split cells", "in section `cells`"),
    ],
)
def test_a_split_that_mixes_donors_needs_a_word_and_a_preset_a_name(made, options, says):
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, shlex.split(f"init new {REQUIRED} {options}"))
    assert done.exit_code == 1
    assert re.search(says, " ".join(done.stderr.split()))
    assert not made


def test_what_is_not_typed_keeps_its_default(made):
    CliRunner().invoke(app, shlex.split(f"init new {REQUIRED}"), catch_exceptions=False)
    needed = {
        "cells": {"path": str(Path("c.h5ad").resolve()), "state_column": "s", "start": "a", "goal": "b"}
    }
    assert made == [CampaignConfig.from_dict(needed | {"train": {"model": str(Path("m").resolve())}})]


def test_one_seed_is_that_of_every_step_and_a_step_may_have_its_own(made):
    line = f"init new {REQUIRED} --seed 7 --perturb-seed 8"
    CliRunner().invoke(app, shlex.split(line), catch_exceptions=False)
    assert [made[0].train.seed, made[0].perturb.seed, made[0].evaluate.seed] == [7, 8, 7]


@pytest.mark.parametrize("option", RECORDED, ids=lambda option: option.name)
def test_what_is_typed_of_a_recorded_file_arrives(option):
    for section, field in option.places:
        given = {"perturbed": "p.h5ad", "target_column": "t", "control": "NT", "modality": "crispri"}
        if section == "screen":
            given = {"screen": "s.csv", "name": "one", "higher_is": "goal", "modality": "inhibitor"}
            given |= {"readout": "cytokine", "control": "NT"} if option.name in OF_WELLS else {}
        given |= COMPANIONS.get(option.name, {}) if section == "perturbed" else {}
        text = given.get(option.name, "drug") if option.name == "modality" else typed(option)
        value = option.kind is bool or read(option, text)
        if option.name == "label_source":
            given["label_table"], value = "table.csv", "screen"
        arrived = getattr(entry(given | {option.name: value}), field)
        assert arrived in (value, value[0] if option.name == "control" else value)  # one label is one label


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("record study --modality crispri", "Give one file: .* none came"),
        ("record study --perturbed a.h5ad --screen b.csv", "Give one file: .* both came"),
        (
            "record study --screen b.csv",
            "A screen is read from a file; there is none at .*b.csv`. Correct the path",
        ),
        (
            "record study --screen b.csv --control NT",
            "`control` belongs to a readout with one row a well.* leave `--control` out",
        ),
        (
            "record study --perturbed b.h5ad --modality knockdown --control NT",
            "'--target-column' did not come",
        ),
        (
            "record study --perturbed b.h5ad --modality knockdown --control NT --target-column t",
            r"`modality` must be among 'crispr_ko' \(a knockout\), 'crispri' \(a knockdown\), .*; it is 'knockdown'",
        ),
        (f"init study {REQUIRED} --kinds knockout", r"'delete' \(a knockout\), .*; it is 'knockout'"),
        (f"init study {REQUIRED} --train-seed x", "`seed` must be a whole number; it is 'x'"),
        (f"init study {REQUIRED} --epochs 1.5", "`epochs` must be a whole number; it is '1.5'"),
        (f"init study {REQUIRED} --width inf", "`width` must be a finite number; it is inf"),
        (f"init study {REQUIRED} --perturbed-share 0.9", "at most 0.5; it is 0.9. Lower it"),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(line, says):
    done = CliRunner().invoke(app, shlex.split(line), catch_exceptions=False)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    with pytest.raises(InputError, match=says):
        raise InputError(done.stderr)


def test_a_screen_is_called_like_its_file_where_it_has_no_name():
    common = {"modality": "crispri", "higher_is": "goal"}
    assert entry(common | {"screen": "/data/il2.csv.gz"}).name == "il2"
    assert entry(common | {"screen": "/data/il2.v2.txt"}).name == "il2.v2"
    assert entry(common | {"screen": "/data/il2.txt", "name": "IL-2"}).name == "IL-2"


def test_options_of_one_name_are_apart_or_together():
    sections = {"train": TrainConfig, "perturb": PerturbConfig}
    apart = {option.name: option for option in options(sections)}
    assert apart["train_batch_tokens"].default == 8192
    assert apart["perturb_batch_tokens"].default == 16384
    assert apart["batch_tokens"].places == (("train", "batch_tokens"), ("perturb", "batch_tokens"))
    together = options(sections, apart=False)
    assert [option.name for option in together].count("seed") == 1
    assert "train_seed" not in {option.name for option in together}
    assert nested(together, {"seed": 3, "epochs": None}) == {"train": {"seed": 3}, "perturb": {"seed": 3}}


def test_a_wrong_word_is_refused_by_the_name_that_was_typed():
    renamed = options({"design": DesignConfig}, names={"design.aim": "goal"})
    assert nested(renamed, {"goal": "both"}) == {"design": {"aim": "both"}}
    with pytest.raises(InputError, match=r"`goal` must be among 'find', 'learn', 'both'; it is 'best'"):
        nested(renamed, {"goal": "best"})


def test_help_says_of_each_option_what_its_field_says_and_where_a_file_is_taken():
    for option in CAMPAIGN:
        if len(option.places) == 1:
            section, field = option.places[0]
            assert option.meaning == field_docs(SECTIONS[section])[field]
            assert option.is_file == (field in file_fields(SECTIONS[section]))
    shown = CliRunner(env={"COLUMNS": "100", "TERM": "dumb"}).invoke(app, ["init", "--help"]).stdout
    for panel in ("Cells", "Training", "Edits", "Judging", "Batch"):
        assert f" {panel} ─" in shown
    required = [param.opts[0] for param in commands()["init"].params if param.required]
    assert required == ["folder", "--cells", "--state-column", "--start", "--goal"]
    assert next(option for option in CAMPAIGN if option.name == "start").default is MISSING
