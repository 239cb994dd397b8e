"""What import-linter cannot see: what is loaded when perturbloop is imported."""

import subprocess
import sys


def loaded_by(statement):
    """Names of the modules that a statement loads in a fresh interpreter."""
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_importing_perturbloop_loads_no_torch():
    assert not {"torch", "transformers"} & loaded_by("import perturbloop")


def test_the_command_line_answers_without_what_takes_long_to_load():
    slow = {"torch", "transformers", "pandas", "scipy", "pydantic", "anndata", "rich"}
    assert not slow & loaded_by("from perturbloop.cli import app")
