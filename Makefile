# make run     the whole line on the synthetic sample: five notebooks, comparison, report
# make test    unit tests and all notebooks
# make lint    style of code and notebooks
# make publish REPOSITORY=owner/name    write the repository's address into notebooks and README

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: run test lint publish

run: $(VENV)/.installed
	$(BIN)/python -m allhelpers run --settings settings/sample.yaml --output runs/sample --overwrite

test: $(VENV)/.installed
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

publish:
	$(PYTHON) tools/publish.py $(REPOSITORY)

$(VENV)/.installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@
