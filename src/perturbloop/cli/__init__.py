"""The command line: parse, call, print. Every command takes `--json`; a refusal is printed without a traceback."""

from perturbloop.cli.app import app

__all__ = ["app"]
