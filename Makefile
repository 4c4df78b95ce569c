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
STUDIES := speed defaults generation outliers sequences steps tables modalities transformer kills sparse people scale start peers quality penalties growth ranks many streams
STRANGERS := strangers filling photographs machine

# Threads that wait sleep, and do not spin, whichever library comes first; two workers of the tests take a core each.
export OMP_WAIT_POLICY ?= PASSIVE
test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1

.PHONY: demo test lint bench $(STUDIES) strangers clean

demo: $(VENV)/.installed
	$(BIN)/isthmus compare digits --out runs/demo

test: lint
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/python tools/docstrings.py

$(STUDIES): $(VENV)/.installed
	$(BIN)/python benchmarks/$@.py

# Data, habits and machines that nobody here had chosen, beside what they were before.
strangers: $(VENV)/.installed
	$(BIN)/pip --disable-pip-version-check --quiet install --constraint constraints.txt scikit-image
	for study in $(STRANGERS); do $(BIN)/python benchmarks/$$study.py || exit 1; done

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
	rm -rf $(VENV) .venv-peers runs
