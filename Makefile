# The two commands most people need: `make reconcile` every night, `make test` after a change.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

export DO_NOT_TRACK := 1

.PHONY: help setup reconcile counts report fix demo simulate selftest status test duckdb-2 sweep superset lint docs bench clean

help: ## List what can be run
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Build .venv from the pinned, hashed requirements

# uv where it is there, pip otherwise. Bytecode is compiled here because neither uv nor PYTHONDONTWRITEBYTECODE
# leaves any, and without it importing dlt and dbt takes two to three times as long.
$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tallystick needs Python 3.11 or newer; name one with make PYTHON=python3.12"; exit 2; }
	@echo "Setting up .venv (once)"
	@$(PYTHON) -m venv .venv
	@if command -v uv >/dev/null; then \
		uv pip install -q -p $(BIN)/python --require-hashes -r requirements.txt && uv pip install -q -p $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
		$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt && \
		$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@$(BIN)/python -m compileall -q -j 0 .venv/lib pipelines >/dev/null || true
	@touch $@

reconcile: setup ## Pull both sides, prove completeness, compare, publish, print the list
	@$(BIN)/tallystick reconcile

counts: setup ## Only the two numbers of each pair
	@$(BIN)/tallystick counts

report: setup ## Write state/report.html again from what is published
	@$(BIN)/tallystick report

fix: setup ## Print what the last run planned to write; make fix APPLY=1 writes it
	@$(BIN)/tallystick fix $(if $(filter 1,$(APPLY)),--apply)

demo: setup ## Play the sample's two nights into a state of their own
	@$(BIN)/tallystick demo

simulate: setup ## Play thirty nights of a world whose sync loses events, and hold the list against its truth
	@$(BIN)/tallystick simulate

selftest: setup ## Play four nights of the sample and check that this installation still tells the truth
	@$(BIN)/tallystick selftest

status: setup ## When the last trusted run was; fails when it is stale
	@$(BIN)/tallystick status

# One worker more than cores: a test often waits for a command that waits for a disk or a receiver.
test: setup lint ## Everything that must hold
	@$(BIN)/python -m pytest -n $$((1 + $$(getconf _NPROCESSORS_ONLN))) --dist loadfile --no-loadscope-reorder

duckdb-2: setup ## The sample's tests on DuckDB 2, so that a newer pin is no surprise
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --target .venv/duckdb-2 --upgrade duckdb==2.0.0
	@PYTHONPATH=.venv/duckdb-2 $(BIN)/python -m pytest tests/python/test_commands.py tests/python/test_nights.py

sweep: setup ## The long sweeps: every kill point, the big oracle
	@$(BIN)/python -m pytest -m sweep

superset: setup .venv/superset/.ready ## Run the Superset recipe of docs/bi.md end to end
	@$(BIN)/python -m pytest -m superset

.venv/superset/.ready: docs/bi/requirements-superset.txt
	@echo "Setting up Superset (once, 1 GB)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

lint: setup ## ruff for Python, sqlfluff for SQL
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/sqlfluff lint --processes 0 --disable-progress-bar -q models analyses tests/dbt

# In a folder of its own, so that no run waits for it. dbt's page asks for icons before it knows their names, and shows no contract's types.
docs: setup ## What each table and column is and what it is made of: target/docs.html
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && mkdir "$$work/next" && \
	TALLYSTICK_STATE="$$work" DBT_LOG_PATH="$$work" DBT_PROFILES_DIR=. \
		$(BIN)/dbt --quiet docs generate --static --empty-catalog --target-path "$$work/target" && mkdir -p target && \
	sed -e 's/<link [^>]*href="$${require[^>]*>//' -e 's/<use xlink:href="{{/<use ng-attr-xlink:href="{{/g' \
		-e 's/{{ column.type }}/{{ column.type || column.data_type }}/g' \
		"$$work/target/static_index.html" >target/docs.html && echo "open target/docs.html"

bench: setup ## Measure against hand-written DuckDB (records benchmarks/results.md)
	@$(BIN)/python benchmarks/run.py

clean: ## Remove what can be made again; state/ stays
	@rm -rf target logs .pytest_cache .ruff_cache .hypothesis build *.egg-info
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
