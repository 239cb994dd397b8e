# `make demo` shows the loop, `make test` proves it. Needs Python >= 3.11 and make; everything else goes to .venv.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# Known-good versions; everything newest: `make test PYTHON=python3.13 CONSTRAINTS=/dev/null`, in a fresh clone.
CONSTRAINTS := constraints.txt
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint $(CONSTRAINTS)

# Processes that share the tests, at most 8; every one of them takes some 2 GB. In one: `make test WORKERS=0`.
WORKERS := logical

# The first of these that is new enough; or name one: `make PYTHON=/path/to/python …`.
PYTHONS := $(or $(PYTHON),python3 python3.11 python3.12 python3.13 python3.14 python)
NEW_ENOUGH := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

.PHONY: help setup demo test coverage types lint format docs clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## the environment, once; again when pyproject.toml or constraints.txt change

$(READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) with $$($(BIN)/python --version): some minutes, once."
	@$(INSTALL) --upgrade pip
	@$(INSTALL) --build-constraint $(CONSTRAINTS) --editable . --group dev
	@touch $@

$(BIN)/python:
	@for python in $(PYTHONS); do \
	    if "$$python" -c "$(NEW_ENOUGH)" >/dev/null 2>&1; then exec "$$python" -m venv $(VENV); fi; \
	done; \
	echo "perturbloop needs Python 3.11 or newer with its venv module; of these none is: $(PYTHONS)." >&2; \
	echo "Install one (Debian and Ubuntu: with python3-venv), or name it: make PYTHON=/path/to/python" >&2; \
	exit 1

demo: $(READY)  ## the whole loop on embedded simulated cells, in minutes
	@$(BIN)/perturbloop demo

test: $(READY)  ## lint, layers, types and docs, then tests and docstring examples in random order
	@$(MAKE) --no-print-directory --jobs 2 types lint docs
	@$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal $(REPORT)

coverage: REPORT := --cov --cov-report=term:skip-covered
coverage: test  ## the same with coverage, which doubles the time

types: $(READY)  ## mypy
	@$(BIN)/mypy

lint: $(READY)  ## ruff and the layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

format: $(READY)  ## put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY)  ## docs/_build/index.html; warnings are errors
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --jobs auto docs docs/_build

clean:  ## remove the environment and everything built
	@rm -rf $(VENV) docs/_build docs/jupyter_execute docs/reference/generated .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
