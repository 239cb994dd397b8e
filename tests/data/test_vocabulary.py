"""Published dictionaries: what is read, and what is refused before anything is built from it."""

import pickle

import numpy as np
import pytest

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError

GENES = [f"ENSG{number:011d}" for number in range(30)]
TABLES = {
    "token_dictionary.pkl": {"<pad>": 0, "<mask>": 1}
    | {gene: np.int16(n + 2) for n, gene in enumerate(GENES)},
    "gene_median_dictionary.pkl": dict.fromkeys(GENES, 1.5),
    "gene_name_id_dict.pkl": {f"GENE{n}": gene for n, gene in enumerate(GENES)},
}


@pytest.fixture
def folder(tmp_path):
    for name, table in TABLES.items():
        (tmp_path / name).write_bytes(pickle.dumps(table))
    return tmp_path


def test_sound_dictionaries_are_read(folder):
    words = Vocabulary.published(folder)
    assert (words.size, words.gene_names[3], words.medians[3]) == (32, "GENE3", 1.5)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (
            "token_dictionary.pkl",
            {GENES[0]: "2"},
            r"to whole numbers below 10,000,000; 1 of its 32 entries are none: .*ENSG00000000000",
        ),
        ("token_dictionary.pkl", {GENES[0]: True}, "1 of its 32 entries are none"),
        ("token_dictionary.pkl", {GENES[0]: -3}, "below 10,000,000; 1 of its 32 .*-3"),
        ("token_dictionary.pkl", {GENES[0]: 10**9}, "below 10,000,000; 1 of its 32 .*1000000000"),
        ("token_dictionary.pkl", {GENES[0]: 3}, "token ids named twice: '3'"),
        ("gene_median_dictionary.pkl", {GENES[0]: 0.0}, "medians that are not positive"),
        ("gene_median_dictionary.pkl", {GENES[0]: float("inf")}, "infinite medians"),
        ("gene_median_dictionary.pkl", {GENES[0]: None}, "to numbers; 1 of its 30"),
        ("gene_name_id_dict.pkl", {"GENE0": 7}, "to texts; 1 of its 30"),
    ],
)
def test_values_that_no_dictionary_holds_are_refused_with_their_genes(folder, name, change, says):
    (folder / name).write_bytes(pickle.dumps(TABLES[name] | change))
    with pytest.raises(InputError, match=says):
        Vocabulary.published(folder)


@pytest.mark.parametrize("name", TABLES)
def test_damaged_dictionaries_never_end_in_a_traceback(folder, damaged, odd, name):
    raw, refused = (folder / name).read_bytes(), 0
    copies = [*damaged(raw, 300), *(pickle.dumps(tree) for tree in odd(TABLES[name], 300))]
    for copy in copies:
        (folder / name).write_bytes(copy)
        try:
            assert Vocabulary.published(folder).size < 10**7
        except InputError:
            refused += 1
    assert refused > 200


def test_a_pickle_that_asks_for_more_than_numbers_is_refused(folder):
    (folder / "token_dictionary.pkl").write_bytes(pickle.dumps({"a": np.zeros(3)}))
    with pytest.raises(InputError, match=r"asks for `numpy.*`, which such a file does not need"):
        Vocabulary.published(folder)
