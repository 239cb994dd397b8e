"""Sphinx configuration; the reference pages are made from the package itself before each build."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import _generate

project = "perturbloop"
author = "The perturbloop developers"
copyright = "2026, The perturbloop developers"
version = release = version_of("perturbloop")
html_title = f"perturbloop {version}"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "jupyter_execute"]
default_role = "code"
html_theme = "furo"
html_theme_options = {
    "source_repository": "https://github.com/perturbloop/perturbloop",
    "source_branch": "main",
    "source_directory": "docs/",
}

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_output_stderr = "remove"  # how far it is, which says nothing afterwards

napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
nitpicky = False

suppress_warnings = ["bibtex.duplicate_citation", "ref.python"]  # the second: one name in several classes

_generate.write(Path(__file__).parent / "reference" / "generated")
