# Everything runs in .venv, which `setup` makes from the hashed lock files.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.made-from-$(shell cat pyproject.toml requirements-dev.lock 2>/dev/null | cksum | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help setup run test check faults bench bench-quick lock

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with the locked dependencies

$(STAMP): pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: $(STAMP) ## serve the demo on 127.0.0.1:8583, until Ctrl-C
	@exec $(BIN)/switch run

test: $(STAMP) ## the whole test suite
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

check: $(STAMP) ## style, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## throughput and latency against pgbench making the same decision
	$(BIN)/python -m benchmarks.bench

bench-quick: $(STAMP) ## the same in half a minute
	$(BIN)/python -m benchmarks.bench --seconds 5

faults: $(STAMP) ## only the tests that kill, stop and starve real processes
	$(BIN)/python -m pytest -q tests/faults

lock: ## write the lock files anew from pyproject.toml (needs pip-tools)
	pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--extra embedded -o requirements.lock pyproject.toml
	pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--extra embedded --extra dev -o requirements-dev.lock pyproject.toml
