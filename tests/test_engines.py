"""Whatever computes the frozen part gives Keras's features."""

import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data.manifest import OFFICIAL_CLASSES
from allhelpers.networks import building, pretrained, registry
from allhelpers.networks.registry import ARCHITECTURES
from allhelpers.training import engines, finetuning, trunk
from tests.helpers import SHARED, few, needs_shared, network_of

needs_openvino = pytest.mark.skipif(
    not engines._installed(), reason="OpenVINO, which is optional, is not installed"
)
# Largest difference from Keras, as a share of the largest feature; random weights amplify rounding more.
TOLERANCES = {"openvino": 1e-5, "keras-float16": 0.1, "openvino-bfloat16": 0.15}
TOLERANCE_OF_RANDOM_WEIGHTS = 1e-3
FILES = {
    "mobilenet": "mobilenet_imagenet_notop.h5",
    "resnet50": "resnet50_imagenet_notop_neutral_conv5.h5",
}


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


@needs_shared
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("engine", TOLERANCES)
def test_engine_gives_kerass_features(name, engine, cells, make_settings):
    some = few(cells, count=9, valid=2)  # no whole number of batches
    network = with_imagenet_weights(name, make_settings(unfreeze="none"))
    assert 0 < difference(usable(engine), network, some.pixels) < TOLERANCES[engine]


@needs_openvino
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_openvino_gives_kerass_features_at_every_cut(name, cells, make_settings):
    some = few(cells, count=9, valid=2)
    network = network_of(name, make_settings(), some)
    assert difference("openvino", network, some.pixels) < TOLERANCE_OF_RANDOM_WEIGHTS


def test_half_precision_covers_a_cut_through_two_layers(cells, make_settings):
    some = few(cells, count=4, valid=2)
    trunk_of_two = network_of("nasnetmobile", make_settings(), some).trunk
    expected = building.predict(trunk_of_two, some.pixels)
    computed = engines.forward("keras-float16", trunk_of_two)(some.pixels)
    assert np.corrcoef(computed.ravel(), expected.ravel())[0, 1] > 0.99


@needs_shared
@needs_openvino
def test_engine_does_not_change_who_is_called_leukaemic(cells, make_settings, tmp_path):
    """ImageNet's features of the sample, a head trained on each: the same calls, nearly the same probabilities."""
    found = {}
    for engine in ("keras", "openvino"):
        settings = make_settings(
            unfreeze="none", engine=engine, epochs=20, cache_folder=str(tmp_path)
        )
        network = with_imagenet_weights("mobilenet", settings)
        features = trunk.compute_features(network, cells, settings)
        finetuning.train(network, features, cells, settings)
        found[engine] = finetuning.predict_cells(network, features, cells)["p_all"].to_numpy()
    np.testing.assert_allclose(found["openvino"], found["keras"], atol=1e-4)
    decided = np.abs(found["keras"] - 0.5) > 1e-4
    np.testing.assert_array_equal(
        (found["openvino"] >= 0.5)[decided], (found["keras"] >= 0.5)[decided]
    )


@pytest.mark.parametrize(
    ("capability", "installed", "chosen"),
    [
        ((7, 5), True, "keras-float16"),  # T4
        ((3, 7), True, "keras"),  # K80
        ((0, 0), False, "keras"),  # a GPU that does not say
        (None, True, "openvino"),
        (None, False, "keras"),
    ],
)
def test_quickest_engine_of_the_machine_is_chosen(capability, installed, chosen, monkeypatch):
    monkeypatch.setattr(engines, "compute_capability", lambda: capability)
    monkeypatch.setattr(engines, "_installed", lambda: installed)
    assert engines.choose("auto") == chosen


def test_missing_engine_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(engines, "_installed", lambda: False)
    with pytest.raises(InputError, match="pip install openvino"):
        engines.choose("openvino")


@needs_openvino
def test_bfloat16_is_refused_where_the_processor_has_none(monkeypatch):
    class Old:
        def get_property(self, *_):
            return ["FP32"]

    monkeypatch.setattr(engines, "_core", Old)
    with pytest.raises(InputError, match="no bfloat16"):
        engines.choose("openvino-bfloat16")


@needs_openvino
def test_engines_do_not_share_features(cells, make_settings, tmp_path):
    some = few(cells, count=4, valid=2)
    for engine in ("keras", "openvino"):
        settings = make_settings(unfreeze="none", engine=engine, cache_folder=str(tmp_path))
        trunk.compute_features(network_of("mobilenet", settings, some), some, settings)
    assert len(list((tmp_path / "features").glob("*.npy"))) == 2
