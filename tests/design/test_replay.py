"""Replays on a toy screen whose hits sit in two modules: learners find them, controls and permuted screens do not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from perturbloop.design.ground import ground
from perturbloop.design.policies import AtRandom, CoverageAlone, Static, first, learners
from perturbloop.design.replay import Finished, means_of, play
from perturbloop.design.surrogate import Measured
from perturbloop.design.verdict import verdict
from perturbloop.errors import DesignError
from perturbloop.evidence.kernels import vector_kernel
from perturbloop.schema import REPLAY, REPLAY_MEANS

N, MODULES = 400, 20
IDS = np.array([f"gene{place:03}" for place in range(N)], dtype=object)
MODULE = np.arange(N) % MODULES
ROUNDS = {"rounds": 4, "batch": 20}


@pytest.fixture(scope="module")
def finished():
    """Genes of modules 0 and 1 act, one way each."""
    rng = np.random.default_rng(5)
    effect = rng.standard_normal(N) + 6.0 * (MODULE == 0) - 6.0 * (MODULE == 1)
    hit = np.abs(effect) > 3.5
    return Finished(IDS, effect, np.full(N, np.nan), hit, MODULE == 1, hit & (MODULE == 0))


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(6)
    kernel = vector_kernel("modules", IDS, np.eye(MODULES)[MODULE], power=1)
    prior = np.where(MODULE == 0, 1.0, 0.0) + 0.01 * rng.standard_normal(N)
    return ground(IDS, [kernel], {"noise": rng.standard_normal(N)}, prior_g=prior)


def played(finished, known, policy, repeats=4, seed=0):
    return pd.concat(
        play(finished, known, policy, **ROUNDS, seed=seed, repeat=repeat) for repeat in range(repeats)
    )


def last(table):
    return table.loc[table["round"].eq(table["round"].max()), "hit_ratio"].mean()


@pytest.mark.parametrize("name", ["ridge", "ridge:both", "ridge:thompson", "posterior", "posterior:upper"])
def test_learners_find_the_modules_that_act_and_permuted_feedback_does_not(finished, known, name):
    policy = learners([name], first="chance", most=0)[0]
    table = played(finished, known, policy)
    assert list(table.columns) == REPLAY.names
    assert table["n_measured"].tolist()[:4] == [20, 40, 60, 80]
    dealt = replace(policy, permuted=True)
    assert last(table) > 0.5 > last(played(finished, known, dealt)) + 0.1
    assert dealt.is_control
    assert not policy.is_control


def test_a_forest_learns_too(finished, known):
    (policy,) = learners(["forest"], first="chance", most=0)
    assert last(played(finished, known, policy, repeats=1)) > 0.5


def test_shares_are_those_of_a_hand_count(finished, known):
    table = play(finished, known, Static("prior", known.prior_g), **ROUNDS, seed=0, repeat=0)
    best = np.argsort(-known.prior_g)[:40]
    row = table.iloc[1]
    assert row["hits"] == finished.hit_g[best].sum()
    assert row["hit_ratio"] == finished.hit_g[best].sum() / finished.hit_g.sum()
    other = finished.hit_g & (MODULE != 1)
    assert row["hit_ratio_other"] == other[best].sum() / other.sum()
    assert row["strict_recall"] == finished.strict_g[best].sum() / finished.strict_g.sum()


def test_chance_finds_its_share_and_no_gene_is_measured_twice(finished, known):
    table = played(finished, known, AtRandom(), repeats=30)
    assert last(table) == pytest.approx(80 / N, abs=0.03)
    everything = play(finished, known, CoverageAlone(), rounds=4, batch=100, seed=0, repeat=0)
    assert everything["hit_ratio"].iloc[-1] == 1.0


def test_a_first_batch_is_half_prior_and_among_expressed_genes(known):
    kept = ground(IDS, known.kernels, {}, prior_g=known.prior_g, expressed_g=MODULE < 10)
    batch = first(kept, 10, np.random.default_rng(0), how="proposed", most=0)
    assert (MODULE[batch] == 0).sum() == 5 == len(set(MODULE[batch[5:]]))
    assert (MODULE[batch] < 10).all()
    alone = ground(IDS, [], {}, prior_g=known.prior_g)
    assert (MODULE[first(alone, 10, np.random.default_rng(0), how="proposed")] == 0).sum() >= 5
    assert (MODULE[first(kept, 200, np.random.default_rng(0), how="chance")] >= 10).any()


def test_the_same_repeat_starts_alike_for_every_learner(finished, known):
    starts = {
        name: play(finished, known, learners([name])[0], rounds=1, batch=20, seed=0, repeat=3)["hits"].iloc[0]
        for name in ("ridge", "posterior", "ridge:learn")
    }
    assert len(set(starts.values())) == 1


def test_verdicts_of_a_screen_with_signal_and_of_screens_without(finished, known):
    def said(screen, repeats, seed=0):
        learner = learners(["ridge"], first="chance", most=0)[0]
        policies = (learner, replace(learner, permuted=True), AtRandom())
        table = pd.concat(played(screen, known, one, repeats, seed) for one in policies)
        return verdict(table, n_genes=N, n_hits=int(screen.hit_g.sum()))

    assert said(finished, 8).call == "pays"
    rng = np.random.default_rng(9)
    calls = [said(finished.permuted(rng), 2, seed).call for seed in range(10)]
    assert calls.count("chance") >= 9


def test_a_prior_that_finds_as_much_has_the_verdict(finished, known):
    learner = learners(["ridge"], most=0)[0]
    table = pd.concat(
        played(finished, known, one, 2) for one in (learner, Static("prior", 10.0 * (MODULE < 2)), AtRandom())
    )
    found = verdict(table, n_genes=N, n_hits=int(finished.hit_g.sum()))
    assert found.call == "prior"
    assert found.sentence.startswith("The prior alone does it: `ridge` found")


def test_means_are_over_repeats(finished, known):
    table = played(finished, known, AtRandom(), repeats=3)
    means = means_of(table)
    assert list(means.columns) == REPLAY_MEANS.names
    end = table.loc[table["round"].eq(4), "hit_ratio"]
    assert means["hit_ratio"].iloc[-1] == pytest.approx(end.mean())
    assert means["sd"].iloc[-1] == pytest.approx(end.std())


def test_spread_is_robust_and_effects_are_clipped():
    measured = Measured(np.arange(5), np.array([-1.0, 0.0, 1.0, 2.0, 1000.0]), np.full(5, np.nan))
    assert measured.spread == pytest.approx(1.4826)
    assert measured.scaled_p.max() == 8.0


def test_what_cannot_be_replayed_is_refused(finished, known):
    with pytest.raises(DesignError, match=r"5 rounds of 100 of 400 genes came\. Correct `rounds`"):
        play(finished, known, AtRandom(), rounds=5, batch=100, seed=0, repeat=0)
    none = Finished(IDS, finished.effect_g, finished.se_g, np.zeros(N, bool), MODULE == 1, np.zeros(N, bool))
    with pytest.raises(DesignError, match="none of 400 genes is one"):
        play(none, known, AtRandom(), **ROUNDS, seed=0, repeat=0)
    with pytest.raises(DesignError, match=r"'rigde' came\. Did you mean 'ridge'"):
        learners(["rigde"])
    with pytest.raises(DesignError, match=r"'ridge:greed' came\. Did you mean 'greedy'"):
        learners(["ridge:greed"])
