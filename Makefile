# Everything runs in .venv, which `setup` makes from the hashed lock files.
#
# A system's own Python before the first on PATH, where it is new enough and can make a .venv: those
# of distributions are built with profiles of their use, and are a fifth to a quarter faster.
PYTHON ?= $(shell /usr/bin/python3 -c \
	'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)
BIN := .venv/bin
MADE_FROM = .venv/.$(1)-$(shell cat pyproject.toml $(2) 2>/dev/null | cksum | cut -d' ' -f1)
RUN := $(call MADE_FROM,run,requirements.lock)
DEV := $(call MADE_FROM,dev,requirements-dev.lock)
CLOUD := var/deploy/venv/.made-$(shell cat deploy/requirements.lock 2>/dev/null | cksum | cut -d' ' -f1)
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install --no-compile

# The tests start hundreds of processes: what these import is compiled once, also where the
# environment asks Python to leave no bytecode beside the sources.
PYTEST := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/.venv/bytecode $(BIN)/python -m pytest -q

.DEFAULT_GOAL := help
.PHONY: help setup run test check screenshots contract interop walkthroughs deploy-check simulate \
	long faults soak soak-model bench bench-quick lock

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

setup: $(DEV) ## make .venv with all locked dependencies

$(RUN): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(PIP) --require-hashes --requirement requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(RUN) requirements-dev.lock
	$(PIP) --require-hashes --requirement requirements-dev.lock
	@touch $@

run: $(RUN) ## serve the demo on 127.0.0.1:8583, until Ctrl-C
	@exec $(BIN)/switch run

test: $(DEV) ## the test suite, but for what takes long (make faults has that too)
	$(PYTEST) -n 4 --dist loadfile --no-loadscope-reorder -m "not long"

check: $(DEV) ## style, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

screenshots: $(DEV) ## pictures of the page under some load, into var/screenshots
	$(BIN)/python -m tests.operate.page

contract: $(DEV) ## every HSM backend asked everything it can do; prints the matrix
	$(BIN)/python -m tests.contract

interop: $(DEV) ## other people's implementations of the protocol against a running switch
	$(PYTHON) -m venv var/interop/venv
	var/interop/venv/bin/python -m pip --quiet --disable-pip-version-check install --no-deps \
		--require-hashes --requirement tests/interop/requirements.lock
	cp tests/interop/package.json tests/interop/package-lock.json var/interop/
	npm ci --prefix var/interop --silent --ignore-scripts
	$(BIN)/python -m pytest -q -rs tests/interop

walkthroughs: $(DEV) ## what README and docs/operating.md say is typed, in a fresh clone (needs curl)
	$(BIN)/python -m tests.walkthroughs

$(CLOUD): deploy/requirements.lock
	$(PYTHON) -m venv --clear var/deploy/venv
	var/deploy/venv/bin/python -m pip --quiet --disable-pip-version-check install \
		--require-hashes --requirement deploy/requirements.lock
	@touch $@

deploy-check: $(DEV) $(CLOUD) ## what is in deploy/, without AWS, Kubernetes or a network (needs Node.js)
	@var/deploy/venv/bin/python -m deploy.check

simulate: $(DEV) ## a scheme's hour in a minute, while the database and the switch stop and die
	$(PYTEST) tests/operate/simulate/test_simulation.py

soak: $(DEV) ## 70 % of what the switch can do: memory flat, all answered, books right: MINUTES=30
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),30)

soak-model: $(DEV) ## messages in any order against the model and the audit: MINUTES=5
	$(BIN)/python -m tests.life.soak --minutes $(or $(MINUTES),5)

bench: $(DEV) ## everything that is measured, into var/bench: two hours
	$(BIN)/python -m benchmarks.whole

SWITCHES ?= 2
bench-quick: $(DEV) ## SWITCHES=2 processes, pgbench and the textbook in a minute, on an empty database
	$(BIN)/python -m benchmarks.bench --switches $(SWITCHES)

long: $(DEV) ## the tests that take long, and are not in `make test`
	$(PYTEST) -m long

faults: $(DEV) ## all tests that kill, stop, starve and flood real processes, also the long ones
	$(PYTEST) tests/faults

lock: ## write the lock files anew from pyproject.toml (needs pip-tools)
	pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-options \
		--extra embedded --extra build -o requirements.lock pyproject.toml
	pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-options \
		--extra embedded --extra build --extra pkcs11 --extra dev -o requirements-dev.lock pyproject.toml
	pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-options \
		-o deploy/requirements.lock deploy/requirements.in
