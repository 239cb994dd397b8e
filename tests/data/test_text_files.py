"""Text files are read up to a stated size, whatever they are packed as."""

import gzip

import pytest

from perturbloop.data import text_files
from perturbloop.data.gene_sets import read_gene_list
from perturbloop.data.genes import NO_NAMES
from perturbloop.data.text_tables import read_table
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError
from perturbloop.perturb.asked import read_perturbations

WORDS = Vocabulary.of_genes(["ENSG00000115415"], ["STAT1"], [1.0], max_length=8)
READERS = {
    "screen.csv.gz": read_table,
    "genes.txt": lambda path: read_gene_list(path, names=NO_NAMES),
    "asked.txt": lambda path: read_perturbations(path, WORDS),
}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", READERS)
def test_what_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch, name, packed):
    monkeypatch.setattr(text_files, "MOST_BYTES", 1000)
    text = b"gene,score\nENSG00000115415,1\n" * 100
    (tmp_path / name).write_bytes(gzip.compress(text) if packed else text)
    says = "at most 1,000 bytes" + (" once it is unpacked" if packed else "; it holds more")
    with pytest.raises(InputError, match=says):
        READERS[name](tmp_path / name)


def test_plain_and_gzipped_files_hold_the_same(tmp_path):
    for name, write in {"plain": bytes, "packed.txt": gzip.compress}.items():
        (tmp_path / name).write_bytes(write(b"CD3E\n"))
        assert text_files.read_bytes(tmp_path / name) == b"CD3E\n"


def test_a_missing_or_cut_off_file_is_refused(tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"CD3E\n" * 100)[:20])
    with pytest.raises(InputError, match=r"cut.gz` must be a table, plain or gzipped; it cannot be read"):
        text_files.read_bytes(tmp_path / "cut.gz", what="a table")
    with pytest.raises(InputError, match=r"needed at `.*none.gz`, a table; there is none. Correct the path."):
        text_files.read_bytes(tmp_path / "none.gz", what="a table")
