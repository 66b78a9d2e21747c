"""Fixtures that all tests share."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

from allhelpers.data import loading
from allhelpers.settings import TrainingSettings
from tests.helpers import ten_cells, write_run


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache folder that all tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def make_settings(cache, tmp_path_factory):
    """Settings of a small run on the sample; keywords overrule."""

    def make(**changes):
        defaults = {
            "sample_cells": 160, "cache_folder": str(cache), "run_folder": str(tmp_path_factory.mktemp("run")),
            "weights": "random", "learning_rate": 0.01, "epochs": 2,
        }  # fmt: skip
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


@pytest.fixture(scope="session")
def small_cells(make_settings):
    """The same at 64 pixels, as the toy network reads them."""
    return loading.prepare(make_settings(input_size=64))
