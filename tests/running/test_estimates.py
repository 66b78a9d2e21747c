"""Estimates: counted multiplications agree with the networks, and the sentence with the cells."""

import math

import keras
import pandas as pd
import pytest

from allhelpers.networks import registry
from allhelpers.networks.registry import ARCHITECTURES
from allhelpers.running import estimates
from allhelpers.settings import ClassicalSettings, TrainingSettings


def multiply_adds(model):
    """Of one forward pass of convolutions, by kernel and output size."""
    total = 0
    for layer in model.layers:
        kernels = [weight for weight in layer.weights if "kernel" in weight.path.rsplit("/", 1)[-1]]
        for kernel in kernels:
            total += math.prod(kernel.shape) * layer.output.shape[1] * layer.output.shape[2]
    return total / 1e9


SLOW_TO_BUILD = ("inceptionv3", "nasnetmobile", "efficientnetv2b0", "convnexttiny")
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW_TO_BUILD)) for name in ARCHITECTURES
]


@pytest.mark.parametrize("name", NAMES)
def test_multiply_adds_are_those_of_the_network(name):
    architecture = registry.get(name)
    model = architecture.build(architecture.input_size)
    cut = architecture.cut("default")
    outputs = [model.get_layer(layer).output for layer in ([cut] if isinstance(cut, str) else cut)]
    frozen = multiply_adds(keras.Model(model.input, outputs))
    assert architecture.gmacs == pytest.approx(multiply_adds(model), rel=0.02)
    assert architecture.top_gmacs == pytest.approx(multiply_adds(model) - frozen, rel=0.05)


def test_more_trained_blocks_take_longer(monkeypatch):
    monkeypatch.setattr(estimates.machine, "gpu", lambda: None)
    each = [
        estimates.seconds(
            "mobilenet", TrainingSettings(unfreeze=part), cells=4586, training_cells=4446
        )
        for part in ("none", "default", "block_12", "block_6", "all")
    ]
    assert each == sorted(each)
    assert len(set(each)) == len(each)


def test_sentence_names_every_method_and_the_doubt():
    table = pd.DataFrame({"split": ["train"] * 6000 + ["test"] * 140})
    said = estimates.estimate({"vgg16": TrainingSettings(), "svm": ClassicalSettings()}, table)
    for part in ("VGG16", "support vector machine", "a factor of two"):
        assert part in said


def test_disk_grows_with_cells_size_and_what_is_kept_of_them():
    def gigabytes(cells=6000, **settings):
        return estimates.disk({"mobilenet": TrainingSettings(**settings)}, cells) / 1e9

    head = gigabytes(unfreeze="none")
    assert head == pytest.approx(1.1, abs=0.1)  # 0.9 of it are decoded cells of 224 pixels
    assert gigabytes(unfreeze="none", input_size=448) > 3 * head
    assert gigabytes() > 3 * head
    assert gigabytes(orientations=8) > 5 * gigabytes()


@pytest.mark.parametrize(("free", "said"), [(10**15, False), (10**6, True)])
def test_too_little_disk_is_said_before_anything_runs(monkeypatch, free, said):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(estimates.shutil, "disk_usage", lambda place: usage)
    words = estimates.room({"vgg16": TrainingSettings(cache_folder="not/there/yet")}, 6000)
    assert ("TOO LITTLE" in words) == said
    assert "memory: about 2 GB" in words
