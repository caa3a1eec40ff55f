# Everything from a fresh clone: Python 3.10 or newer and make are all that has to be there.
# What the targets need goes to .venv, and hatch keeps environments of its own; `make clean` removes both.

PYTHON ?= python3
INPUT ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
HATCH := $(BIN)/hatch
PACKAGES := packages/core $(sort $(filter-out packages/core, $(patsubst %/pyproject.toml, %, $(wildcard packages/*/pyproject.toml))))
# The packages are installed in place: only these files tell an installation something new.
PINNED := $(wildcard packages/*/pyproject.toml packages/*/src/*/_version.py)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint types format generate bench figures ci clean

help: ## list the targets
	@echo "usage: make TARGET [PYTHON=python3.13]"
	@echo
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'

demo: $(VENV)/packages-installed ## count the words of a text with a UDF in another process: INPUT=path
	@$(BIN)/python -m examples.demo $(if $(INPUT),"$(INPUT)") $(ARGS)

test: $(VENV)/hatch-installed ## run the tests: ARGS="-k name"
	@$(HATCH) run test $(ARGS)

lint: $(VENV)/hatch-installed ## check style and format
	@$(HATCH) run lint

types: $(VENV)/hatch-installed ## check types
	@$(HATCH) run types

format: $(VENV)/hatch-installed ## put style and format right
	@$(HATCH) run format

generate: $(VENV)/hatch-installed ## generate the code for proto/ anew
	@$(HATCH) run generate $(ARGS)

bench: ## compare servers under load: ARGS="map --rounds 3"
	@benchmarks/run.sh $(ARGS)

figures: ## measure the figures of the docs, and put them in
	@benchmarks/run.sh figures $(ARGS)

ci: ## all checks, on every Python that is found
	@.ci/run

clean: ## remove environments, caches and builds
	@if [ -x $(HATCH) ]; then $(HATCH) env prune; fi
	rm -rf $(VENV) .demo .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist packages/*/dist
	find packages examples tests benchmarks proto -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "make: Python 3.10 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); try make PYTHON=python3.13"; \
		exit 1; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { \
		echo "make: $(PYTHON) -m venv failed; on Debian and Ubuntu it takes the package python3-venv"; \
		rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/packages-installed: $(VENV)/created $(PINNED)
	@echo "installing $(PACKAGES)"
	@$(PIP) $(foreach package, $(PACKAGES), --editable '$(package)$(if $(filter packages/core, $(package)),[uvloop])')
	@touch $@

$(VENV)/hatch-installed: $(VENV)/created
	@echo "installing hatch"
	@$(PIP) 'hatch>=1.18'
	@touch $@
