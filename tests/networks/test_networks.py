"""A backbone with a new head, cut into trunk and tail."""

import numpy as np
import pytest

from allhelpers.networks import building, registry
from allhelpers.networks.pretrained import Weights
from tests.helpers import few, network_of, norms


@pytest.mark.parametrize("unfreeze", ["none", "default", "block2"])
def test_full_model_is_tail_after_trunk(unfreeze, small_cells, make_settings):
    pixels = few(small_cells).pixels
    network = network_of("toy", make_settings(unfreeze=unfreeze, input_size=64), few(small_cells))
    features = building.predict(network.trunk, pixels)
    np.testing.assert_allclose(
        building.predict(network.full, pixels),
        building.predict(network.tail, features),
        atol=1e-6,
    )


SLOW = pytest.mark.slow
TRAINED = {"toy": ["block3_conv"], "resnet50": [f"conv5_block3_{k}_conv" for k in (1, 2, 3)]}


@pytest.mark.parametrize(
    ("name", "choice", "trained"),
    [
        ("toy", "tail", 1),
        ("toy", "frozen", 0),
        ("toy", "all", 4),
        ("resnet50", "tail", 3),
        pytest.param("resnet50", "frozen", 0, marks=SLOW),
        pytest.param("resnet50", "all", 53, marks=SLOW),
    ],
)
def test_batch_norm_setting(name, choice, trained, small_cells, make_settings):
    settings = make_settings(batch_norm=choice, input_size=64)
    network = network_of(name, settings, few(small_cells))
    layers = {layer.name: layer for part in (network.trunk, network.tail) for layer in norms(part)}
    assert len(layers) == {"toy": 4, "resnet50": 53}[name]
    assert sum(layer.trainable for layer in layers.values()) == trained
    weights = [w.path.split("/") for w in network.tail.trainable_weights]
    assert [layer for *_, layer, w in weights if "conv" in layer and w == "kernel"] == TRAINED[name]


def test_number_of_trained_parameters(make_settings):
    def counted(name, **changes):
        settings = make_settings(**changes)
        built = building.build(registry.get(name), settings, None, classes=("all", "hem"))
        return built.parameters()

    head = counted("mobilenet", unfreeze="none")
    assert head == {"total": 3_228_864 + 2_050, "trained": 2_050}
    vgg16 = counted("vgg16")
    assert vgg16 == {"total": 14_714_688 + 1_026, "trained": 3 * (9 * 512 * 512 + 512) + 1_026}


def test_dropout_and_inertia_of_batch_norm_are_set(small_cells, make_settings):
    few_cells, size = few(small_cells), {"input_size": 64}
    network = network_of(
        "toy", make_settings(dropout=0.3, batch_norm_momentum=0.9, **size), few_cells
    )
    assert network.tail.get_layer("dropout").rate == 0.3
    assert {layer.momentum for layer in norms(network.tail)} == {0.9}
    plain = network_of("toy", make_settings(**size), few_cells)
    assert network.parameters() == plain.parameters()


@pytest.mark.parametrize("source", ["random", "imagenet"])
def test_weights_that_are_not_there_yet_are_an_error(source, make_settings):
    with pytest.raises(ValueError, match="random weights need cells, and others a file"):
        building.build(registry.TOY, make_settings(), Weights(source), classes=("a", "b"))


@pytest.mark.parametrize(
    ("details", "name"), [(None, "CPU"), ({"device_name": "Tesla T4"}, "Tesla T4"), ({}, "GPU")]
)
def test_device_is_named(details, name, monkeypatch):
    monkeypatch.setattr(building, "gpu", lambda: details)
    assert building.device() == name
