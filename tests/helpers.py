"""What tests share beside fixtures. Real cells and weights (../shared) are skipped, saying so,
where they are missing.
"""

import dataclasses
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pandas as pd
import pytest

from allhelpers._core.files import sha256, write_csv, write_json
from allhelpers._core.machine import Clock
from allhelpers.data.synthetic import SYNTHETIC_NOTE
from allhelpers.evaluation import metrics
from allhelpers.evaluation.baselines import METHODS
from allhelpers.networks import building, registry
from allhelpers.networks.pretrained import Weights
from allhelpers.runs import Result, Run
from allhelpers.training import records

ROOT = Path(__file__).resolve().parent.parent


SHARED = ROOT.parent / "shared"


needs_shared = pytest.mark.skipif(
    not (SHARED / "cnmc").is_dir(),
    reason="real cells and weights (../shared) are not on this machine",
)


def ten_cells():
    """Ten test cells: 6 ALL, of which 5 are found; 4 HEM, of which 2 are recognised. And two of
    validation.
    """
    labels = ["all"] * 6 + ["hem"] * 4
    p_all = [0.9, 0.8, 0.7, 0.6, 0.5, 0.1, 0.2, 0.4, 0.6, 0.9]
    patients = list("1112223344")
    test = pd.DataFrame(
        {
            "file": [f"{k}.bmp" for k in range(10)],
            "patient": patients,
            "split": "test",
            "label": labels,
        }
    )
    val = pd.DataFrame(
        {
            "file": ["v", "w"],
            "patient": "5",
            "split": "val",
            "label": ["all", "hem"],
            "p_all": [1, 0],
        }
    )
    return with_p_all(pd.concat([test.assign(p_all=p_all), val], ignore_index=True))


def with_p_all(table, p_all=None):
    """Predictions of ALL and HEM from the probability of ALL."""
    table = table if p_all is None else table.assign(p_all=p_all)
    return table.assign(p_hem=1 - table["p_all"])


def clustered(patients=12, cells=20, seed=0):
    """Cells of patients who differ, each with a bias, and some with the same probability."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(patients):
        label = ("all", "hem")[number % 2]
        centre = (0.6 if label == "all" else 0.4) + random.normal(0, 0.15)
        p_all = np.clip(random.normal(centre, 0.2, cells), 0, 1).round(2)
        rows += [(f"{number}-{k}", f"P{number}", "test", label, p) for k, p in enumerate(p_all)]
    return with_p_all(pd.DataFrame(rows, columns=["file", "patient", "split", "label", "p_all"]))


def write_run(folder, predictions, name="mobilenet", notes=(SYNTHETIC_NOTE,)):
    """Leave a finished run of one architecture, as the notebooks do."""
    cells = predictions[["file", "patient", "split", "label"]].assign(
        fold="", part="training", sha256="x"
    )
    write_csv(folder / "manifest.csv", cells)
    write_json(
        folder / "data.json",
        {"images": "a<b>", "split": "paper", "seed": 1, "cells": 12, "classes": ["all", "hem"]},
    )
    result = folder / name
    history = {"epoch": [1, 2], "loss": [0.7, 0.5], "accuracy": [0.5, 0.8], "val_loss": [0.7, 0.6]}
    write_csv(
        result / "history.csv",
        pd.DataFrame({**history, "val_accuracy": [0.5, 0.7], "seconds": [1, 1]}),
    )
    write_csv(result / "predictions.csv", predictions)
    for method in METHODS:
        write_csv(Run(folder).baseline(method), with_p_all(predictions, 0.5))
    write_json(result / "metrics.json", metrics.evaluate(predictions, list(notes)))
    settings = {"unfreeze": "none", "batch_norm": "tail", "split": "paper", "seed": 1, "epochs": 2}
    record = {
        "settings": settings,
        "weights": {"label": "random"},
        "manifest_sha256": sha256(folder / "manifest.csv"),
        "seconds": {"training": 2.0, "frozen part": 1.0},
        "parameters": {"total": 10, "trained": 2},
        "device": "CPU",
        "model": {"megabytes": 1.5},
        "versions": {"python": "3.11"},
    }
    write_json(result / "parameters.json", record)
    return folder


def few(cells, count=24, val=8):
    """A few cells of both classes, so that training end to end stays quick."""
    table = cells.table.sort_values("file", key=lambda s: s.map(hash_free_order)).iloc[
        : count + val
    ]
    split = ["train"] * count + ["val"] * val
    some = cells.take(table.index)
    return dataclasses.replace(some, table=some.table.assign(split=split), key=f"few-{count}")


def hash_free_order(file):
    """Image number first: patients and classes alternate."""
    return file.rsplit("/", 1)[1].split("_")[2].zfill(4) + file


def network_of(name, settings, cells):
    return building.build(registry.get(name), settings, Weights("random"), cells=cells)


def in_memory_features(network, cells):
    return building.predict(network.trunk, cells.pixels)[np.newaxis]


def finish(network, folder, cells, familiar=None):
    """Leave a trained network's folder, as its notebook does."""
    record = records.describe(network, cells, [], manifest_sha256="hash", clock=Clock())
    outcome = {"predictions": pd.DataFrame({"file": ["a"]}), "metrics": {}, "record": record}
    records.finish(network, Result(folder), **outcome, familiar=familiar)


def norms(model):
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from norms(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            yield layer
