# Two commands matter: `make run` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup run test check format bench soak screens lock

PORT ?= 8000
SCALE ?= 1
ONLY ?=
JSON ?=
T ?=
ARGS ?=
FULL ?=
COVERAGE ?= 1
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal $(if $(FULL),--full)
export PYTHONDONTWRITEBYTECODE :=  # the programs that tests start need not compile the house, each again

help: ## list the commands
	@sed -nE 's/^([a-z]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name does; do \
	    printf 'make %-7s %s\n' "$$name" "$$does"; done

setup: ## make the environment in .venv and node_modules, with the tools for tests and checks
	@tools/setup dev
	@echo "==> The environment is ready"

run: ## make what is missing and serve on http://127.0.0.1:8000 (PORT changes it)
	@tools/run $(PORT)

test: ## every test, both databases, the browser (T=tests/... one file or folder, tests/js too, FULL=1 full figures, COVERAGE= no figure)
	@tools/setup dev
	@tools/system
ifeq ($(T),)
	@echo "==> Tests of Python, of both databases and of the pages"
	@$(PYTEST) $(if $(COVERAGE),-p tests.rigs.line_coverage) $(ARGS)
	@echo "==> Tests of JavaScript"
	@tools/javascript_tests tests/js
else ifneq ($(filter %.js tests/js tests/js/,$(T)),)
	@tools/javascript_tests $(T)
else
	@$(PYTEST) $(T) $(ARGS)
endif

check: ## format, lint, types, import directions
	@tools/setup dev
	@echo "==> Format"; $(BIN)/ruff format --check --quiet .
	@echo "==> Lint"; $(BIN)/ruff check --quiet .
	@echo "==> Types"; $(BIN)/mypy
	@echo "==> Import directions"; $(BIN)/lint-imports --no-logo; $(BIN)/python tools/directions.py
	@echo "==> Types of JavaScript"; tools/node node_modules/typescript/bin/tsc -p jsconfig.json

format: ## put Python into the house format and mend what lint can mend
	@tools/setup dev
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

bench: ## measure speed beside bare baselines (ONLY=checkout one part, SCALE=0.1 million sales, JSON=file)
	@tools/setup dev
	@tools/system
	@$(BIN)/python -m bench --scale $(SCALE) $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON)) $(ARGS)

soak: ## the tests with the full figures of the promises (hours)
	@$(MAKE) --no-print-directory test FULL=1

screens: ## take the pictures of README anew, from the demo city
	@tools/setup dev
	@tools/system
	@PYTHONPATH=. $(BIN)/python tools/screenshots.py

lock: ## lock requirements/*.in and package.json again (needs the network)
	@tools/lock
	@tools/node npm install --package-lock-only --ignore-scripts
