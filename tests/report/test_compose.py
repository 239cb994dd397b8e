"""What the report says of how little a scoreboard can show."""

import pytest

from perturbloop.report.compose import _power_lines
from perturbloop.report.facts import Judged, RoundFacts
from perturbloop.schema import CampaignConfig, CellsConfig, TrainConfig


@pytest.mark.parametrize(
    ("n_hits", "cautioned"), [(0, False), (1, True), (4, True), (9, True), (10, False), (200, False)]
)
def test_fewer_than_ten_hits_are_said_to_show_no_method_better_than_another(n_hits, cautioned):
    judged = Judged(modality="crispri", n_genes=400, n_hits=n_hits, sentence="What so many can show.")
    names = ("created", "version", "source", "data_digest", "model_digest", "vocabulary_digest", "vocabulary")
    facts = RoundFacts(
        config=CampaignConfig(
            CellsConfig(path="cells.h5ad", state_column="s", start="a", goal="b"), TrainConfig(model="m")
        ),
        **dict.fromkeys(names, ""),
        design="single",
        n_start=1,
        n_goal=1,
        judged=(judged,),
    )
    told, *caution = _power_lines(facts)
    assert told == "crispri: What so many can show."
    assert len(caution) == cautioned
    assert all(f"With {n_hits} positive" in line for line in caution)
    assert all("cannot show that one method beats another" in line for line in caution)
