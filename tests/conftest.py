"""Shared cells and folders. Tests on real cells and weights skip, saying so, where ../shared is not there."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pandas as pd
import pytest

from allhelpers import architectures, baselines, evaluation, loading, networks, pretrained, runs
from allhelpers.settings import SYNTHETIC_NOTE, TrainingSettings

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


@pytest.fixture
def predictions():
    """As `ten_cells`."""
    return ten_cells()


def ten_cells():
    """Ten test cells: 6 ALL, of which 5 are found; 4 HEM, of which 2 are recognised. And two of validation."""
    labels = ["all"] * 6 + ["hem"] * 4
    p_all = [0.9, 0.8, 0.7, 0.6, 0.5, 0.1, 0.2, 0.4, 0.6, 0.9]
    patients = list("1112223344")
    test = pd.DataFrame(
        {"file": [f"{k}.bmp" for k in range(10)], "subject": patients, "split": "test", "label": labels}
    )
    valid = pd.DataFrame(
        {"file": ["v", "w"], "subject": "5", "split": "valid", "label": ["all", "hem"], "p_all": [1, 0]}
    )
    return with_p_all(pd.concat([test.assign(p_all=p_all), valid], ignore_index=True))


def with_p_all(table, p_all=None):
    """Predictions of ALL and HEM from the probability of ALL."""
    table = table if p_all is None else table.assign(p_all=p_all)
    return table.assign(p_hem=1 - table["p_all"])


def write_run(folder, predictions, name="mobilenet", notes=(SYNTHETIC_NOTE,)):
    """Leave a finished run of one architecture, as the notebooks do."""
    cells = predictions[["file", "subject", "split", "label"]].assign(fold="", part="training", sha256="x")
    runs.write_csv(folder / "manifest.csv", cells)
    runs.write_json(
        folder / "data.json", {"images": "a<b>", "split": "paper", "seed": 1, "cells": 12, "classes": ["all", "hem"]}
    )
    result = folder / name
    history = {"epoch": [1, 2], "loss": [0.7, 0.5], "accuracy": [0.5, 0.8], "val_loss": [0.7, 0.6]}
    runs.write_csv(result / "history.csv", pd.DataFrame({**history, "val_accuracy": [0.5, 0.7], "seconds": [1, 1]}))
    runs.write_csv(result / "predictions.csv", predictions)
    for method in baselines.METHODS:
        runs.write_csv(folder / baselines.FOLDER / f"{method}.csv", with_p_all(predictions, 0.5))
    runs.write_json(result / "metrics.json", evaluation.evaluate(predictions, list(notes)))
    settings = {"unfreeze": "none", "batch_norm": "tail", "split": "paper", "seed": 1, "epochs": 2}
    record = {
        "settings": settings, "weights": {"label": "random"}, "manifest_sha256": runs.sha256(folder / "manifest.csv"),
        "seconds": {"training": 2.0, "frozen part": 1.0}, "parameters": {"total": 10, "trained": 2}, "device": "CPU",
        "model": {"megabytes": 1.5}, "versions": {"python": "3.11"},
    }  # fmt: skip
    runs.write_json(result / "parameters.json", record)
    return folder


@pytest.fixture
def run_folder(tmp_path, predictions):
    """A finished run of one architecture."""
    return write_run(tmp_path, predictions)


def few(cells, count=24, valid=8):
    """A few cells of both classes, so that training end to end stays quick."""
    table = cells.table.sort_values("file", key=lambda s: s.map(hash_free_order)).iloc[: count + valid]
    split = ["train"] * count + ["valid"] * valid
    pixels = np.asarray(cells.pixels[table.index])
    return loading.Cells(
        table.assign(split=split).reset_index(drop=True), pixels, cells.notes, f"few-{count}", cells.classes
    )


def hash_free_order(file):
    """Image number first: patients and classes alternate."""
    return file.rsplit("/", 1)[1].split("_")[2].zfill(4) + file


def network_of(name, settings, cells):
    return networks.build(architectures.get(name), settings, pretrained.Weights("random"), cells)


def in_memory_features(network, cells, precision):
    return networks.predict(network.trunk, cells.pixels).astype(precision)[np.newaxis]


def norms(model):
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from norms(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            yield layer
