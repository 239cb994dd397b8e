"""`python -m perturbloop`: the commands, where no script is on the path."""

from perturbloop.cli import app

app()
