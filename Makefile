# Congvan. Each target sets up what it needs: a venv in .venv, Debian packages that are missing.
#
#   make demo               the main job on the embedded default (ARGS=--once to end after the table)
#   make test               lint, then every test
#   make crash              10,000 documents under 200 faults, then the audit (ARGS="--documents N --faults M --seed S --json")
#   make kills              a kill at every commit, sync and rename of every way, one by one
#   make lint               format, rules, types, import contracts
#   make bench              the benchmark (ARGS="--row NAME"; --list shows the rows)
#   make bench-quick        the same, each row in a short form
#   make lock               pin what pyproject.toml asks for in requirements/ (UPGRADE=--upgrade for newer versions)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
APT := DEBIAN_FRONTEND=noninteractive apt-get
# What tests run from Debian: second opinions, witnesses, and the real database, broker, proxy and virus scanner.
DEBIAN_PACKAGES := xmlsec1 strace faketime postgresql rabbitmq-server haproxy docker-compose systemd clamav-daemon
ARGS ?=
UPGRADE ?=

.PHONY: demo test crash kills lint format bench bench-quick lock wheel clean
.DELETE_ON_ERROR:

demo: $(VENV)/.program
	$(BIN)/congvan demo $(ARGS)

# Three at a time on two cores: a test of programs waits for them as long as it works. Hundreds of programs are started: they
# find their modules compiled, whatever the shell says.
test: export PYTHONDONTWRITEBYTECODE :=
test: lint $(VENV)/.debian
	$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

crash: $(VENV)/.development $(VENV)/.debian
	$(BIN)/python -m tests.crash $(ARGS)

kills: $(VENV)/.development $(VENV)/.debian
	$(BIN)/python -m pytest -n 2 tests/programs/test_kills.py --every-kill $(ARGS)

lint: $(VENV)/.development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.development
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.development $(VENV)/.debian
	$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(VENV)/.development $(VENV)/.debian
	$(BIN)/python -m benchmarks --quick $(ARGS)

wheel: $(VENV)/.development
	$(BIN)/python -m build --no-isolation --wheel

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
  --no-emit-index-url --no-emit-find-links
lock: $(VENV)/bin/python
	$(PIP) install uv
	$(COMPILE) $(UPGRADE) pyproject.toml --group dev --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --constraint requirements/dev.txt --output-file requirements/runtime.txt
	echo hatchling | $(COMPILE) - --constraint requirements/dev.txt --output-file requirements/build.txt

# A bare Debian has python3 without venv.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Congvan needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); $(APT) update && $(APT) install --yes python3-venv && $(PYTHON) -m venv $(VENV); }

$(VENV)/.program: $(VENV)/bin/python requirements/build.txt requirements/runtime.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.development: $(VENV)/.program requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	touch $@

# RUNLEVEL=1: the services among the packages are not started; tests start their own.
$(VENV)/.debian: $(VENV)/bin/python Makefile
	dpkg-query --show --showformat '$${Status}\n' $(DEBIAN_PACKAGES) 2>&1 | grep -qv 'ok installed' && missing=1; \
	[ -z "$$missing" ] || { $(APT) update && RUNLEVEL=1 $(APT) install --yes $(DEBIAN_PACKAGES); }
	touch $@

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
