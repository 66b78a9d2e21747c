"""A backbone with a new head, cut into trunk and tail."""

import numpy as np
import pytest

from allhelpers.networks import building, registry
from allhelpers.networks.pretrained import Weights
from allhelpers.networks.registry import ARCHITECTURES
from tests.helpers import few, network_of, norms

NAMES = tuple(ARCHITECTURES)
RANDOM = Weights("random")


@pytest.mark.parametrize("unfreeze", ["none", "default", "block_12"])
def test_full_model_is_tail_after_trunk(unfreeze, cells, make_settings):
    some = few(cells)
    network = network_of("mobilenet", make_settings(unfreeze=unfreeze), some)
    features = building.predict(network.trunk, some.pixels)
    np.testing.assert_allclose(
        building.predict(network.full, some.pixels),
        building.predict(network.tail, features),
        atol=1e-6,
    )


@pytest.mark.parametrize(("choice", "trained"), [("tail", 3), ("frozen", 0), ("all", 53)])
def test_batch_norm_setting_of_resnet50(choice, trained, cells, make_settings):
    network = network_of("resnet50", make_settings(batch_norm=choice), few(cells))
    layers = {
        layer.name: layer for model in (network.trunk, network.tail) for layer in norms(model)
    }
    assert len(layers) == 53
    assert sum(layer.trainable for layer in layers.values()) == trained
    convolutions = [
        w.path
        for w in network.tail.trainable_weights
        if w.path.endswith("kernel") and "conv5" in w.path
    ]
    assert {path.split("/")[-2] for path in convolutions} == {
        f"conv5_block3_{k}_conv" for k in (1, 2, 3)
    }


def test_number_of_trained_parameters(cells, make_settings):
    head = network_of("mobilenet", make_settings(unfreeze="none"), few(cells)).parameters()
    assert head == {"total": 3_228_864 + 2_050, "trained": 2_050}
    vgg = building.build(
        registry.get("vgg16"), make_settings(), None, classes=("all", "hem")
    ).parameters()
    assert vgg == {"total": 14_714_688 + 1_026, "trained": 3 * (9 * 512 * 512 + 512) + 1_026}


def test_dropout_and_inertia_of_batch_norm_are_set(cells, make_settings):
    network = network_of("mobilenet", make_settings(dropout=0.3, norm_momentum=0.9), few(cells))
    assert network.tail.get_layer("dropout").rate == 0.3
    assert {layer.momentum for layer in norms(network.tail)} == {0.9}
    assert network.parameters() == network_of("mobilenet", make_settings(), few(cells)).parameters()
