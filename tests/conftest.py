"""Fixtures that all tests share."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import hypothesis
import pytest
from filelock import FileLock

from allhelpers.data import loading
from allhelpers.settings import TrainingSettings
from tests.commands import Done, command, lay_out_stubs, options, use_stubs
from tests.helpers import ten_cells, write_run

# A busy machine is slow, and no test asserts speed.
hypothesis.settings.register_profile("without a clock", deadline=None)
hypothesis.settings.load_profile("without a clock")


@pytest.fixture(scope="session", autouse=True)
def _a_cache_of_our_own(tmp_path_factory):
    """What is kept for the user is kept beside the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALLHELPERS_CACHE", str(tmp_path_factory.mktemp("user")))
        yield


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache folder that all tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def make_settings(cache, tmp_path_factory):
    """Settings of a small run on the sample; keywords overrule."""

    def make(**changes):
        defaults = {
            "sample_cells": 160,
            "cache_folder": str(cache),
            "run_folder": str(tmp_path_factory.mktemp("run")),
            "weights": "random",
            "learning_rate": 0.01,
            "epochs": 2,
        }
        return TrainingSettings(**{**defaults, **changes})

    return make


@pytest.fixture(scope="session")
def cells(make_settings):
    """160 synthetic cells: 20 for training, 70 for validation, 70 for the test."""
    return loading.prepare(make_settings())


@pytest.fixture
def predictions():
    """As `ten_cells`."""
    return ten_cells()


@pytest.fixture
def run_folder(tmp_path, predictions):
    """A finished run of one architecture."""
    return write_run(tmp_path, predictions)


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """Runs take notebooks that stand for the real ones, in this process; gives their folder."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    use_stubs(monkeypatch, lay_out_stubs(folder))
    return folder


@dataclass(frozen=True)
class RealRun:
    """A run of the real notebooks, and what its command has printed."""

    folder: Path
    values: dict
    done: Done


@pytest.fixture(scope="session")
def real_run(tmp_path_factory):
    """MobileNet and a classifier on the sample, by the command line: once for all tests."""
    values = {
        "architectures": "mobilenet,svm",
        "weights": "random",
        "unfreeze": "none",
        "epochs": 2,
        "learning_rate": 0.01,
        "sample_cells": 160,
        "input_size": 96,
    }
    # Parallel workers share the folder above their own: the first makes the run, others wait.
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, printed = base / "real" / "run", base / "real.json"
    values["cache_folder"] = str(base / "real" / "cache")
    with FileLock(base / "real.lock"):
        if not printed.is_file():
            done = command("run", *options(**values), "--output", folder)
            printed.write_text(json.dumps(dataclasses.asdict(done)))
    done = Done(**json.loads(printed.read_text()))
    assert done.status == 0, done.err[-3000:]
    return RealRun(folder, values, done)


@pytest.fixture(scope="session")
def small_cells(make_settings):
    """The same at 64 pixels, as the toy network reads them."""
    return loading.prepare(make_settings(input_size=64))
