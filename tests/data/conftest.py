"""A small table of a screen, and how it is read."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from perturbloop.data import cells, encoding, stored_counts, survey
from perturbloop.data.containers import spilled, stored, tenx
from perturbloop.data.screens import read_screen
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.schema import ScreenConfig

N_GENES = 40


@pytest.fixture
def words():
    """Forty genes GENE0 …, the last with the older symbol OLD39."""
    ids = [f"ENSG{place:011d}" for place in range(N_GENES)]
    made = Vocabulary.of_genes(
        ids, [f"GENE{place}" for place in range(N_GENES)], [1.0] * N_GENES, max_length=64
    )
    return replace(made, aliases=made.aliases | {"OLD39": ids[39]})


@pytest.fixture
def frame(rng):
    """A plain table: gene, signed score, p-value and FDR."""
    pvalue = rng.uniform(0.001, 1, N_GENES)
    return pd.DataFrame(
        {
            "Gene": [f"GENE{place}" for place in range(N_GENES)],
            "Score": rng.normal(size=N_GENES),
            "pvalue": pvalue,
            "FDR": np.minimum(1, pvalue * 5),
        }
    )


@pytest.fixture
def read(tmp_path, words):
    """Write a table, or text, and read it as a CRISPRi screen whose high scores stand for the goal."""

    def read(content, *, name="screen.csv", left_out=(), **options):
        path = tmp_path / name
        if isinstance(content, str | bytes):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        else:
            content.to_csv(path, index=False, sep="\t" if ".t" in name else ",")
        known = {"path": str(path), "name": "test", "modality": "crispri", "higher_is": "goal"}
        return read_screen(ScreenConfig(**(known | options)), names=words.names, left_out=left_out)

    return read


@pytest.fixture
def seven_at_once(monkeypatch):
    """As if a file of sixty cells were too large for the memory: seven cells of 30 genes are read at once, others of a part."""
    monkeypatch.setattr(survey, "MOST_HELD", 0)
    monkeypatch.setattr(cells, "MOST_HELD", 0)
    monkeypatch.setattr(cells, "_AT_ONCE", 100)
    monkeypatch.setattr(stored_counts, "_AT_ONCE", 7 * 30)
    monkeypatch.setattr(encoding, "_AT_ONCE", 50)
    monkeypatch.setattr(stored, "_AT_ONCE", 11)
    for module in (stored, tenx):
        monkeypatch.setattr(module, "MOST_TURNED", 0)
    monkeypatch.setattr(spilled, "_OF_PART", 200)
    monkeypatch.setattr(tenx, "_LINES", 13)
