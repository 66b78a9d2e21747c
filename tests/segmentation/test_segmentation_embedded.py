"""The embedded segmenter on drawn fields, and its figures on real ones."""

import cv2
import numpy as np
import pytest

from allhelpers import InputError, segmentation
from allhelpers.segmentation import cells, embedded, nuclei, stain
from tests.segmentation import drawn

ONE = [(120, 90, 26, 17)]


def test_a_cell_and_its_nucleus_are_found_and_red_cells_are_not():
    field, masks, inner = drawn.smear(ONE)
    found = segmentation.segment(field)
    (cell,) = found.cells
    assert cell.reason == ""
    assert drawn.overlap(cell, "mask", masks[0]) > 0.85
    assert drawn.overlap(cell, "nucleus", inner[0]) > 0.85
    assert found.red_cell_diameter == pytest.approx(2 * drawn.RED_RADIUS, rel=0.25)


@pytest.mark.parametrize("factor", [0.6, 2.5])
def test_size_of_the_photograph_does_not_matter(factor):
    field, masks, _ = drawn.smear(ONE)
    resized = cv2.resize(field, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    true = cv2.resize(masks[0].astype(np.uint8), resized.shape[1::-1]) > 0
    (cell,) = segmentation.segment(resized).cells
    assert drawn.overlap(cell, "mask", true) > 0.8


@pytest.mark.parametrize("tint", [(1, 1, 0.55), (0.9, 0.8, 1), (0.7, 0.7, 0.7)])
def test_tint_of_the_light_does_not_matter(tint):
    field, masks, _ = drawn.smear(ONE)
    (cell,) = segmentation.segment((field * np.array(tint)).astype(np.uint8)).cells
    assert drawn.overlap(cell, "mask", masks[0]) > 0.8


def test_lobes_of_one_nucleus_are_one_cell():
    field, _, _ = drawn.smear([(120, 90, 30, 8, 3)])
    assert len(segmentation.segment(field).cells) == 1


def test_touching_cells_are_separated():
    field, masks, _ = drawn.smear([(95, 90, 25, 16), (143, 90, 25, 16)])
    found = segmentation.segment(field).whole
    assert len(found) == 2
    for cell, mask in zip(sorted(found, key=lambda cell: cell.box), masks, strict=True):
        assert drawn.overlap(cell, "mask", mask) > 0.75


def test_touching_nuclei_are_separated():
    field, _, _ = drawn.smear([(100, 90, 24, 20), (141, 90, 24, 20)])
    assert len(segmentation.segment(field).cells) == 2


def test_a_cell_cut_by_the_border_is_listed_and_not_guessed():
    field, _, _ = drawn.smear([(12, 90, 26, 17), (150, 90, 26, 17)])
    found = segmentation.segment(field)
    assert [cell.reason for cell in found.cells if cell.touches_border] == [cells.BORDER]
    assert len(found.whole) == 1


def test_platelets_are_no_cells():
    field, _, _ = drawn.smear()
    for place in ((40, 40), (120, 90), (200, 150)):
        cv2.circle(field, place, 4, drawn.PLATELET, -1)
    assert segmentation.segment(field).cells == []


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_field_holds_nothing(level):
    found = segmentation.segment(np.full((100, 120, 3), level, np.uint8))
    assert (found.cells, found.note) == ([], "No white cells were found.")


def test_a_portrait_holds_no_cells_and_is_doubted():
    portrait = np.full((240, 200, 3), (180, 190, 200), np.uint8)
    cv2.ellipse(portrait, (100, 100), (50, 65), 0, 0, 360, (60, 45, 35), -1)  # hair
    cv2.ellipse(portrait, (100, 120), (38, 50), 0, 0, 360, (224, 172, 140), -1)  # skin
    for eye in (85, 115):
        cv2.circle(portrait, (eye, 110), 6, (30, 25, 20), -1)
    found = segmentation.segment(portrait)
    assert found.cells == []
    assert "is it a stained smear?" in found.note


def nearest(found, place):
    return min(
        found, key=lambda cell: abs(cell.box[0] + 26 - place[0]) + abs(cell.box[1] + 26 - place[1])
    )


def test_a_scan_in_tiles_gives_each_cell_once(monkeypatch):
    places = [(x, y, 26, 17) for x in (60, 180, 300) for y in (60, 180, 300)]
    field, _, _ = drawn.smear(places, size=(360, 360), reds=12)
    at_once = segmentation.segment(field, red_cell_diameter=30)
    monkeypatch.setattr("allhelpers.segmentation.fields.TILE", 170)
    in_tiles = segmentation.segment(field, red_cell_diameter=30)
    assert len(at_once.cells) == len(in_tiles.cells) == 9
    for place in places:
        one, other = (nearest(found.cells, place) for found in (at_once, in_tiles))
        assert np.abs(np.subtract(one.box, other.box)).max() <= 3


def test_what_is_no_rgb_image_is_an_error():
    with pytest.raises(InputError, match="RGB image of type uint8"):
        segmentation.segment(np.zeros((50, 50), np.uint8))


def test_a_ragged_nucleus_without_cytoplasm_is_a_smudge():
    field, _, _ = drawn.smear()
    points = [(90, 60), (150, 66), (128, 92), (160, 120), (112, 104), (84, 126), (100, 92)]
    cv2.fillPoly(field, [np.array(points, np.int32)], drawn.NUCLEUS)
    (cell,) = segmentation.segment(cv2.GaussianBlur(field, (0, 0), 1)).cells
    assert cell.reason == cells.SMUDGE


def test_density_is_none_on_glass_and_grows_with_the_stain():
    field, masks, inner = drawn.smear(ONE)
    total = stain.total(stain.density(field))
    assert abs(np.median(total)) < 0.05
    assert total[inner[0]].mean() > total[masks[0] & ~inner[0]].mean() > 0.1


def test_holes_are_filled_up_to_a_size():
    mask = np.ones((20, 20), bool)
    mask[3:5, 3:5] = mask[10:16, 10:16] = False
    filled = nuclei.fill_holes(mask, 10)
    assert filled[3, 3]
    assert not filled[12, 12]


def test_full_size_keeps_the_place():
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:50] = True
    cell = cells.from_mask(mask, mask, 1)
    assert embedded.full_size(cell, (120, 160), (60, 80)).box == (40, 20, 100, 60)


@drawn.needs_smears
def test_real_cells_are_found():
    paths = sorted((drawn.SMEARS / "fields").glob("*.jpg"))[1:25:4]
    found = [segmentation.segment(segmentation.read_field(path)) for path in paths]
    assert sum(len(one.cells) for one in found) >= len(paths)


@drawn.needs_smears
@pytest.mark.parametrize("kind", ["cells_1", "cells_2"])
def test_real_masks_are_met(kind):
    scores = []
    for path in sorted((drawn.SMEARS / kind).glob("*.webp"))[0:40:6]:
        mask = cv2.imread(str(path).replace(".webp", "_mask.png"), cv2.IMREAD_GRAYSCALE) > 100
        field = segmentation.read_field(path)
        found = segmentation.segment(field).cells
        scores.append(max((drawn.overlap(c, "mask", mask) for c in found), default=0))
    assert np.median(scores) > 0.85
