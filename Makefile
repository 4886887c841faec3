# Serai. `make` alone says what there is to do.
PYTHON ?= python3
ARGS ?=
SEEDS ?= 1000
BIN := .venv/bin
# Wheels only: a machine without a C compiler is told so at once instead of failing half-way.
INSTALL := $(BIN)/pip install -qq --require-hashes --only-binary :all:
# The package itself: its files stay where they are, and nothing is fetched for it.
LINK := $(BIN)/pip install -qq --no-deps --no-build-isolation --editable .
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml requirements/run.in

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test simulate check fix bench prove lock clean

help: ## Say what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: .venv/.run ## Make .venv and install what a running shop needs (instant the second time)

setup-dev: .venv/.dev ## The same, and what tests and checks need

run: setup ## Start a demo shop on an embedded PostgreSQL (ARGS=--no-traffic: without buyers)
	@$(BIN)/serai run --demo $(ARGS)

test: setup-dev ## Run every test (ARGS="tests/unit -k money": some of them)
	@$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup-dev ## Lint, format, types and import contracts; changes nothing
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/lint-imports

fix: setup-dev ## Format, and mend what the linter can mend by itself
	@$(BIN)/ruff check --fix --exit-zero && $(BIN)/ruff format

simulate: setup-dev ## Run simulated histories (SEEDS=10000), or one with its trace (SEED=7, ARGS="--shrink")
	@$(BIN)/python -m tests.simulation.simulate $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(ARGS)

bench: setup ## Measure orders a second on this machine (ARGS="--hot --json")
	@$(BIN)/serai bench orders $(ARGS)

prove: setup ## Torture a shop of real processes for two minutes (ARGS="--seed 7 --report out")
	@$(BIN)/serai prove $(ARGS)

lock: setup-dev ## Compile requirements/*.txt from pyproject.toml (ARGS=--upgrade: newest versions)
	@$(COMPILE) $(ARGS) -o requirements/run.txt
	@$(COMPILE) $(ARGS) --extra dev requirements/dev.in -o requirements/dev.txt

clean: ## Remove .venv and what tools left behind; data in .serai stays
	@rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Serai needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	@echo "Making .venv ..."
	@$(PYTHON) -m venv .venv

.venv/.run: requirements/run.txt pyproject.toml | .venv/bin/pip
	@echo "Installing what a running shop needs ..."
	@$(INSTALL) -r requirements/run.txt
	@$(LINK)
	@touch $@

# forbiddenfruit, which BlockBuster needs, is published as source only: pure Python, no compiler.
.venv/.dev: requirements/dev.txt requirements/run.txt pyproject.toml | .venv/bin/pip
	@echo "Installing what tests and checks need ..."
	@$(INSTALL) --no-binary forbiddenfruit -r requirements/dev.txt
	@$(LINK)
	@touch .venv/.run $@
