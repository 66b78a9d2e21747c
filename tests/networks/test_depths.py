"""A head on several depths: what it sees is what it says, and the saved model does it all."""

import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data.images import CELL_MARGIN, cut_to_cell
from allhelpers.networks import building, registry
from allhelpers.training import finetuning, trunk
from tests.helpers import network_of


@pytest.fixture
def network(small_cells, make_settings):
    settings = make_settings(
        input_size=64,
        unfreeze="none",
        depths="block1,block2",
        pooling="cell",
        standardise=True,
        weight_decay=0.01,
        brighten=2.0,
        epochs=3,
    )
    return network_of("toy", settings, small_cells)


def test_features_of_two_depths_stand_side_by_side(network, small_cells):
    assert building.predict(network.trunk, small_cells.pixels[:4]).shape == (4, 8 + 16)


def test_black_around_a_cell_does_not_dilute_its_features(network):
    cell = np.full((16, 16, 3), 120, np.uint8)
    means = []
    for side in (16, 32):
        image = np.zeros((1, 64, 64, 3), np.uint8)
        image[0, 16 : 16 + side, 16 : 16 + side] = np.tile(cell, (side // 16, side // 16, 1))
        means.append(building.predict(network.trunk, image)[0])
    whole = [mean / np.abs(mean).max() for mean in means]
    assert np.abs(whole[0] - whole[1]).max() < 0.5  # not the factor of four of the areas


def test_the_tail_begins_with_standardised_features(network, small_cells):
    features = trunk.compute_features(network, small_cells)
    finetuning.train(network, features, small_cells, quiet=True)
    layer = network.tail.get_layer(building.STANDARDISE)
    rows = small_cells.rows("train")
    standardised = np.asarray(layer(features[0][rows]))
    varies = features[0][rows].std(axis=0) > 1e-3
    assert np.abs(standardised.mean(axis=0)[varies]).max() < 1e-3
    assert np.abs(standardised.std(axis=0)[varies] - 1).max() < 1e-2
    pixels = small_cells.pixels[:4]
    through_tail = building.predict(network.tail, features[0][:4])
    np.testing.assert_allclose(building.predict(network.full, pixels), through_tail, atol=1e-4)


@pytest.mark.parametrize(
    ("other", "remedy"),
    [({"unfreeze": "default"}, "unfreeze = none"), ({"batch_norm": "all"}, "batch_norm = tail")],
)
@pytest.mark.parametrize("asked", [{"depths": "block1"}, {"standardise": True}])
def test_what_needs_frozen_blocks_is_refused_without_them(make_settings, asked, other, remedy):
    with pytest.raises(ValueError, match=f"a head on frozen blocks: set {remedy}"):
        make_settings(**{"unfreeze": "none", **asked, **other})


def test_an_unknown_depth_is_refused_by_name():
    with pytest.raises(InputError, match="depths names 'block9'"):
        registry.get("toy").end("block9")


@pytest.mark.parametrize("side", [40, 200])
def test_a_cell_is_cut_out_whatever_its_size_and_place(side):
    image = np.zeros((450, 450, 3), np.uint8)
    image[30 : 30 + side, 100 : 100 + side] = 99
    cut = cut_to_cell(image, 100)
    inner = round(100 / (1 + CELL_MARGIN))
    assert cut.shape == (100, 100, 3)
    assert cut.any(axis=-1).sum() == inner**2
    assert set(np.unique(cut)) == {0, 99}


@pytest.mark.parametrize("change", [{"brighten": 1.5}, {"pooling": "image"}, {"depths": "block2"}])
def test_another_view_of_the_cells_has_features_of_its_own(small_cells, make_settings, change):
    """Brightening and pooling have no weights: only their settings tell their features apart."""
    view = {"depths": "block1,block2", "pooling": "cell", "brighten": 2.0}
    computed = []
    for differing in ({}, change):
        settings = make_settings(input_size=64, unfreeze="none", **{**view, **differing})
        built = network_of("toy", settings, small_cells)
        computed.append(np.asarray(trunk.compute_features(built, small_cells)))
    first, second = computed
    assert first.shape != second.shape or not np.allclose(first, second)
