# make demo   trains the default set of autoencoders on scikit-learn's digits and writes a report
# make test   lints, checks types and runs all tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

# Real data for tests and benchmarks, where it lies beside the checkout.
ifneq ($(wildcard ../shared/data/.),)
export ISTHMUS_DATA ?= $(abspath ../shared/data)
endif

# Studies that print the figures of docs/; each is a script in benchmarks/.
STUDIES := speed defaults generation outliers sequences tables modalities transformer kills sparse

.PHONY: demo test lint bench $(STUDIES) clean

demo: $(VENV)/.installed
	$(BIN)/isthmus compare digits --out runs/demo

test: lint
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

$(STUDIES): $(VENV)/.installed
	$(BIN)/python benchmarks/$@.py

bench: speed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs
