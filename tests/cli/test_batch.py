"""A batch leaves the campaign as a file for the bench."""

import pandas as pd
import pytest

from perturbloop.cli.batch import NO_GUIDES, batch_lines, require_writable, write_batch
from perturbloop.errors import DesignError


@pytest.fixture
def batch():
    return pd.DataFrame(
        {
            "policy": ["greedy", "chance"],
            "place": [1, 1],
            "gene_id": ["ENSG1", "ENSG2"],
            "gene_name": ["SEPT1", "=CD3E"],
            "action": ["inhibit", "activate"],
            "benefit": [0.25, -0.1],
            "reason": ["best", "drawn"],
            "flags": ["ambient,either-way", ""],
        }
    )


def test_a_batch_is_written_as_its_ending_says_and_names_stay_as_they_are(tmp_path, batch):
    write_batch(batch, tmp_path / "batch.csv")
    assert pd.read_csv(tmp_path / "batch.csv", keep_default_na=False).equals(batch)
    write_batch(batch, tmp_path / "batch.XLSX")
    assert (tmp_path / "batch.XLSX").read_bytes().startswith(b"PK")
    assert {path.name for path in tmp_path.iterdir()} == {"batch.csv", "batch.XLSX"}


def test_another_ending_is_refused_before_any_work(tmp_path):
    with pytest.raises(DesignError, match=r"\.csv or \.xlsx file; `.*batch.txt` is neither"):
        require_writable(tmp_path / "batch.txt")
    require_writable(tmp_path / "batch.CSV")
    require_writable(None)


def test_a_line_names_gene_action_and_reason_and_the_next_its_cautions(batch):
    first, caution, second, left_out = batch_lines(batch)
    assert first == "greedy     1  inhibit  SEPT1        +0.250  best"
    assert caution.strip() == "caution: ambient, either-way"
    assert second.endswith("drawn")
    assert left_out == NO_GUIDES
    assert len(batch_lines(batch.assign(flags=None))) == 3  # a round of an older version
