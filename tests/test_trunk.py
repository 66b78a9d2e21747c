"""The frozen part runs once."""

import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import orientations
from allhelpers.data.orientations import ORIENTATIONS, OrientedPixels
from allhelpers.networks import building
from allhelpers.networks.pretrained import Weights
from allhelpers.networks.registry import ARCHITECTURES
from allhelpers.training import engines, trunk
from tests.helpers import few, network_of

NAMES = tuple(ARCHITECTURES)
RANDOM = Weights("random")


def test_orientations_are_the_eight_symmetries_of_a_square():
    picture = np.arange(2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    seen = {orientations.orient(picture, k).tobytes() for k in range(ORIENTATIONS)}
    assert len(seen) == 8
    np.testing.assert_array_equal(orientations.orient(picture, 0), picture)


def test_each_orientation_has_its_own_features(cells, make_settings, tmp_path):
    some = few(cells, count=4, valid=2)
    settings = make_settings(
        orientations=8, engine="keras", features="float32", cache_folder=str(tmp_path)
    )
    network = network_of("mobilenet", settings, some)
    features = trunk.compute_features(network, some, settings)
    assert features.shape == (8, 6, 7, 7, 1024)
    turned = building.predict(network.trunk, orientations.orient(some.pixels, 5))
    np.testing.assert_allclose(features[5], turned, atol=1e-5)


def test_features_are_computed_once(cells, make_settings, tmp_path, monkeypatch):
    some, settings = (
        few(cells, count=4, valid=2),
        make_settings(unfreeze="none", cache_folder=str(tmp_path)),
    )
    network = network_of("mobilenet", settings, some)
    before = np.array(trunk.compute_features(network, some, settings))

    def never(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(engines, "forward", never)
    np.testing.assert_array_equal(trunk.compute_features(network, some, settings), before)
    with pytest.raises(AssertionError):  # other weights are other features
        trunk.compute_features(network_of("mobilenet", make_settings(seed=7), some), some, settings)


def test_features_too_large_for_half_precision_are_refused():
    with pytest.raises(InputError, match="features = float32"):
        trunk.check_range(np.array([1e5], np.float32), "float16")
    with pytest.raises(InputError, match="not finite"):
        trunk.check_range(np.array([np.nan], np.float32), "float32")


def test_pixels_are_turned_when_they_are_read(cells):
    pixels = np.asarray(cells.pixels[:4])
    eight = np.stack([orientations.orient(pixels, k) for k in range(8)])
    lazy = OrientedPixels(pixels)
    assert lazy.shape == eight.shape
    np.testing.assert_array_equal(lazy[3], eight[3])
    np.testing.assert_array_equal(lazy[5, [2, 0]], eight[5, [2, 0]])
    np.testing.assert_array_equal(lazy[np.array([7, 0]), np.array([1, 3])], eight[[7, 0], [1, 3]])
