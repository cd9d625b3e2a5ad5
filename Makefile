# Needs nothing but Python 3.11 or later and make; the browser tests need Chromium as well (see CONTRIBUTING.md).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Sample data unless the environment names a server: TINYTASK_ENDPOINT=http://host:3000 make demo
TINYTASK_ENDPOINT ?= demo
export TINYTASK_ENDPOINT

# JupyterLab refuses to run as root, as in a container, unless it is told that this is meant.
ROOT_TOO := $(if $(filter 0,$(shell id -u)),--allow-root)

# Tests wait for other processes a third of their time, so one more pytest than processors; a module that starts a
# browser stays with one of them (tests/conftest.py).
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min((os.cpu_count() or 1) + 1, 8))')
PYTEST := $(BIN)/python -m pytest -n $(WORKERS)

BROWSER := calypso_nb/view/browser
STANDIN := tests/standin
NPM_CI := npm ci --no-audit --no-fund --loglevel=error --prefix

# The tests' TinyTask compiles SQLite, with the headers of this Node.js if they are there and fetched ones otherwise.
NODE_HOME = $(shell node -p 'path.resolve(process.execPath, "../..")')
HEADERS = $(if $(wildcard $(NODE_HOME)/include/node/node.h),npm_config_nodedir=$(NODE_HOME))

.PHONY: help demo lab wall quick test check bench bundle node clean

help:
	@echo "make demo    run two notebooks and write build/workload.html and build/flow.html"
	@echo "make lab     the same notebook, live in JupyterLab"
	@echo "make wall    the dashboard alone, for a screen on the wall: Voila at http://localhost:8866"
	@echo "make quick   the tests for every save: no browser, no other programs"
	@echo "make test    all tests, those in a browser included"
	@echo "make bench   how fast it is, against what it stands on"
	@echo "make bundle  the browser's script from calypso_nb/view/browser (needs Node 20 or later)"
	@echo "make node    what the tests in Node.js need: the bundler, and a TinyTask that is not ours (needs g++)"
	@echo "make check   lint, formatting, types, rooms, notebooks without outputs"

demo: $(VENV)/lab
	$(BIN)/calypso-nb export notebooks/workload.ipynb --output build/workload.html
	$(BIN)/calypso-nb export notebooks/flow.ipynb --output build/flow.html

lab: $(VENV)/lab
	$(BIN)/jupyter lab $(ROOT_TOO) notebooks/workload.ipynb

wall: $(VENV)/wall
	$(BIN)/voila notebooks/wall.ipynb --show_tracebacks=True

quick: $(VENV)/test
	$(PYTEST) -q -m "not browser and not node and not slow"

test: $(VENV)/test
	$(PYTEST)

check: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_project.py -k notebook
	@if [ -d $(BROWSER)/node_modules ]; then npm --prefix $(BROWSER) run --silent lint; \
	else echo "JavaScript not linted: run make node"; fi

bench: $(VENV)/test
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench_page

node:
	$(NPM_CI) $(BROWSER)
	$(HEADERS) JOBS=max $(NPM_CI) $(STANDIN)

bundle:
	cd calypso_nb/view/browser && npm ci && npm run lint && npm run build

clean:
	rm -rf $(VENV) build

$(VENV)/lab: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "calypso_nb needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lab]'
	@touch $@

$(VENV)/wall: $(VENV)/lab
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lab,wall]'
	@touch $@

$(VENV)/test: $(VENV)/lab
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lab,test]'
	@touch $@
