"""Sphinx configuration; the reference pages are made from the package itself before each build."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import _generate

project = "perturbloop"
author = "The perturbloop developers"
copyright = "2026, The perturbloop developers"
html_title = "perturbloop"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build"]
default_role = "code"
html_theme = "furo"

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
nitpicky = False

suppress_warnings = ["bibtex.duplicate_citation"]

_generate.write(Path(__file__).parent / "reference" / "generated")
