# The words a newcomer types. Each one sets up what it needs; nothing is installed by hand before.
.DEFAULT_GOAL := help
.PHONY: help up demo test check bench docs clean lock

PYTHON ?= python3
PORT ?= 8000
SANDBOX_PORT ?= 8100
VENV := .venv
BIN := $(VENV)/bin

help:  ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# A stamp file marks a finished set-up: it is newer than all that the set-up was made from.
$(VENV)/.run: requirements/runtime.txt requirements/build.txt pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh $(VENV) run
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/test.txt
	@PYTHON="$(PYTHON)" sh tools/setup.sh $(VENV) dev
	@touch $@

up: $(VENV)/.run  ## Run Segue here with the demo workspace and the five sandboxes; PORT=, SANDBOX_PORT=
	@exec $(BIN)/segue up --demo --data .segue --port $(PORT) --sandbox-port $(SANDBOX_PORT)

demo: $(VENV)/.dev  ## Send real traffic through a Segment SDK and show what each vendor now holds
	@exec $(BIN)/python examples/demo.py

test: $(VENV)/.dev  ## Set up and run the tests
	@$(BIN)/pytest -n 2 --dist loadgroup

check: $(VENV)/.dev  ## Lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.dev  ## Measure speed and size beside their limits
	@$(BIN)/python -m bench

docs: $(VENV)/.dev  ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

clean:  ## Remove what the other words made, but not the events in .segue/
	@rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis .pytest_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --universal --no-emit-index-url --no-emit-find-links --no-annotate --python-version 3.11 --custom-compile-command "make lock"

lock: $(VENV)/.dev  ## Make the lock files again from the ranges
	@$(LOCK) requirements/build.in -o requirements/build.txt
	@$(LOCK) pyproject.toml -o requirements/runtime.txt
	@$(LOCK) requirements/test.in -o requirements/test.txt
