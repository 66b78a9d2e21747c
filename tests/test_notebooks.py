"""Notebooks: their form, and a run of each under nbval on a copy that papermill has prepared."""

import ast
import os
import re
import shutil
import statistics
import subprocess
import sys

import nbformat
import papermill
import pytest

from allhelpers.networks import registry
from allhelpers.networks.registry import NAMES
from allhelpers.segmentation.parameters import SmearSettings
from allhelpers.settings import (
    CollapseSettings,
    ComparisonSettings,
    TrainingSettings,
    validate,
)
from tests.helpers import ROOT
from tools.notebooks import kind_of as kind_of_stem

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_LINES, MEDIAN_LINES = 12, 6


def kind_of(path):
    """The settings class of a notebook's parameters."""
    return kind_of_stem(path.stem)


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def parameters_cells(path):
    return [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]


def form_cells(path):
    return [cell for cell in code_cells(path) if cell.source.startswith("# @title")]


def headings(path):
    cells = nbformat.read(path, as_version=4).cells
    return re.findall(
        r"^## (\d \w.*)$",
        "\n".join(c.source for c in cells if c.cell_type == "markdown"),
        re.MULTILINE,
    )


def test_every_stage_has_its_notebooks():
    studies = ("4_resnet50_collapse", "4_optimizers_and_activations")
    assert {path.stem for path in PATHS} == {
        "0_cells_from_a_smear",
        "1_data_split",
        "3_comparison",
        "5_your_own_cells",
        "6_new_images",
        *studies,
        *map(registry.notebook_of, NAMES),
    }


def test_no_outputs_are_committed(path):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(path))


def test_sections_are_the_same_in_every_notebook(path):
    sections = [
        "About",
        "Set-up",
        "Parameters",
        "Cells",
        "Model",
        "Training",
        "Evaluation",
        "What to take away",
    ]
    assert headings(path) == [f"{number} {title}" for number, title in enumerate(sections)]


def test_forms_hold_every_setting_once_with_the_projects_default_and_help(path):
    fields = kind_of(path).model_fields
    lines = [
        line
        for cell in form_cells(path)
        for line in cell.source.splitlines()
        if not line.startswith("# @title")
    ]
    names = []
    for line in lines:
        (statement,) = ast.parse(line).body
        names.append(statement.target.id)
        field = fields[names[-1]]
        assert ast.literal_eval(statement.value) == field.default
        assert "# @param " in line
        assert line.endswith(f"# {field.description}")
    wanted = {"architectures", "run_folder"} if kind_of(path) is ComparisonSettings else set(fields)
    assert sorted(names) == sorted(wanted)


def test_main_settings_come_first_and_forms_hide_their_code(path):
    cells = form_cells(path)
    assert cells[0].source.startswith("# @title Settings\n")
    assert all(cell.metadata["cellView"] == "form" for cell in cells)


def test_each_section_asks_the_student_one_question(path):
    if path.stem == "2_ensemble":  # nothing is learnt there
        return
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    sections = re.split(r"^## \d ", text, flags=re.MULTILINE)[1:]
    assert [part.count("**Question:** ") for part in sections] == [0, 0, 0, 1, 1, 1, 1, 0]


def test_suggestions_are_values_that_the_setting_takes(path):
    kind = kind_of(path)
    for line in "\n".join(cell.source for cell in form_cells(path)).splitlines():
        if found := re.match(r"(\w+): str = .* # @param (\[.*?\]) \{allow-input", line):
            for value in ast.literal_eval(found[2]):
                validate(kind, {found[1]: value})


def test_papermill_puts_its_values_behind_all_forms(path):
    (parameters,) = parameters_cells(path)
    assert form_cells(path)[-1] == parameters


def test_cells_that_all_notebooks_share_are_up_to_date():
    done = subprocess.run([sys.executable, ROOT / "tools" / "notebooks.py", "--check"], check=False)
    assert done.returncode == 0, "run: python tools/notebooks.py"


