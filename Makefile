# Everything here needs Python 3.11 or later and make, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: help setup demo up test faults check compile bench lock clean

help:  ## What can be done here
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /	/' | expand -t 10

setup: $(INSTALLED)  ## Install everything into .venv

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; say which with make PYTHON=…")'
	@echo "Making a virtual environment in .venv"
	@$(PYTHON) -m venv .venv
	@echo "Installing the locked packages, some 500 MB: this takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## Replay a year of real shopping baskets, and report what they came to
	@$(BIN)/pointstream replay

up: setup  ## Bring up the stack and all workers
	@$(BIN)/pointstream up

# Half of what a test does is to wait for servers. Each worker takes some 300 MB, and up to 40 of PostgreSQL's connections.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(2 * os.cpu_count(), 8))')
test: setup check  ## Check the code, and run all tests, WORKERS at a time, on a stack of their own
	@echo "Running the tests, $(WORKERS) at a time"
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

ROUNDS ?= 200
SEED ?=
faults: setup  ## Kill, freeze and cut off everything, ROUNDS times from SEED on, and check after each time
	@$(BIN)/python -m tests.fault.run --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

check: setup  ## Format, lint, types and the order of the layers
	@echo "Checking format, lint, types and layers"
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

compile: setup  ## Compile the core to C, and say what to put into PYTHONPATH; takes half a minute and a C compiler
	@$(BIN)/python -m deploy.core

bench: setup  ## Measure throughput, latency, cost and reads on this machine, compiled; takes some twenty minutes
	@PYTHONPATH="$$($(BIN)/python -m deploy.core)" $(BIN)/pointstream bench

lock: setup  ## Lock the newest versions of all packages, with hashes and without any host
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-header pyproject.toml -o requirements.lock

clean:  ## Stop the stack, and remove its data and everything that was installed
	@if [ -x $(BIN)/pointstream ]; then $(BIN)/pointstream stack down --wipe; fi
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
