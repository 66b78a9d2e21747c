# make run     the whole line on the synthetic sample: five notebooks, comparison, report
# make test    unit tests, and the notebooks on the synthetic sample
# make test-all    the slow tests too: kills at random moments, hostile inputs, Colab's versions, the wheel
# make test-colab    the notebooks under the package versions of Colab's runtimes, where their Python is installed
# make lint    style, types, and which room may import which
# make docs    the documentation as a site, in site/
# make tour    pictures and texts of docs/tour.md from the sample's run (needs a Chromium)
# make bench IMAGES=FOLDER    speed and memory on real cells, side by side with the paper's stack and Keras's guide
# make publish REPOSITORY=owner/name    write the repository's address into notebooks, README and documentation

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
AT_ONCE := -n 2 --dist loadfile
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: run test test-all test-colab lint docs tour bench publish

run: $(VENV)/.run
	$(BIN)/python -m allhelpers run --settings settings/sample.yaml --output runs/sample --overwrite

test: $(VENV)/.test
	$(PYTEST) $(AT_ONCE)

test-all: $(VENV)/.test test-colab
	$(PYTEST) $(AT_ONCE) -m "slow or not slow"

test-colab: $(VENV)/.test
	$(BIN)/python tools/test_colab.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

tour: $(VENV)/.docs run
	$(BIN)/python tools/tour.py runs/sample

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks --images $(IMAGES)

publish:
	$(PYTHON) tools/publish.py $(REPOSITORY)

# Each target installs what it needs and no more; the package itself is read where it stands.
$(VENV)/.run: EXTRAS = fast
$(VENV)/.test: EXTRAS = test,fast,export,cluster,page
$(VENV)/.docs: EXTRAS = docs

$(VENV)/.run $(VENV)/.test $(VENV)/.docs: pyproject.toml requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	touch $@
