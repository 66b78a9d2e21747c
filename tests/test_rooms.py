"""The house: imports go one way, faces open lazily and show what is documented and typed."""

import importlib
import inspect
import subprocess
import sys

import pytest

from tests.helpers import ROOT

ROOMS = (
    "segmentation",
    "data",
    "networks",
    "training",
    "evaluation",
    "studies",
    "plotting",
    "reporting",
    "inference",
    "running",
)
LIGHT = ("settings", "runs", "data", "networks.registry", "evaluation.metrics", "running.cli")
HEAVY = ("tensorflow", "keras", "torch", "ray")


def public():
    for room in ROOMS:
        face = importlib.import_module(f"allhelpers.{room}")
        for name in face.__all__:
            shown = getattr(face, name)
            names = functions_of(shown) if inspect.ismodule(shown) else [(face, name)]
            for place, shown_name in names:
                yield pytest.param(place, shown_name, id=f"{place.__name__}.{shown_name}")


def functions_of(module):
    """A module on a face shows the functions that it defines."""
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and not name.startswith("_"):
            yield module, name


def test_imports_go_from_the_top_down():
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", lint],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", LIGHT)
def test_starts_without_tensorflow(module):
    code = (
        f"import sys, allhelpers.{module}; "
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_help_opens_no_room_that_is_slow():
    code = (
        "import sys; from allhelpers.running.cli import main; main(['--help']); "
        f"sys.exit(any(name in sys.modules for name in {(*HEAVY, 'numpy', 'pandas', 'cv2')}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\n  cells " in done.stdout


@pytest.mark.parametrize(("face", "name"), public())
def test_what_a_face_shows_is_there_documented_and_typed(face, name):
    shown = getattr(face, name)
    if not callable(shown) or inspect.ismodule(shown):
        return
    assert inspect.getdoc(shown), f"{name} has no docstring"
    if inspect.isfunction(shown):
        hints = shown.__annotations__
        parameters = inspect.signature(shown).parameters.values()
        assert {parameter.name for parameter in parameters} | {"return"} == set(hints)


@pytest.mark.parametrize(("face", "name"), public())
def test_functions_take_three_positional_parameters_at_most(face, name):
    shown = getattr(face, name)
    if not inspect.isfunction(shown):
        return  # fields of a record may be more
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(shown).parameters.values()
    assert sum(parameter.kind in by_place for parameter in parameters) <= 3
