# Everything runs from .venv in this checkout; `make setup` makes it, every other target asks for it.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint type bench docs clean

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/.ready  ## make .venv with tidemill and everything its tests need

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tidemill needs Python 3.11 or newer; found $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@echo "setting up .venv (once, about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(UV) --editable '.[dev]'
	@touch $@

demo: setup  ## five days of the recommender pipeline, with a bad one among them
	@$(BIN)/python examples/recommender/demo.py

test: setup  ## the whole test suite, with lint and types
	@$(BIN)/python -m pytest -n auto

lint: setup  ## ruff, import rules, size rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/python tests/house_rules.py

type: setup  ## mypy, strict
	@$(BIN)/mypy

bench: setup  ## what the README claims, measured
	@$(BIN)/python bench/overhead.py

docs: setup  ## test the documents: commands, links, names
	@$(BIN)/python -m pytest -n auto tests/docs

clean:  ## remove .venv and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
