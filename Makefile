# Two commands do everything on a fresh machine:
#   make demo   set up, predict a molecule with the bundled model, compare with DFT
#   make test   set up, run all checks and tests
# For daily work, `make test-fast` runs the tests that take less than 0.2 s each.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Stamps: reinstall only when what is installed has changed.
PLOT := $(VENV)/.plot
DEVELOP := $(VENV)/.develop
DOCS := $(VENV)/.docs

.PHONY: demo test test-all test-fast check bench torture docs release-check matrix clean

demo: $(PLOT)
	$(BIN)/deepdft demo

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# With the tests that take long: all in a browser, all pages and notebooks of the documentation.
test-all: check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --thorough

test-fast: $(DEVELOP)
	$(BIN)/python -m pytest -n 2 --fast

check: $(DEVELOP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/lint-imports --config paper/pyproject.toml

docs: $(DOCS)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -b html docs docs/_build/html

# Before a release: builds the distributions, looks into them, uses them in an empty environment.
release-check: $(DEVELOP)
	$(BIN)/python recipes/release/check.py

# Every Python that is there, with the lowest and the newest versions of what deepdft depends on.
matrix: $(DEVELOP)
	$(BIN)/python recipes/release/matrix.py

# Kills commands and lets the system refuse them, at random moments; TORTURE_MINUTES=60 for longer.
TORTURE_MINUTES ?= 5
torture: $(DEVELOP)
	$(BIN)/python -m torture --minutes $(TORTURE_MINUTES)
	$(BIN)/python -m torture.leaks

bench: $(DEVELOP)
	$(BIN)/python benchmarks/run.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# One call of pip each: every one of them builds the package anew.
$(PLOT): $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --no-compile --editable '.[plot]'
	touch $@

# The paper's package comes along: its tests are among ours, and `deepdft reproduce` is there.
$(DEVELOP): $(BIN)/python pyproject.toml constraints.txt paper/pyproject.toml
	$(INSTALL) --editable '.[develop]' --editable paper
	touch $@

$(DOCS): $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo docs/_build .pytest_cache .mypy_cache .ruff_cache
