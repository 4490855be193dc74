# Every target works from a fresh clone and makes what it needs.

PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: help demo test coverage test-all lint types bench figures clean
.DELETE_ON_ERROR:

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1	/' | expand -t 16

demo: $(VENV)/.installed-network ## Install, train on the drawings in data/, evaluate, predict a folder
	@mkdir -p $(DEMO)
	@sh scripts/demo.sh $(BIN)/catclf $(DEMO)

test: $(VENV)/.installed-dev lint types ## Install, lint, check types, run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not alone"
	$(BIN)/python -m pytest -m alone

coverage: $(VENV)/.installed-dev ## Run all tests and say which lines they do not reach (half as long again)
	$(BIN)/python -m pytest --cov --cov-report=term

test-all: ## Run `make test` under every supported Python that is installed
	@for python in $(PYTHONS); do \
		if $$python -c '' 2> /dev/null; then \
			$(MAKE) test PYTHON=$$python VENV=.venv-$$python || exit 1; \
		else \
			echo "$$python is not installed: passed over"; \
		fi; \
	done

lint: $(VENV)/.installed-dev ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## Check types
	$(BIN)/mypy

bench: $(VENV)/.installed-dev ## Measure training, prediction, packing and Dask against their peers (long)
	$(BIN)/python scripts/bench_training.py
	$(BIN)/python scripts/bench_predict.py
	$(BIN)/python scripts/bench_pack.py
	$(BIN)/python scripts/bench_dask.py
	$(BIN)/python scripts/bench_penalty.py
	$(BIN)/python scripts/bench_features.py

figures: $(VENV)/.installed-dev ## Make every figure of README and docs anew, from CATCLF_REAL_DATA (an hour)
	sh scripts/figures.sh $(BIN)/python "$${CATCLF_REAL_DATA:-../shared/data}"

clean: ## Remove everything that make made
	rm -rf .venv .venv-* $(DEMO) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .coverage

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "catclf needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-network: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --editable '.[network]' || \
		echo "The libraries for network features cannot be installed; the demo goes on without them."
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@
