"""What is decided on cells whose patients the head has not met, and what is then saved."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest

from allhelpers import evaluation
from allhelpers._core.errors import InputError
from allhelpers.data import tables
from allhelpers.data.weighting import ChooseBy
from allhelpers.networks import building
from allhelpers.settings import TrainingSettings, validate
from allhelpers.training import choosing, crossfitting, finetuning, trunk
from tests.helpers import network_of


@pytest.fixture
def build(small_cells, make_settings):
    def build(**changes):
        values = {"input_size": 64, "unfreeze": "none", "epochs": 8, "learning_rate": 0.05}
        settings = make_settings(**{**values, "calibrate": True, **changes})
        network = network_of("toy", settings, small_cells)
        features = trunk.compute_features(network, small_cells)
        finetuning.train(network, features, small_cells, quiet=True)
        return network, features

    return build


def test_every_known_cell_is_judged_by_a_head_without_its_patient(build, small_cells):
    network, features = build()
    held_out = crossfitting.held_out_predictions(network, features, small_cells)
    splits = small_cells.table["split"]
    assert sorted(held_out["file"]) == sorted(
        small_cells.table["file"][splits.isin(["train", "val"])]
    )
    own = finetuning.probabilities(network, features, small_cells.rows("train"))
    others = held_out.set_index("file")["p_all"]
    trained = small_cells.table["file"].iloc[small_cells.rows("train")]
    assert np.abs(others[trained].to_numpy() - own[:, 0]).max() > 0.01


def test_unfrozen_networks_are_calibrated_on_validation(build, small_cells):
    network, features = build(unfreeze="default")
    held_out = crossfitting.held_out_predictions(network, features, small_cells)
    assert set(held_out["split"]) == {"val"}


def test_the_temperature_is_in_the_model_and_setting_it_twice_changes_nothing(build, small_cells):
    network, _ = build()
    pixels = small_cells.pixels[:6]
    before = building.predict(network.full, pixels)
    for _ in range(2):
        network.set_temperature(2.0)
        after = building.predict(network.full, pixels)
        np.testing.assert_allclose(
            after, np.sqrt(before) / np.sqrt(before).sum(1, keepdims=True), atol=1e-5
        )


def test_a_fitted_temperature_makes_overconfident_probabilities_honest():
    random = np.random.default_rng(1)
    honest = random.uniform(0.05, 0.95, 4000)
    truth = np.where(random.random(4000) < honest, "all", "hem")
    scores = np.log(honest / (1 - honest)) * 3  # three times too sure
    table = pd.DataFrame({"file": [f"{k}" for k in range(4000)], "patient": "", "label": truth})
    table = table.assign(p_all=1 / (1 + np.exp(-scores)), p_hem=1 / (1 + np.exp(scores)))
    found = evaluation.calibrate(table, temperature=True)
    assert found.temperature == pytest.approx(3, rel=0.1)
    np.testing.assert_allclose(found.apply(table)["p_all"], honest, atol=0.03)


def test_the_threshold_finds_the_wanted_share_with_patients_weighing_the_same():
    table = pd.DataFrame(
        {
            "file": [f"{k}" for k in range(13)],
            "patient": ["1"] * 10 + ["2", "3", "9"],
            "label": ["all"] * 12 + ["hem"],
            "p_all": [0.9] * 10 + [0.6, 0.3, 0.2],
        }
    )
    table = table.assign(p_hem=1 - table["p_all"])
    two_of_three = evaluation.calibrate(table, sensitivity=0.6)  # of patients, not 10 of 12 cells
    assert two_of_three.threshold == 0.6
    predicted = tables.predicted_labels(table, two_of_three.threshold)
    assert (predicted == "all").sum() == 11


def test_operating_point_is_measured_on_the_test_with_intervals(predictions):
    metrics = evaluation.evaluate(predictions, [], threshold=0.5)
    point = metrics["test"]["operating_point"]
    for name in ("sensitivity", "specificity"):
        assert point[name]["value"] == metrics["test"][name]["value"]
        assert point[name]["low"] <= point[name]["value"] <= point[name]["high"]


def test_nothing_is_decided_without_cells_of_both_classes(predictions):
    found = evaluation.calibrate(predictions[:0], temperature=True, sensitivity=0.9)
    assert (found.temperature, found.threshold) == (1.0, None)


def test_refit_on_all_keeps_the_temperature_and_learns_the_test(build, small_cells):
    network, features = build(refit_all=True)
    network.set_temperature(2.0)
    before = finetuning.predict_cells(network, features, small_cells)
    crossfitting.refit_on_all(network, features, small_cells)
    after = finetuning.predict_cells(network, features, small_cells)
    assert not np.allclose(before["p_all"], after["p_all"])
    variance = network.tail.get_layer(building.TEMPERATURE).moving_variance
    np.testing.assert_allclose(variance, 4, rtol=1e-5)
    with pytest.raises(InputError, match="refit_all belongs to a head"):
        validate(TrainingSettings, {"refit_all": True})


def test_epochs_can_be_chosen_by_patients_of_equal_weight(build):
    network, features = build(patience=2, choose_by="auroc_by_patient", epochs=4)
    assert network.settings.choose_by == "auroc_by_patient"


@pytest.mark.parametrize("choose_by", get_args(ChooseBy))
def test_every_choice_prefers_the_better_predictions(predictions, choose_by):
    area = np.arange(len(predictions)) // 2  # pairs of like size
    table = predictions.assign(area=area)
    truth = (table["label"] == "all").to_numpy(float)
    better = table.assign(p_all=0.1 + 0.8 * truth, p_hem=0.9 - 0.8 * truth)
    worse = table.assign(p_all=0.9 - 0.8 * truth, p_hem=0.1 + 0.8 * truth)
    scores = [choosing.score(one, choose_by) for one in (better, worse)]
    assert scores[0] > scores[1] or np.isnan(scores).all()
