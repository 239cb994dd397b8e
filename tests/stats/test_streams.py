import numpy as np
from scipy.stats import spearmanr

from perturbloop.stats.streams import stream


def test_a_stream_is_pinned_so_that_a_campaign_can_be_repeated():
    assert stream(0, "cells of a gene", 3).integers(1000, size=4).tolist() == [857, 279, 21, 425]


def test_seed_every_part_of_the_name_and_its_type_make_another_stream():
    names = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 1), (0, "a", "1"), (0, "a1"), (0, 1, "a"), (0,)]
    drawn = [stream(*name).random(3).tolist() for name in names]
    assert len({tuple(numbers) for numbers in drawn}) == len(names)


def test_no_name_meets_a_bare_number():
    named = {tuple(stream(0, "a", number).random(2)) for number in range(50)}
    bare = {tuple(np.random.default_rng([0, number]).random(2)) for number in range(50)}
    assert not named & bare


def test_neighboring_streams_are_unrelated():
    first, second = (stream(0, "cell", cell).random(5000) for cell in (1, 2))
    assert abs(spearmanr(first, second).statistic) < 0.05
