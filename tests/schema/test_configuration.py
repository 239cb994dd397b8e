"""What the options of a campaign may be, and that what is accepted can be written down and read back."""

from dataclasses import fields

import pytest

from perturbloop.errors import InputError, PerturbloopError, StoreError
from perturbloop.loop.folder import create_campaign
from perturbloop.schema import (
    SECTIONS,
    CampaignConfig,
    DesignConfig,
    EvaluateConfig,
    PerturbConfig,
    TrainConfig,
    file_fields,
)
from perturbloop.store.campaign_file import CONFIG_FILE, read_config, with_full_paths, write_config
from perturbloop.train.pretrain_config import PretrainConfig

TREE = {
    "cells": {
        "path": "/data/cells.h5ad",
        "state_column": "state",
        "start": "ill",
        "goal": "well",
        "donor_column": "donor",
        "min_cells": 20,
    },
    "train": {"model": "/data/model", "levels": ["full"], "learning_rate": 2e-4, "seed": 1},
    "perturb": {"kinds": ["delete"], "width": 0.5, "dose": 1},
    "evaluate": {"fdr": 0.05, "positive_controls": ["CD3E:inhibit"], "bootstrap": 20},
    "perturbed": [
        {
            "path": "/data/perturbed.h5ad",
            "target_column": "gene",
            "control": "NT",
            "modality": "crispri",
            "drop_escaped": True,
        }
    ],
    "screen": [
        {"path": "/data/screen.csv", "name": "one", "modality": "crispri", "higher_is": "goal", "fdr": 0.1}
    ],
}


def written(config, folder):
    """The options as they are read back."""
    write_config(folder, config)
    return read_config(folder)


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (TrainConfig, {"seed": "x"}, "`seed` must be a whole number; it is 'x'"),
        (TrainConfig, {"seed": -1}, "`seed` must be between 0 and 4,294,967,295; it is -1. Raise"),
        (TrainConfig, {"epochs": 1.5}, "`epochs` must be a whole number; it is 1.5"),
        (TrainConfig, {"epochs": True}, "`epochs` must be a whole number; it is True"),
        (TrainConfig, {"model": 5}, "`model` must be a text; it is 5"),
        (TrainConfig, {"learning_rate": float("nan")}, "`learning_rate` must be a finite number"),
        (EvaluateConfig, {"bootstrap": 20.5}, "`bootstrap` must be a whole number"),
        (
            EvaluateConfig,
            {"positive_controls": "CD3E"},
            "`positive_controls` must be a list of texts; it is 'CD3E'",
        ),
        (EvaluateConfig, {"gene_sets": "a\0b"}, "`gene_sets` must be a text"),
        (PerturbConfig, {"width": float("inf")}, "`width` must be a finite number; it is inf"),
        (PerturbConfig, {"dose": 10**400}, "`dose` must be a finite number"),
        (PerturbConfig, {"seed": 2**32}, "`seed` must be between .* Lower"),
        (PerturbConfig, {"kinds": ("delete", 3)}, "`kinds` must be among 'delete' .*; it is 3"),
        (PerturbConfig, {"kinds": ("knockout",)}, r"'delete' \(a knockout\).*; it is 'knockout'"),
        (PerturbConfig, {"kinds": ()}, "`kinds` must name one or more of 'delete'"),
        (TrainConfig, {"perturbed_share": 0.6}, "must be above 0 and at most 0.5; it is 0.6. Lower it"),
        (EvaluateConfig, {"fdr": 1}, "`fdr` must be above 0 and below 1; it is 1. Lower it"),
        (DesignConfig, {"budget": 0}, "`budget` must be between 1 and"),
        (PretrainConfig, {"layers": 10**6}, "`layers` must be between 1 and 256"),
        (PretrainConfig, {"minutes": float("inf")}, "`minutes` must be a finite number"),
        (PretrainConfig, {"seed": -1}, "`seed` must be between"),
    ],
)
def test_a_value_of_another_type_or_range_is_refused_by_name(kind, options, says):
    with pytest.raises(InputError, match=says):
        kind(**options)


