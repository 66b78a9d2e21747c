"""The frozen part runs once."""

import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import orientations
from allhelpers.data.orientations import ORIENTATIONS, OrientedPixels
from allhelpers.networks import building
from allhelpers.training import engines, trunk
from tests.helpers import few, network_of


def test_orientations_are_the_eight_symmetries_of_a_square():
    image = np.arange(2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    seen = {orientations.orient(image, k).tobytes() for k in range(ORIENTATIONS)}
    assert len(seen) == 8
    np.testing.assert_array_equal(orientations.orient(image, 0), image)


def test_each_orientation_has_its_own_features(small_cells, make_settings, tmp_path):
    six = few(small_cells, count=4, val=2)
    keeping = {"features": "float32", "cache_folder": str(tmp_path), "input_size": 64}
    network = network_of("toy", make_settings(orientations=8, engine="keras", **keeping), six)
    features = trunk.compute_features(network, six)
    assert features.shape == (8, 6, 16, 16, 16)
    turned = building.predict(network.trunk, orientations.orient(six.pixels, 5))
    np.testing.assert_allclose(features[5], turned, atol=1e-5)


def test_features_are_computed_once(small_cells, make_settings, tmp_path, monkeypatch):
    six = few(small_cells, count=4, val=2)
    asked = {"unfreeze": "none", "cache_folder": str(tmp_path), "input_size": 64}
    network = network_of("toy", make_settings(**asked), six)
    before = np.array(trunk.compute_features(network, six))

    def never(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(engines, "forward", never)
    np.testing.assert_array_equal(trunk.compute_features(network, six), before)
    other = network_of("toy", make_settings(seed=7, **asked), six)
    with pytest.raises(AssertionError):  # other weights are other features
        trunk.compute_features(other, six)


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
