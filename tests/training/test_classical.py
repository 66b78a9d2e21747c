"""Measured features and classical classifiers."""

import cv2
import numpy as np
import pandas as pd
import pytest

from allhelpers.data import loading, orientations
from allhelpers.evaluation.metrics import measure
from allhelpers.networks.registry import CLASSICAL
from allhelpers.runs import Result
from allhelpers.settings import ClassicalSettings, DataSettings
from allhelpers.training import classical
from allhelpers.training.classical import GROUPS, NAMES


def disc(radius, colour=(120, 60, 140), centre=(112, 112)):
    image = np.zeros((224, 224, 3), np.uint8)
    cv2.circle(image, centre, radius, colour, -1)
    return image


def measured_of(image):
    return dict(zip(NAMES, classical.measure(image), strict=True))


def test_features_of_a_disc_are_those_of_a_disc():
    found = measured_of(disc(40))
    assert found["area"] == pytest.approx(np.pi * 40**2, rel=0.02)
    assert found["perimeter"] == pytest.approx(2 * np.pi * 40, rel=0.1)
    assert found["circularity"] == pytest.approx(1, abs=0.15)
    assert found["solidity"] > 0.95
    assert found["eccentricity"] < 0.1
    assert [found[f"{channel}_mean"] for channel in ("red", "green", "blue")] == [120, 60, 140]
    assert found["red_deviation"] == 0
    # One colour: no texture, and the border to the background does not count.
    assert found["contrast_1"] == 0
    assert found["energy_3"] == pytest.approx(1)
    assert sum(found[f"pattern_{k}"] for k in range(10)) == pytest.approx(1)


def test_larger_cell_changes_size_and_not_colour():
    small, large = measured_of(disc(30)), measured_of(disc(60))
    assert large["area"] > 3.5 * small["area"]
    assert large["hue_mean"] == small["hue_mean"]
    assert large["hu_1"] == pytest.approx(small["hu_1"], abs=0.02)


def test_features_do_not_change_when_the_cell_is_turned_or_moved(cells):
    values = [classical.measure(orientations.orient(cells.pixels[:1], k)[0]) for k in range(8)]
    np.testing.assert_allclose(values, np.tile(values[0], (8, 1)), rtol=0.02, atol=0.05)
    moved = classical.measure(np.roll(cells.pixels[0], 5, axis=0))
    np.testing.assert_allclose(moved, values[0], rtol=1e-5, atol=1e-5)


def test_every_feature_has_a_group():
    assert sum(GROUPS.values()) == len(NAMES) == len(set(NAMES))


@pytest.fixture(scope="module")
def sample(make_settings):
    """The sample in a split by patient, its features and settings."""
    chosen = make_settings(split="paper", sample_cells=320)
    settings = ClassicalSettings(
        **{k: v for k, v in chosen.model_dump().items() if k in DataSettings.model_fields}
    )
    cells = loading.prepare(settings)
    return cells, classical.handcrafted_features(cells, settings.cache_folder), settings


@pytest.mark.parametrize("name", CLASSICAL)
def test_classifier_learns_and_is_chosen_by_validation_cells_alone(sample, name):
    cells, measured, settings = sample
    model, tried = classical.train(name, measured, cells, settings=settings)
    assert tried["val_weighted_f1"].is_monotonic_decreasing
    predictions = classical.predict(model, measured, cells)
    val = predictions[predictions["split"] == "val"]
    value = measure(val, resamples=0)["weighted_f1"]["value"]
    # Ties at one half may fall otherwise.
    assert value == pytest.approx(tried["val_weighted_f1"].iloc[0], abs=0.02)
    test = predictions[predictions["split"] == "test"]
    assert measure(test, resamples=0)["auroc"]["value"] > 0.7
    shuffled = measured.copy()
    rows = cells.rows("test")
    shuffled.iloc[rows] = np.random.default_rng(0).permutation(shuffled.iloc[rows])
    _, again = classical.train(name, shuffled, cells, settings=settings)
    pd.testing.assert_frame_equal(again, tried)


def test_refit_trains_on_the_validation_cells_and_gives_no_figures_for_them(sample):
    cells, measured, settings = sample
    settings = settings.model_copy(update={"refit": True})
    model, _ = classical.train("knn", measured, cells, settings=settings)
    assert model[-1].n_samples_fit_ == len(cells.rows("train")) + len(cells.rows("val"))
    predictions = classical.predict(model, measured, cells, refit=True)
    assert set(predictions["split"]) == {"test"}


def test_importance_is_of_the_feature_that_decides(sample):
    cells, measured, settings = sample
    noise = pd.DataFrame(
        np.random.default_rng(0).normal(size=measured.shape), columns=measured.columns
    )
    noise["solidity"] = (cells.table["label"] == "all").astype(float) * 5
    model, _ = classical.train("svm", noise, cells, settings=settings)
    found = classical.importance(model, noise, cells, seed=1)
    assert found["feature"].iloc[0] == "solidity"
    assert found["group"].iloc[0] == "shape and size"
    assert found["importance"].iloc[0] > 3 * found["importance"].iloc[1]


def test_what_is_written_is_what_the_comparison_reads(sample, tmp_path):
    from allhelpers.evaluation import baselines, gathering
    from allhelpers.evaluation.metrics import evaluate

    cells, measured, settings = sample
    settings = settings.model_copy(update={"run_folder": str(tmp_path)})
    digest = loading.record_cells(cells, settings)
    baselines.write_baselines(cells, tmp_path)
    model, tried = classical.train("knn", measured, cells, settings=settings)
    predictions = classical.predict(model, measured, cells)
    metrics = evaluate(predictions, cells.notes)
    outcome = {"predictions": predictions, "metrics": metrics, "tried": tried}
    classical.write(
        "knn", cells, settings, **outcome, manifest_sha256=digest, seconds={"training": 1.0}
    )
    (row,) = gathering.compare(tmp_path, ["knn"]).to_dict("records")
    assert row["test_accuracy"] == metrics["test"]["accuracy"]["value"]
    assert row["epochs"] is None
    assert gathering.finished_in(tmp_path) == ["knn"]
    assert set(Result(tmp_path / "knn").record()["chosen"]) == {"n_neighbors", "weights"}
    compared, _ = gathering.compare_methods(tmp_path, ["knn"])
    assert compared["method"].tolist()[0] == "knn"