def test_code_cells_are_short():
    lines = {
        path.stem: [len(cell.source.splitlines()) for cell in code_cells(path)] for path in PATHS
    }
    assert max(max(counts) for counts in lines.values()) <= MOST_LINES
    assert statistics.median(count for counts in lines.values() for count in counts) <= MEDIAN_LINES


def test_badge_points_to_this_notebook_in_the_repository(path):
    text = path.read_text(encoding="utf-8")
    (repository,) = re.findall(r'REPOSITORY = \\"([^"\\]+)\\"', text)
    badge = f"colab.research.google.com/github/{repository}/blob/main/notebooks/{path.name}"
    assert re.findall(r"colab\.research\.google\.com/github/[^)]+", text) == [badge]


def test_notebook_warns_that_it_is_for_research(path):
    assert "Research only, not for diagnosis" in path.read_text(encoding="utf-8")


def test_architecture_notebooks_differ_in_the_architecture_alone():
    codes = {
        tuple(re.sub(r'get\("\w+"\)', "get(...)", cell.source) for cell in code_cells(path))
        for path in PATHS
        if path.stem.startswith("2_") and path.stem not in ("2_classical", "2_ensemble")
    }
    assert len(codes) == 1


def test_publish_rewrites_address_and_badge(tmp_path, path):
    (tmp_path / "tools").mkdir()
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "tools" / "publish.py", tmp_path / "tools")
    shutil.copy(path, tmp_path / "notebooks")
    shutil.copy(ROOT / "README.md", tmp_path)
    command = [sys.executable, tmp_path / "tools" / "publish.py"]
    subprocess.run([*command, "some-body/some.name"], check=True, capture_output=True)
    test_badge_points_to_this_notebook_in_the_repository(tmp_path / "notebooks" / path.name)
    assert (
        'REPOSITORY = \\"some-body/some.name\\"' in (tmp_path / "notebooks" / path.name).read_text()
    )
    assert subprocess.run([*command, "nonsense"], capture_output=True, check=False).returncode == 1


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """One run folder for all notebooks, which pytest runs in the order of their stages."""
    return tmp_path_factory.mktemp("nbval")


# The data split, MobileNet, classifiers and comparison are executed by `real_run`; the sister
# notebooks have the same code cells, and the studies are tested without notebooks.
QUICK = ("0_cells_from_a_smear", "5_your_own_cells")
BY_STAGE = [  # the ensemble after its members
    pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow)
    for path in sorted(PATHS, key=lambda path: (path.stem[0], path.stem == "2_ensemble", path.stem))
]


@pytest.mark.parametrize("notebook", BY_STAGE)
def test_notebook_runs_under_nbval(notebook, run_folder, cache, request):
    values = {
        "run_folder": str(run_folder / "run"),
        "cache_folder": str(cache),
        "sample_cells": 160,
    }
    if kind_of(notebook) is SmearSettings:
        values = {"output": str(run_folder / "cells_of_smears")}
    if issubclass(kind_of(notebook), TrainingSettings):
        values |= {"weights": "random", "epochs": 2, "learning_rate": 0.01, "input_size": 112}
    if notebook.stem.startswith("6_"):
        model = request.getfixturevalue("real_run").folder / "mobilenet"
        values = {"model": str(model), "run_folder": str(run_folder / "new"), "shown": 2}
    if notebook.stem.startswith("5_"):
        values |= {"run_folder": str(run_folder / "own")}
    if notebook.stem.startswith("4_"):
        values |= {"weights": "random", "epochs": 2, "seeds": "1,2"}
        values |= (
            {"pool": 160}
            if kind_of(notebook) is CollapseSettings
            else {"learning_rates": "0.001,0.1"}
        )
    copy = run_folder / notebook.name
    papermill.execute_notebook(notebook, copy, values, prepare_only=True, progress_bar=False)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-current-env",
        "-q",
        "-c",
        os.devnull,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command += ["--rootdir", str(run_folder), "-p", "no:cacheprovider", str(copy)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=run_folder, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    if notebook.stem == "3_comparison":
        assert (run_folder / "run" / "report.html").is_file()
