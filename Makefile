# Everything runs from .venv in this checkout; `make setup` makes it, every other target asks for it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# The first Python that is new enough; say `make PYTHON=...` for another one.
# ARGS are handed to the demo, as in `make demo ARGS="--days 7"`; SEEDS and MINUTES say how long to look.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	  $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
ARGS ?=
SEEDS ?= 10000
MINUTES ?= 30
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt

# Compiled modules are kept: without, each of the thousands of processes of the tests compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint type bench simulate chaos goldens features docs clean

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/.ready  ## make .venv with tidemill and everything its tests need
	@:

# Safe to interrupt: the mark is written last, and a .venv that cannot run pip is made anew.
.venv/.ready: pyproject.toml constraints.txt
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  python='$(PYTHON)'; \
	  if ! "$${python:-none}" -c '$(NEW_ENOUGH)' 2>/dev/null; then \
	    echo "tidemill needs Python 3.11 or newer and found $$($${python:-python3} --version 2>&1 || true)." \
	         "Install one, or name it: make PYTHON=python3.12" >&2; exit 1; fi; \
	  if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$python cannot make virtual environments: it has no ensurepip." \
	         "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; fi; \
	  echo "setting up .venv with $$("$$python" --version) (once, about a minute) ..."; \
	  "$$python" -m venv --clear .venv; fi
	@$(BIN)/uv --version >/dev/null 2>&1 || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(UV) --editable '.[dev]'
	@touch $@

demo: setup  ## five days of the recommender pipeline, with a bad one among them
	@$(BIN)/python examples/recommender/demo.py $(ARGS)

test: setup  ## the whole test suite, with lint and types
	@$(BIN)/python -m pytest -n auto

lint: setup  ## ruff, import rules, size rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/python tests/house_rules.py

type: setup  ## mypy, strict; each example on its own, as its users see it
	@$(BIN)/mypy
	@for example in examples/*/; do \
	  ls $$example*.py >/dev/null 2>&1 || continue; \
	  (cd $$example && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml .) || exit 1; \
	done

bench: setup  ## what the README claims, measured
	@$(BIN)/python bench/overhead.py
	@$(BIN)/python bench/metadata.py
	@$(BIN)/python bench/filters.py
	@$(BIN)/python bench/writers.py --seconds 3
	@$(BIN)/python bench/history.py --executions 50000 --repeats 20
	@$(BIN)/python bench/engine.py
	@$(BIN)/python bench/data.py --rows 1000000
	@$(BIN)/python bench/kubeflow.py

simulate: setup  ## SEEDS stories of the local runner with everything going wrong in them
	@$(BIN)/python -m tidemill.testing.simulation --seeds $(SEEDS)

chaos: setup  ## MINUTES of runs on one store, whose processes are killed at random
	@$(BIN)/python bench/chaos.py --minutes $(MINUTES)

goldens: setup  ## write the golden IRs and lineages anew; look at the difference before you commit it
	@$(BIN)/python -m pytest -n auto --update-goldens tests/golden tests/conformance/test_runner_local.py

features: setup  ## write the table of what runs on which engine, docs/engines.md
	@$(BIN)/python -m tidemill.testing.feature_list

docs: setup  ## test the documents: commands, links, names
	@$(BIN)/python -m pytest -n auto tests/docs

clean:  ## remove .venv and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
