"""An ensemble is a method like any other: its mean, its saved model, its refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from allhelpers import evaluation, inference, networks, training
from allhelpers._core.errors import InputError
from allhelpers._core.machine import Clock
from allhelpers.evaluation import explaining
from allhelpers.networks import registry
from allhelpers.networks.pretrained import Weights
from allhelpers.running import planning
from allhelpers.runs import Run
from allhelpers.settings import EnsembleSettings

MEMBERS = ("toy", "mobilenet")


@pytest.fixture(scope="module")
def run_of_two(small_cells, make_settings, tmp_path_factory):
    """A run folder with two trained networks on the same cells."""
    folder = tmp_path_factory.mktemp("run")
    for name in MEMBERS:
        settings = make_settings(
            input_size=64, unfreeze="none", epochs=2, run_folder=str(folder), calibrate=True
        )
        network = networks.build(registry.get(name), settings, Weights("random"), cells=small_cells)
        features = training.compute_features(network, small_cells)
        training.train(network, features, small_cells, quiet=True)
        held_out = training.held_out_predictions(network, features, small_cells)
        found = evaluation.calibrate(held_out, temperature=True)
        network.set_temperature(found.temperature)
        predictions = training.predict_cells(network, features, small_cells)
        options = {"manifest_sha256": "", "clock": Clock(), "calibration": found.record()}
        record = training.describe(network, small_cells, [f"note of {name}"], **options)
        outcome = {"predictions": predictions, "metrics": {"notes": []}, "record": record}
        result = Run(folder).result(name)
        result.folder.mkdir()
        training.finish(network, result, held_out=held_out, **outcome)
    return EnsembleSettings(run_folder=str(folder), members=",".join(MEMBERS))


def test_the_saved_ensemble_gives_the_members_mean(run_of_two, small_cells):
    network = inference.ensembles.open_members(run_of_two)
    predictions = inference.ensembles.mean_predictions(run_of_two)
    held_out = inference.ensembles.mean_predictions(run_of_two, held_out=True)
    found = evaluation.calibrate(held_out, temperature=True, sensitivity=0.8)
    network.set_temperature(found.temperature)
    metrics = {"notes": [], **evaluation.evaluate(predictions, [])}
    outcome = {"predictions": found.apply(predictions), "held_out": held_out, "metrics": metrics}
    inference.ensembles.write(
        network, run_of_two, calibration=found, manifest_sha256="", seconds={}, **outcome
    )
    assert inference.ensembles.member_notes(run_of_two) == ["note of toy", "note of mobilenet"]
    loaded = inference.load(Path(run_of_two.run_folder) / "ensemble")
    assert loaded.threshold == found.threshold
    test = small_cells.rows("test")
    probabilities = inference.probabilities(loaded, small_cells.pixels[test])
    expected = found.apply(predictions).query("split == 'test'")
    np.testing.assert_allclose(probabilities[:, 0], expected["p_all"], atol=1e-3)
    pixels = small_cells.pixels[:2]
    assert len(explaining.embed(loaded, pixels)) == 2
    heat = [explaining.grad_cam(each, pixels, "all") for each in (loaded, *loaded.members)]
    assert all(one.shape == (2, 64, 64) for one in heat)


def test_members_must_see_cells_alike_and_know_the_same_classes(run_of_two):
    first, second = inference.ensembles.open_members(run_of_two).members
    with pytest.raises(InputError, match="know different classes"):
        networks.join([first, replace(second, classes=("a", "b"))])
    cropped = second.settings.model_copy(update={"crop": "cell"})
    with pytest.raises(InputError, match=r"different ways \(crop\)"):
        networks.join([first, replace(second, settings=cropped)])
    with pytest.raises(InputError, match="needs two networks"):
        networks.join([first])


def test_a_member_that_was_not_trained_is_named(run_of_two):
    lacking = run_of_two.model_copy(update={"members": "toy,vgg16"})
    with pytest.raises(InputError, match="leave vgg16 out of members"):
        inference.ensembles.open_members(lacking)


def test_a_run_joins_the_networks_that_are_named_beside_the_ensemble():
    asked = {"architectures": "mobilenet,svm,vgg16,ensemble", "weights": "random"}
    steps = dict(planning.plan_run(asked).steps)
    assert steps["2_ensemble"]["members"] == "mobilenet,vgg16"
    assert list(steps)[-1] == "3_comparison"
    with pytest.raises(InputError, match="joins two networks or more"):
        planning.plan_run({"architectures": "mobilenet,ensemble", "weights": "random"})
