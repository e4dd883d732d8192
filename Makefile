# Verbs of this project; continuous integration calls the same ones.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
# Where `make run` and `python -m stack` keep their data.
STACK_DIR ?= .local
# Changes a second that `make run` keeps going; 0 leaves the tables alone.
LOAD ?= 0
# Another program for `make bench-joiner` to run in turn: see `python -m bench joiner throughput --help`.
PEER ?=
# Extra arguments for pytest, such as `make test ARGS="-k dead_letter"`; "-n 0 …" runs all in one process.
ARGS ?=
# Tests wait for servers more than they work, so that three of them keep two cores busy.
TEST_WORKERS ?= 3

PY := .venv/bin/python
INSTALLED := .venv/.installed

.PHONY: help install run test test-alerts lint format bench bench-joiner bench-reader chaos lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## prepare .venv from the lock file

$(INSTALLED): requirements/uv.lock requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "This project needs Python 3.11 or newer; name one with PYTHON=python3.12"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv .venv \
		|| { echo "Could not make .venv; on Debian install the package python3-venv"; exit 1; }
	@echo "Installing the locked packages into .venv"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@.venv/bin/uv pip sync --quiet --require-hashes --python $(PY) requirements/dev.lock
	@.venv/bin/uv pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

run: install ## start everything, seed 10,000 users, answer; Ctrl-C stops it all
	@STACK_DIR=$(STACK_DIR) exec $(PY) -m stack run --load $(LOAD)

# What is sent to humans depends on clocks, and takes eight minutes: it has a verb of its own.
test: install ## run every test, on real servers; but see test-alerts
	$(PY) -m pytest -n $(TEST_WORKERS) --ignore=tests/alerts/test_sending.py $(ARGS)

test-alerts: install ## from faults to a webhook, by a real Prometheus and Alertmanager; watches silence for 5 minutes
	ALERTS_QUIET_SECONDS=300 $(PY) -m pytest tests/alerts $(ARGS)

lint: install ## check style, formatting and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: install ## rewrite the code in the house's format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: install ## measure everything in a short form: reads, throughput, freshness
	$(PY) -m bench reader --users 20000 --seconds 5 --rounds 1 --closed-seconds 3 --records 200000
	$(PY) -m bench joiner throughput --rows 100000 --processes 1
	$(PY) -m bench joiner freshness --rows 100000 --seconds 20

bench-joiner: install ## measure the joiner: throughput (beside PEER if given), freshness, restart
	$(PY) -m bench joiner throughput $(if $(PEER),--rounds 3 --peer '$(PEER)')
	$(PY) -m bench joiner freshness
	$(PY) -m bench joiner restart

bench-reader: install ## measure the reader beside its peers: capacity, latency, replay, starts
	$(PY) -m bench reader $(ARGS)

chaos: install ## 100 random faults on two joiners under load, every user compared after each
	$(PY) -m bench chaos $(ARGS)

COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" pyproject.toml

lock: install ## resolve the lock files anew from pyproject.toml
	$(COMPILE) --all-extras --group dev -o requirements/dev.lock
	$(COMPILE) --extra joiner -c requirements/dev.lock -o requirements/joiner.lock
	$(COMPILE) --extra reader -c requirements/dev.lock -o requirements/reader.lock
	echo uv | .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -c requirements/dev.lock - -o requirements/uv.lock
	echo hatchling | .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -c requirements/dev.lock - -o requirements/build.lock

clean: ## remove .venv and caches; the data in STACK_DIR stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
