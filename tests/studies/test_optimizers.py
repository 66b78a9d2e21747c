"""Optimizers, learning rates and activations on the same features."""

import keras
import numpy as np
import pandas as pd
import pytest

from allhelpers.networks import building, registry
from allhelpers.settings import ACTIVATIONS, OPTIMIZERS, ChoicesSettings, TrainingSettings, validate
from allhelpers.studies import optimizers
from allhelpers.training import finetuning


@pytest.fixture(scope="module")
def features(cells):
    """Sixteen channels, of which one tells the classes apart."""
    values = np.random.default_rng(0).normal(size=(1, len(cells.table), 16)).astype(np.float32)
    values[0, :, 0] += 4 * (cells.table["label"] == "all")
    return values


@pytest.fixture(scope="module")
def studied(features, cells):
    settings = ChoicesSettings(epochs=8, learning_rates="0.00001,0.1", seeds="1,2")
    return optimizers.compare_optimizers(features, cells, settings)


def test_every_optimizer_learning_rate_and_seed_is_trained_once(studied):
    runs, curves = studied
    assert len(runs) == len(OPTIMIZERS) * 2 * 2
    assert not runs.duplicated(["optimizer", "learning_rate", "seed"]).any()
    assert len(curves) == 8 * len(runs)


def test_each_choice_is_taken_at_the_learning_rate_that_validation_prefers(studied):
    summary = optimizers.summarise(studied[0], "optimizer")
    assert set(summary["optimizer"]) == set(OPTIMIZERS)
    assert (summary["learning_rate"] == 0.1).all()  # 1e-5 leaves the head where it began
    assert summary["val_f1_mean"].is_monotonic_decreasing
    assert summary["test_f1_mean"].min() > 0.65


def test_activations_differ_and_are_trained_with_a_hidden_layer(features, cells):
    settings = ChoicesSettings(epochs=2, seeds="1", hidden_units=8)
    runs, _ = optimizers.compare_activations(features, cells, settings, learning_rate=0.01)
    assert runs["activation"].tolist() == list(ACTIVATIONS)
    assert runs["loss"].nunique() == len(ACTIVATIONS)


@pytest.mark.parametrize(("adam", "holds"), [(0.1, "holds"), (0.6, "does not hold")])
def test_ranking_of_the_literature_is_judged_by_the_losses(adam, holds):
    losses = {"sgd": 0.3, "adam": adam, "rmsprop": 0.2, "adagrad": 0.4, "ftrl": 0.5}
    table = pd.DataFrame({"optimizer": losses.keys(), "loss_mean": losses.values()})
    table = table.assign(test_f1_mean=[0.8, 0.8, 0.81, 0.8, 0.8], test_f1_sd=0.02)
    sentence = optimizers.literature(table)
    assert f"{holds} here" in sentence
    assert "differs by 0.010" in sentence


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop", "Adagrad", "Ftrl"])
def test_optimizer_of_the_settings_is_kerass(kind):
    made = finetuning.optimizer(TrainingSettings(optimizer=kind.lower(), learning_rate=0.02), 100)
    assert type(made) is getattr(keras.optimizers, kind)
    assert float(made.learning_rate) == pytest.approx(0.02)


def test_hidden_layer_has_its_units_and_activation():
    settings = TrainingSettings(hidden_units=7, activation="softsign", dropout=0.1)
    classes = ("all", "hem")
    head = building.head_alone(registry.TOY, settings, channels=16, classes=classes).tail
    names = [layer.name for layer in head.layers]
    assert names == ["features", "hidden", "dropout", "probabilities"]
    assert head.get_layer("hidden").units == 7
    assert head.get_layer("hidden").activation is keras.activations.softsign


@pytest.mark.parametrize("rates", ["", "a", "0.1,-1", "0.1,,0.2"])
def test_learning_rates_that_are_none_are_refused(rates):
    with pytest.raises(ValueError, match="learning_rates"):
        validate(ChoicesSettings, {"learning_rates": rates})