@pytest.mark.parametrize("kind", [TrainConfig, EvaluateConfig, PerturbConfig])
def test_every_option_refuses_what_is_neither_text_nor_number(kind):
    for field in fields(kind):
        with pytest.raises(InputError, match=f"`{field.name}` must be"):
            kind(**{field.name: {"a": 1}})


@pytest.mark.parametrize(
    "name", ["ill\x7f", "\x1b]0;title\x07", 'quo"te', "new\nline", "a\\b", "état", "\u0085"]
)
def test_odd_names_can_be_read_back(tmp_path, name):
    config = CampaignConfig.from_dict(TREE | {"cells": TREE["cells"] | {"start": name}})
    assert written(config, tmp_path).cells.start == name


def test_what_is_accepted_can_be_read_back_and_nothing_ends_in_a_traceback(tmp_path, odd):
    accepted = 0
    for tree in odd(TREE, 400):
        try:
            config = CampaignConfig.from_dict(tree) if isinstance(tree, dict) else None
        except PerturbloopError:
            continue
        if config is not None:
            assert written(config, tmp_path) == with_full_paths(config)
            accepted += 1
    assert 20 < accepted < 200


def test_a_section_that_holds_a_wrong_value_is_named():
    with pytest.raises(InputError, match="`seed`") as refusal:
        CampaignConfig.from_dict(TREE | {"perturb": {"seed": "x"}})
    assert refusal.value.__notes__ == ["in section `perturb`"]
    with pytest.raises(InputError, match=r"`perturb` must be a section of options; it is 7"):
        CampaignConfig.from_dict(TREE | {"perturb": 7})
    with pytest.raises(InputError, match=r"Each `screen` must stand in a section `\[\[screen\]\]`"):
        CampaignConfig.from_dict(TREE | {"screen": {"path": "x"}})


def test_a_damaged_file_of_options_never_ends_in_a_traceback(tmp_path, damaged):
    config = CampaignConfig.from_dict(TREE)
    create_campaign(tmp_path / "study", config)
    path, refused = tmp_path / "study" / CONFIG_FILE, 0
    for raw in damaged(path.read_bytes(), 300):
        path.write_bytes(raw)
        try:
            read_config(tmp_path / "study")
        except PerturbloopError:
            refused += 1
    for text in (f"a = {'9' * 5000}", f"a = {'[' * 3000}"):
        path.write_text(text)
        with pytest.raises(StoreError, match="must be a TOML file"):
            read_config(tmp_path / "study")
    assert refused > 100


def test_the_budget_of_older_campaigns_is_both_k_of_the_metrics_and_size_of_the_batch():
    old = CampaignConfig.from_dict(TREE | {"evaluate": {"budget": 7, "fdr": 0.1}})
    assert (old.evaluate.k, old.design.budget, old.evaluate.fdr) == (7, 7, 0.1)
    mixed = CampaignConfig.from_dict(TREE | {"evaluate": {"budget": 7}, "design": {"budget": 32}})
    assert (mixed.evaluate.k, mixed.design.budget) == (7, 32)
    with pytest.raises(InputError, match="`evaluate` has the options"):
        CampaignConfig.from_dict(TREE | {"evaluate": {"badget": 7}})


def test_the_options_that_name_a_file_are_marked():
    named = {name: file_fields(kind) for name, kind in SECTIONS.items()}
    assert named == {
        "cells": ("path",),
        "train": ("model", "vocabulary"),
        "perturb": (),
        "evaluate": ("gene_sets", "essential_genes"),
        "design": ("library", "exclude"),
        "knowledge": (),
        "perturbed": ("path", "guides", "targets", "label_table"),
        "screen": ("path", "hits", "targets", "viability"),
    }
