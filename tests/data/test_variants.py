"""Variants of a cell: the same everywhere, near the cell, and on black; they are trained on alike
with and without a frozen part.
"""

import numpy as np
import pytest

from allhelpers.data.orientations import ORIENTATIONS, OrientedPixels, orient, show
from allhelpers.networks import building, registry
from allhelpers.networks.pretrained import Weights
from allhelpers.training import finetuning, trunk


def test_a_variant_belongs_to_the_cell_and_not_to_its_row(small_cells):
    pixels = np.asarray(small_cells.pixels[:4])
    variants = show(pixels, ORIENTATIONS)
    assert variants.dtype == np.uint8
    np.testing.assert_array_equal(show(pixels[2:3], ORIENTATIONS)[0], variants[2])
    assert not np.array_equal(show(pixels, ORIENTATIONS + 1), variants)


def test_a_variant_is_the_cell_turned_zoomed_and_stained_a_little(small_cells):
    pixels = np.asarray(small_cells.pixels[:8])
    variants = show(pixels, ORIENTATIONS)
    areas, before = ((each > 0).any(axis=-1).sum(axis=(1, 2)) for each in (variants, pixels))
    assert (np.abs(np.sqrt(areas / before) - 1) < 0.15).all()
    assert len(set(np.round(areas / before, 2))) > 2
    for cell, variant in zip(pixels, variants, strict=True):
        distances = [
            np.abs(orient(cell[np.newaxis], turn)[0].astype(int) - variant).mean()
            for turn in range(ORIENTATIONS)
        ]
        assert min(distances) < 25
        assert min(distances) > 0
    assert not show(np.zeros_like(pixels[:1]), ORIENTATIONS).any()  # black stays black


@pytest.mark.parametrize("orientations", [1, 8])
def test_training_shows_orientations_and_variants_and_nothing_else(make_settings, orientations):
    settings = make_settings(orientations=orientations, variants=2, tta=4)
    rows = np.arange(400)
    _, places = finetuning.epoch_order(rows, 0, settings)
    shown = {settings.views[place] for place in places}
    assert shown == {*range(orientations), ORIENTATIONS, ORIENTATIONS + 1}


def test_features_of_variants_are_those_of_their_pixels(small_cells, make_settings):
    settings = make_settings(input_size=64, unfreeze="none", variants=2)
    network = building.build(registry.get("toy"), settings, Weights("random"), cells=small_cells)
    features = trunk.compute_features(network, small_cells)
    assert features.shape[:2] == (3, len(small_cells.table))
    varied = show(np.asarray(small_cells.pixels[:5]), ORIENTATIONS + 1)
    np.testing.assert_allclose(
        features[2, :5], building.predict(network.trunk, varied), rtol=1e-3, atol=1e-3
    )
    views = OrientedPixels(small_cells.pixels, settings.views)
    np.testing.assert_array_equal(views[np.array([2, 2]), np.array([0, 1])], varied[:2])
