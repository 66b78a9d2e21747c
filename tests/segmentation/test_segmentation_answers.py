"""Boxes and masks that exist already, and segmenters that may be installed."""

import json
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from allhelpers import InputError, segmentation
from allhelpers.segmentation import answers, cells, segmenters
from tests.segmentation import drawn

FIELD, MASKS, NUCLEI = drawn.smear([(80, 90, 26, 17), (170, 90, 26, 17)])
BOXES = [(54, 64, 107, 117), (144, 64, 197, 117)]
SHAPE = FIELD.shape


def voc(folder):
    things = "".join(
        f"<object><name>WBC</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for left, top, right, bottom in BOXES
    )
    (folder / "a.xml").write_text(f"<annotation>{things}</annotation>")


def coco(folder):
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 3, "name": "WBC"}],
        "annotations": [
            {"image_id": 1, "category_id": 3, "bbox": [left, top, right - left, bottom - top]}
            for left, top, right, bottom in BOXES
        ],
    }
    (folder / "boxes.json").write_text(json.dumps(content))


def yolo(folder):
    (folder / "data.yaml").write_text("names: [RBC, WBC]")
    lines = [
        f"1 {(left + right) / 2 / SHAPE[1]} {(top + bottom) / 2 / SHAPE[0]} "
        f"{(right - left) / SHAPE[1]} {(bottom - top) / SHAPE[0]}"
        for left, top, right, bottom in BOXES
    ]
    (folder / "a.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("write", [voc, coco, yolo])
def test_boxes_of_all_formats_are_the_same(tmp_path, write):
    write(tmp_path)
    found = segmentation.read_answers(tmp_path).of(Path("a.png"), SHAPE)
    assert [one.kind for one in found] == ["WBC", "WBC"]
    assert np.allclose([one.box for one in found], BOXES, atol=0.02)
    assert segmentation.read_answers(tmp_path).of(Path("c.png"), SHAPE) is None


def test_cells_are_segmented_inside_their_boxes():
    boxes = [answers.Answer("WBC", box) for box in BOXES]
    found = segmenters.from_answers(FIELD, boxes).cells
    for cell, mask, box in zip(found, MASKS, BOXES, strict=True):
        assert drawn.overlap(cell, "mask", mask) > 0.8
        assert cell.kind == "WBC"
        assert (np.array(cell.box[:2]) >= box[:2]).all()


def test_a_box_without_a_nucleus_is_listed():
    (cell,) = segmenters.from_answers(FIELD, [answers.Answer("WBC", (2, 2, 30, 20))]).cells
    assert cell.reason == cells.RED


def test_outlines_are_taken_as_they_are(tmp_path):
    lines = []
    for mask in MASKS:
        (outline,), _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        points = (outline[:, 0] / (SHAPE[1], SHAPE[0])).ravel()
        lines.append("0 " + " ".join(f"{value:.6f}" for value in points))
    (tmp_path / "a.txt").write_text("\n".join(lines))
    found = segmentation.read_answers(tmp_path).of(Path("a.png"), SHAPE)
    for cell, mask in zip(segmenters.from_answers(FIELD, found).cells, MASKS, strict=True):
        assert drawn.overlap(cell, "mask", mask) > 0.97


def label_image():
    labels = np.zeros(SHAPE[:2], np.uint16)
    for number, mask in enumerate(MASKS, start=1):
        labels[mask] = number
    cv2.circle(labels, (20, 20), 12, 9, -1)  # not a white cell
    return labels


@pytest.mark.parametrize("name", ["a.png", "a_cp_masks.png", "a-labelled.tif"])
def test_label_images_are_found_by_the_photographs_name(tmp_path, name):
    cv2.imwrite(str(tmp_path / name), label_image())
    labels = segmentation.read_answers(tmp_path).of(Path("a.jpg"), SHAPE)
    found = segmenters.from_labels(FIELD, labels)
    assert len(found.whole) == 2
    assert [cell.reason for cell in found.cells if cell.reason] == [cells.RED]
    tops = [cell.box[1] for cell in found.cells]
    assert tops == sorted(tops)  # whatever their numbers are
    for cell, inner in zip(found.whole, NUCLEI, strict=True):
        assert drawn.overlap(cell, "nucleus", inner) > 0.8


def test_a_label_image_of_another_size_is_an_error(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 20), np.uint8))
    with pytest.raises(InputError, match="export it at full size"):
        segmentation.read_answers(tmp_path).of(Path("a.jpg"), SHAPE)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xml", "<annotation><object><name>W</name></object></annotation>", "no VOC file"),
        ("a.xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><annotation/>", "entities"),
        ("a.txt", "0 one two", "line 1"),
        ("a.json", '{"images": 3}', "no COCO file"),
        ("a.doc", "x", "no boxes or masks"),
    ],
)
def test_answers_that_make_no_sense(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        segmentation.read_answers(tmp_path).of(Path("a.png"), SHAPE)


def test_names_tell_white_cells_from_others():
    found = [answers.Answer(kind, (0, 0, 1, 1)) for kind in ("WBC", "RBC", "Platelets", "Monocyte")]
    assert [one.kind for one in answers.white(found, ())] == ["WBC", "Monocyte"]
    assert [one.kind for one in answers.white(found, ("RBC",))] == ["RBC"]


def stand_in(monkeypatch, name, **content):
    """Put a module into the place of one that is not installed."""
    parent, _, child = name.partition(".")
    monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    module = types.ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_cellpose_is_called_and_its_cells_are_read(monkeypatch):
    asked = {}

    class CellposeModel:
        def __init__(self, gpu):
            asked["gpu"] = gpu

        def eval(self, image, diameter, channels):
            asked.update(diameter=diameter, channels=channels)
            return label_image(), None, None

    stand_in(monkeypatch, "cellpose.models", CellposeModel=CellposeModel)
    stand_in(monkeypatch, "cellpose.core", use_gpu=lambda: False)
    segmenters._cellpose_model.cache_clear()
    found = segmenters.get("cellpose")(FIELD, red_cell_diameter=30)
    segmenters._cellpose_model.cache_clear()
    assert len(found.whole) == 2
    assert asked == {"gpu": False, "diameter": 45.0, "channels": [0, 0]}


def test_stardists_nuclei_get_their_cells(monkeypatch):
    class StarDist2D:
        @classmethod
        def from_pretrained(cls, name):
            assert name == "2D_versatile_he"
            return cls()

        def predict_instances(self, image):
            assert image.max() < 1.2
            labels = np.zeros(SHAPE[:2], np.int32)
            for number, nucleus in enumerate(NUCLEI, start=1):
                labels[nucleus] = number
            return labels, {}

    stand_in(monkeypatch, "stardist.models", StarDist2D=StarDist2D)
    segmenters._stardist_model.cache_clear()
    found = segmenters.get("stardist")(FIELD, red_cell_diameter=30).whole
    segmenters._stardist_model.cache_clear()
    for cell, mask in zip(found, MASKS, strict=True):
        assert drawn.overlap(cell, "mask", mask) > 0.8


def test_a_segmenter_that_is_not_installed_or_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "cellpose.models", None)
    segmenters._cellpose_model.cache_clear()
    with pytest.raises(InputError, match="pip install cellpose"):
        segmenters.get("cellpose")(FIELD)
    with pytest.raises(InputError, match="choose from embedded, cellpose, stardist"):
        segmenters.get("watershed")
