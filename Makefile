# The verbs of this project; continuous integration calls the same ones.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
# Where `make run` and `python -m stack` keep their data.
STACK_DIR ?= .local$(if $(EXAMPLE),/$(EXAMPLE))$(if $(filter polling,$(CAPTURE)),/polling)$(if $(filter avro,$(FORMAT)),/avro)
# A folder in examples/ whose tables, view and load `make run` takes in place of the built-in ones, such as shop.
EXAMPLE ?=
# How `make run` brings rows into the topics: debezium, or polling.
CAPTURE ?= debezium
# What `make run` has the connector write: json, or avro with a schema registry.
FORMAT ?= json
# Changes a second that `make run` keeps going; 0 leaves the tables alone.
LOAD ?= 0
# Readers that share the users, each a part of them, behind HAProxy; 1 is one reader that holds them all.
SHARDS ?= 1
# Another program that `make bench-joiner` measures in turn: see `python -m bench joiner throughput --help`.
PEER ?=
# More arguments for pytest, such as `make test ARGS="-k dead_letter"`; "-n 0 …" runs everything in one process.
ARGS ?=
# Tests mostly wait for servers: three workers keep two cores busy.
TEST_WORKERS ?= 3

PY := .venv/bin/python
INSTALLED := .venv/.installed
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "This project needs Python 3.11 or newer; name one with PYTHON=python3.12"; exit 1; }

.PHONY: help install test-programs run test test-alerts lint format bench bench-joiner bench-reader chaos lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## install the locked packages into .venv

$(INSTALLED): requirements/uv.lock requirements/dev.lock pyproject.toml
	@$(CHECK_PYTHON)
	@test -x $(PY) || $(PYTHON) -m venv .venv \
		|| { echo "Could not make .venv; on Debian install the package python3-venv"; exit 1; }
	@echo "Installing the locked packages into .venv"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@.venv/bin/uv pip sync --quiet --require-hashes --python $(PY) requirements/dev.lock
	@.venv/bin/uv pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

test-programs: ## install the programs that the tests start, such as Chromium and Prometheus
	@test -x $(PY) || $(CHECK_PYTHON)
	@$(if $(wildcard $(PY)),$(PY),$(PYTHON)) tests/support/system_programs.py

run: install ## start everything, write 10,000 users, answer; Ctrl-C stops it all
	@STACK_DIR=$(STACK_DIR) STACK_EXAMPLE=$(EXAMPLE) STACK_CAPTURE=$(CAPTURE) STACK_FORMAT=$(FORMAT) \
		exec $(PY) -m stack run --load $(LOAD) --shards $(SHARDS)

# Whether alerts reach people depends on clocks and takes eight minutes: those tests have a verb of their own.
# Programs come first, so that a machine that lacks them says so at once.
test: test-programs install ## run all tests on real servers, except those of test-alerts
	$(PY) -m pytest -n $(TEST_WORKERS) --ignore=tests/alerts/test_sending.py $(ARGS)

test-alerts: test-programs install ## test alerts from the fault to the webhook, on real servers; takes 8 minutes
	ALERTS_QUIET_SECONDS=300 $(PY) -m pytest tests/alerts $(ARGS)

lint: install ## check style, formatting and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: install ## fix style and formatting
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: install ## measure reads, throughput and freshness, briefly
	$(PY) -m bench reader --users 20000 --seconds 5 --rounds 1 --closed-seconds 3 --records 200000
	$(PY) -m bench joiner throughput --rows 100000 --processes 1
	$(PY) -m bench joiner freshness --rows 100000 --seconds 20

bench-joiner: install ## measure the joiner: throughput (next to PEER, if given), freshness, restart
	$(PY) -m bench joiner throughput $(if $(PEER),--rounds 3 --peer '$(PEER)')
	$(PY) -m bench joiner freshness
	$(PY) -m bench joiner restart

bench-reader: install ## measure the reader next to its peers: capacity, latency, replay, starts
	$(PY) -m bench reader $(ARGS)

chaos: install ## inject 100 random faults into two joiners under load; compare every user after each
	$(PY) -m bench chaos $(ARGS)

COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" pyproject.toml

lock: install ## resolve the lock files again from pyproject.toml
	$(COMPILE) --all-extras --group dev -o requirements/dev.lock
	$(COMPILE) --extra doctor -c requirements/dev.lock -o requirements/doctor.lock
	$(COMPILE) --extra joiner -c requirements/dev.lock -o requirements/joiner.lock
	$(COMPILE) --extra poller -c requirements/dev.lock -o requirements/poller.lock
	$(COMPILE) --extra reader -c requirements/dev.lock -o requirements/reader.lock
	echo uv | .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -c requirements/dev.lock - -o requirements/uv.lock
	echo hatchling | .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -c requirements/dev.lock - -o requirements/build.lock

clean: ## remove .venv and caches; keep the data in STACK_DIR
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
