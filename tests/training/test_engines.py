"""Whatever computes the frozen part gives Keras's features."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import loading
from allhelpers.data.manifest import OFFICIAL_CLASSES
from allhelpers.networks import building, pretrained, processor, registry
from allhelpers.networks.registry import ARCHITECTURES
from allhelpers.training import engines, finetuning, trunk
from tests.helpers import SHARED, few, needs_shared, network_of

needs_openvino = pytest.mark.skipif(
    not processor.installed(), reason="OpenVINO, which is optional, is not installed"
)
# Largest difference from Keras, as a share of the largest feature. Both round in single precision:
# from MobileNet's features in double precision Keras's differ by 1.2e-5 and OpenVINO's by 0.3e-5,
# so that the two may lie 1.5e-5 apart (measured: 1.4e-5); the bound is twice that. Random weights
# amplify rounding more.
TOLERANCES = {"openvino": 3e-5, "keras-float16": 0.1, "openvino-bfloat16": 0.15}
TOLERANCE_OF_RANDOM_WEIGHTS = 1e-3
FILES = {
    "mobilenet": "mobilenet_imagenet_notop.h5",
    "resnet50": "resnet50_imagenet_notop_neutral_conv5.h5",
}


def slow_but(names, *quick):
    """All names, those that are not quick as slow tests."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def usable(engine):
    try:
        return engines.choose(engine)
    except InputError as error:
        pytest.skip(str(error))


def with_imagenet_weights(name, settings):
    architecture = registry.get(name)
    source = pretrained.locate(architecture, str(SHARED / "weights" / FILES[name]))
    return building.build(architecture, settings, source, classes=OFFICIAL_CLASSES)


def difference(engine, network, pixels):
    expected = building.predict(network.trunk, pixels)
    computed = engines.forward(engine, network.trunk)(pixels)
    assert computed.dtype == np.float32
    return np.abs(computed - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def imagenet(make_settings):
    """Networks with ImageNet's weights, each built once."""
    settings = make_settings(unfreeze="none")
    return functools.cache(lambda name: with_imagenet_weights(name, settings))


@pytest.fixture(scope="module")
def eleven(cells):
    """A few cells at a third of their size, and no whole number of batches."""
    eleven = few(cells, count=9, val=2)
    return replace(eleven, pixels=np.ascontiguousarray(eleven.pixels[:, ::3, ::3]))


@needs_shared
@pytest.mark.parametrize("name", slow_but(FILES, "mobilenet"))
@pytest.mark.parametrize("engine", TOLERANCES)
def test_engine_gives_kerass_features(name, engine, cells, imagenet):
    pixels = few(cells, count=9, val=2).pixels  # no whole number of batches
    assert 0 < difference(usable(engine), imagenet(name), pixels) < TOLERANCES[engine]


@needs_openvino
@pytest.mark.parametrize("name", slow_but(["toy", *ARCHITECTURES], "toy", "mobilenet"))
def test_openvino_gives_kerass_features_at_every_cut(name, eleven, make_settings):
    network = network_of(name, make_settings(input_size=75), eleven)
    assert difference("openvino", network, eleven.pixels) < TOLERANCE_OF_RANDOM_WEIGHTS


@needs_openvino
@pytest.mark.parametrize("name", ["toy", "mobilenet"])
def test_maps_are_what_the_features_average(name, eleven, make_settings):
    network = network_of(name, make_settings(input_size=75, unfreeze="none"), eleven)
    maps = engines.maps_before_pooling(network.trunk)(eleven.pixels)
    features = engines.forward("openvino", network.trunk)(eleven.pixels)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), features, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_half_precision_covers_a_cut_through_two_layers(eleven, make_settings):
    trunk_of_two = network_of("nasnetmobile", make_settings(input_size=75), eleven).trunk
    expected = building.predict(trunk_of_two, eleven.pixels)
    computed = engines.forward("keras-float16", trunk_of_two)(eleven.pixels)
    assert np.corrcoef(computed.ravel(), expected.ravel())[0, 1] > 0.99


@needs_shared
@needs_openvino
def test_engine_does_not_change_who_is_predicted_leukaemic(make_settings, tmp_path):
    """ImageNet's features of the sample, a head trained on each: the same predictions, nearly the
    same probabilities."""
    p_all, keeping = {}, {"cache_folder": str(tmp_path), "input_size": 112}
    cells = loading.prepare(make_settings(**keeping))
    for engine in ("keras", "openvino"):
        settings = make_settings(unfreeze="none", engine=engine, epochs=20, **keeping)
        network = with_imagenet_weights("mobilenet", settings)
        features = trunk.compute_features(network, cells)
        finetuning.train(network, features, cells)
        p_all[engine] = finetuning.predict_cells(network, features, cells)["p_all"].to_numpy()
    np.testing.assert_allclose(p_all["openvino"], p_all["keras"], atol=1e-4)
    decided = np.abs(p_all["keras"] - 0.5) > 1e-4
    is_leukaemic = {engine: (values >= 0.5)[decided] for engine, values in p_all.items()}
    np.testing.assert_array_equal(is_leukaemic["openvino"], is_leukaemic["keras"])


@pytest.mark.parametrize(
    ("details", "installed", "chosen"),
    [
        ({"compute_capability": (7, 5)}, True, "keras-float16"),  # T4
        ({"compute_capability": (3, 7)}, True, "keras"),  # K80
        ({}, False, "keras"),  # a GPU that does not say
        (None, True, "openvino"),
        (None, False, "keras"),
    ],
)
def test_quickest_engine_of_the_machine_is_chosen(details, installed, chosen, monkeypatch):
    monkeypatch.setattr(building, "gpu", lambda: details)
    monkeypatch.setattr(processor, "installed", lambda: installed)
    assert engines.choose("auto") == chosen


def test_missing_engine_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(processor, "installed", lambda: False)
    with pytest.raises(InputError, match="pip install openvino"):
        engines.choose("openvino")


@needs_openvino
def test_bfloat16_is_refused_where_the_processor_has_none(monkeypatch):
    class Old:
        def get_property(self, *_):
            return ["FP32"]

    monkeypatch.setattr(engines.processor, "core", Old)
    with pytest.raises(InputError, match="no bfloat16"):
        engines.choose("openvino-bfloat16")


@needs_openvino
def test_engines_do_not_share_features(small_cells, make_settings, tmp_path):
    six, keeping = few(small_cells, count=4, val=2), {"cache_folder": str(tmp_path)}
    for engine in ("keras", "openvino"):
        settings = make_settings(unfreeze="none", engine=engine, input_size=64, **keeping)
        trunk.compute_features(network_of("toy", settings, six), six)
    assert len(list((tmp_path / "features").glob("*.npy"))) == 2
