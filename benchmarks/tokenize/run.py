"""Encoding cells, ours and the published tokenizer's: the same file of counts to tokens on the disk, one core each, by turns.

    python benchmarks/tokenize/run.py CHECKOUT --reference-python PYTHON [--cells 10000] [--times 3]

CHECKOUT is a Geneformer repository of the generation of 30M cells (its `geneformer/` holds tokenizer and dictionaries), PYTHON an
interpreter with its dependencies (anndata < 0.11, datasets, loompy). The cells are random: about 1,000 genes of the vocabulary each. The
tokens must be equal but for the order of exact ties, which the published one leaves open. Seconds are user + system of the process.
"""

OURS = """
import sys
from pathlib import Path
from perturbloop.data import survey
from perturbloop.data.cells import read_cells
from perturbloop.data.token_files import tokens_of
from perturbloop.data.vocabulary import Vocabulary
survey.MOST_HELD = 0  # to the disk, as of a large file
words = Vocabulary.load(Path(sys.argv[1]) / "geneformer")
cells, _ = read_cells(sys.argv[2], names=words.names)
tokens_of(cells, words, folder=Path(sys.argv[3]), keeps=True)
"""
THEIRS = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("tokenizer", Path(sys.argv[1]) / "geneformer" / "tokenizer.py")
tokenizer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tokenizer)
made = tokenizer.TranscriptomeTokenizer({}, nproc=1)
made.tokenize_data(Path(sys.argv[2]).parent, sys.argv[3], "cells", file_format="h5ad")
"""
