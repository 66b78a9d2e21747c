"""Shared cells and folders. Tests on real cells and weights skip, saying so, where ../shared is not there."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

from allhelpers import loading
from allhelpers.settings import TrainingSettings

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

needs_shared = pytest.mark.skipif(
    not (SHARED / "cnmc").is_dir(), reason="real cells and weights (../shared) are not on this machine"
)


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
