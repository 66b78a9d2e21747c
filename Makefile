# make run     the whole line on the synthetic sample: five notebooks, comparison, report
# make test    unit tests and all notebooks
# make test-all    the slow tests too: thirty kills, hostile inputs, the notebooks under Colab's versions
# make test-colab    the notebooks under the package versions of Colab's runtimes, where their Python is installed
# make bench IMAGES=FOLDER    speed and memory on real cells, side by side with the paper's stack and Keras's guide
# make lint    style of code and notebooks
# make publish REPOSITORY=owner/name    write the repository's address into notebooks and README

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: run test test-all test-colab bench lint publish

run: $(VENV)/.installed
	$(BIN)/python -m allhelpers run --settings settings/sample.yaml --output runs/sample --overwrite

test: $(VENV)/.installed
	$(BIN)/python -m pytest

test-all: $(VENV)/.installed test-colab
	$(BIN)/python -m pytest -m "slow or not slow"

test-colab: $(VENV)/.installed
	$(BIN)/python tools/test_colab.py

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks --images $(IMAGES)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

publish:
	$(PYTHON) tools/publish.py $(REPOSITORY)

$(VENV)/.installed: requirements.txt requirements-fast.txt requirements-export.txt requirements-cluster.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt -r requirements-fast.txt -r requirements-export.txt \
		-r requirements-cluster.txt
	touch $@
