"""perturbloop: close the loop between in-silico and real perturbations of single cells."""

from importlib.metadata import version

__version__ = version("perturbloop")
