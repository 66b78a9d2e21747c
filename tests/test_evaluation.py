import json

import numpy as np
import pandas as pd
import pytest

from allhelpers import evaluation, runs
from allhelpers.errors import InputError


@pytest.fixture
def predictions():
    """Ten test cells: 6 ALL, of which 5 are found; 4 HEM, of which 2 are recognised. And two of validation."""
    labels = ["all"] * 6 + ["hem"] * 4
    p_all = [0.9, 0.8, 0.7, 0.6, 0.5, 0.1, 0.2, 0.4, 0.6, 0.9]
    test = pd.DataFrame({"file": [f"{k}.bmp" for k in range(10)], "subject": "1", "split": "test", "label": labels})
    valid = pd.DataFrame(
        {"file": ["v", "w"], "subject": "2", "split": "valid", "label": ["all", "hem"], "p_all": [1, 0]}
    )
    return pd.concat([test.assign(p_all=p_all), valid], ignore_index=True)


def test_metrics_count_what_they_say(predictions):
    test = evaluation.evaluate(predictions, [])["test"]
    assert (test["accuracy"]["correct"], test["accuracy"]["cells"]) == (7, 10)
    assert test["sensitivity"]["value"] == pytest.approx(5 / 6)
    assert test["specificity"]["value"] == 0.5
    assert test["confusion_matrix"]["counts"] == [[5, 1], [2, 2]]


def test_probability_of_one_half_is_called_all(predictions):
    assert evaluation.predicted_labels(predictions)[4] == "all"


@pytest.mark.parametrize(("correct", "low", "high"), [(64, 0.825, 0.960), (65, 0.843, 0.969), (36, 0.400, 0.628)])
def test_wilson_intervals_of_the_papers_counts(correct, low, high):
    interval = evaluation.proportion(correct, 70)
    assert (interval["low"], interval["high"]) == pytest.approx((low, high), abs=6e-4)


def test_no_cells_give_no_figure():
    assert evaluation.proportion(0, 0)["value"] is None


def test_metrics_are_plain_json_with_their_notes(predictions):
    metrics = evaluation.evaluate(predictions, ["synthetic cells"])
    assert json.loads(json.dumps(metrics)) == metrics
    assert metrics["notes"] == ["synthetic cells"]
    assert "not for diagnosis" in metrics["warning"]


def test_probability_column_is_that_of_all(cells):
    probabilities = np.tile([[0.8, 0.2]], (3, 1))
    table = evaluation.tabulate(cells, np.array([2, 5, 7]), probabilities)
    assert table["p_all"].tolist() == [0.8] * 3
    assert table["file"].tolist() == cells.table["file"].iloc[[2, 5, 7]].tolist()


@pytest.fixture
def run_folder(tmp_path, predictions):
    """A finished run of one architecture, as the notebooks leave it."""
    return write_run(tmp_path, predictions)


def write_run(folder, predictions, name="mobilenet", notes=("synthetic cells: drawn by a program",)):
    cells = predictions[["file", "subject", "split", "label"]].assign(fold="", part="training", sha256="x")
    runs.write_csv(folder / "manifest.csv", cells)
    runs.write_json(folder / "data.json", {"images": "a<b>", "split": "paper", "seed": 1, "cells": 12})
    result = folder / name
    history = {"epoch": [1, 2], "loss": [0.7, 0.5], "accuracy": [0.5, 0.8], "val_loss": [0.7, 0.6]}
    runs.write_csv(result / "history.csv", pd.DataFrame({**history, "val_accuracy": [0.5, 0.7], "seconds": [1, 1]}))
    runs.write_csv(result / "predictions.csv", predictions)
    runs.write_json(result / "metrics.json", evaluation.evaluate(predictions, list(notes)))
    settings = {"unfreeze": "none", "batch_norm": "tail", "split": "paper", "seed": 1, "epochs": 2}
    record = {
        "settings": settings, "weights": {"label": "random"}, "manifest_sha256": runs.sha256(folder / "manifest.csv"),
        "seconds": {"training": 2.0, "frozen part": 1.0}, "parameters": {"total": 10, "trained": 2}, "device": "CPU",
        "model": {"megabytes": 1.5},
    }  # fmt: skip
    runs.write_json(result / "parameters.json", record)
    return folder


def test_comparison_is_read_from_the_files_of_the_run(run_folder):
    row = evaluation.compare(run_folder, ["mobilenet"]).iloc[0]
    assert (row["test_correct"], row["test_cells"], row["epochs"], row["seconds"]) == (7, 10, 2, 3.0)
    assert row["valid_accuracy"] == 0.7
    assert "7 of 10 test cells right, 70.0% (95 % interval 39.7% to 89.2%)" in evaluation.sentence(row)


def test_missing_result_names_the_notebook(run_folder):
    with pytest.raises(InputError, match="run notebook 2_vgg16 first"):
        evaluation.compare(run_folder, ["mobilenet", "vgg16"])


def test_result_on_other_cells_is_refused(run_folder):
    (run_folder / "manifest.csv").write_text("other")
    with pytest.raises(InputError, match="computed on other cells"):
        evaluation.compare(run_folder, ["mobilenet"])


def test_paper_stands_beside_the_run(run_folder):
    table = evaluation.beside_paper(evaluation.compare(run_folder, ["mobilenet"]))
    assert table.index.tolist() == [("mobilenet", "paper"), ("mobilenet", "this run")]
    assert table.loc[("mobilenet", "paper"), "test_accuracy"] == pytest.approx(64 / 70)
