"""The arms of a round: which stand beside each other, and what each may see."""

from dataclasses import replace

import pytest

from perturbloop.loop.arms import closed_arms, model_key, open_arms
from perturbloop.loop.campaign import init
from perturbloop.schema import METHODS, TrainConfig, method

FOLDS = {"A": -1, "B": -1, "C": 0, "D": 0, "E": 1}


def arms(*levels):
    return closed_arms(FOLDS, ("delete",), levels)


def test_every_arm_is_a_method_of_the_scoreboard():
    known = {entry.name for entry in METHODS}
    assert {arm.method for arm in [*open_arms(("delete",)), *arms("lora", "full")]} <= known


def test_the_frozen_level_is_always_there_and_the_others_where_they_are_asked_for():
    def levels(found):
        return {arm.record.level for arm in found}

    assert levels(arms("full")) == {"frozen", "full"}
    assert levels(arms("lora")) == {"frozen", "lora"}
    assert levels(arms("frozen")) == {"frozen"}
    assert levels(arms("lora", "full")) == {"frozen", "lora", "full"}


def test_no_arm_sees_the_targets_of_its_fold_and_only_closed_ones_see_any():
    for arm in arms("lora", "full"):
        assert not arm.training & arm.held_out
        assert arm.held_out == {gene for gene, fold in FOLDS.items() if fold == arm.fold >= 0}
        assert bool(arm.training) == (arm.record.variant in ("closed", "shuffled"))


def test_every_fold_has_the_same_methods_and_controls_rank_no_genome():
    found = arms("lora", "full")
    by_fold = [{arm.method for arm in found if arm.fold == fold} for fold in (0, 1)]
    assert by_fold[0] == by_fold[1]
    ranked = {arm.record.variant for arm in found if arm.fold == -1}
    assert ranked == {"open", "closed"}


def test_where_one_fold_has_no_cells_to_train_on_the_closed_loop_is_left_out_of_all():
    fold_of = {"C": 0, "D": 0, "E": 1}
    found = closed_arms(fold_of, ("delete",), ("full",), with_cells=frozenset("C"))
    assert {arm.record.variant for arm in found} == {"open", "unperturbed"}  # C may not train what judges C
    found = closed_arms(fold_of, ("delete",), ("full",), with_cells=frozenset("CE"))
    by_fold = [{arm.record.variant for arm in found if arm.fold == fold} for fold in (0, 1)]
    assert by_fold[0] == by_fold[1] == {"open", "closed", "shuffled", "unperturbed"}


def test_an_option_of_one_level_leaves_the_models_of_the_others_fresh(made, tmp_path):
    inputs = init(tmp_path / "campaign", made.config())

    def keys(**options):
        train = replace(inputs.config.train, **options)
        changed = replace(inputs, config=replace(inputs.config, train=train))
        found = [*open_arms(("delete",)), *arms("lora", "full")]
        return {arm.method: model_key(arm, changed, "") for arm in found if arm.fold <= 0}

    before = keys()

    def moved(**options):
        after = keys(**options)
        return {method(name).level for name in before if after[name] != before[name]}

    assert moved(levels=("lora",)) == set()
    assert moved(learning_rate=1e-5) == {"full"}
    assert moved(lora_rank=2) == moved(lora_learning_rate=1e-5) == {"lora"}
    assert moved(epochs=9) == moved(consistency=1.0) == {"lora", "full"}
    assert moved(accumulate=2) == moved(keep_epoch="best") == moved(warm_up_steps=0) == {"lora", "full"}
    assert moved(perturbed_share=0.1) == {"frozen", "lora", "full"}
    assert keys(perturbed_share=0.1)["frozen"] == before["frozen"]
    assert keys(consistency=1.0)["full-open"] == before["full-open"]


@pytest.mark.parametrize("levels", [(), ("half",)])
def test_levels_that_do_not_exist_are_refused(levels):
    with pytest.raises(ValueError, match=r"`levels` must .*'frozen', 'lora', 'full'"):
        TrainConfig(levels=levels)
