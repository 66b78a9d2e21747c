"""Reading photographs, and whose they are."""

import cv2
import numpy as np
import pandas as pd
import pytest

from allhelpers import InputError, segmentation
from allhelpers.segmentation import fields, labels
from tests.segmentation import drawn


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.bmp", "a.webp"])
def test_formats_are_read_in_rgb(tmp_path, name):
    image = np.full((40, 50, 3), (200, 120, 60), np.uint8)
    read = segmentation.read_field(drawn.write(tmp_path / name, image))
    assert read.shape == image.shape
    assert np.abs(read.astype(int) - image).max() <= 6


@pytest.mark.parametrize(("most", "depth"), [(1000, 10), (4000, 12), (60_000, 16)])
def test_sixteen_bits_are_reduced_by_the_cameras_depth(tmp_path, most, depth):
    field = np.full((40, 40, 3), most, np.uint16)
    cv2.imwrite(str(tmp_path / "a.tif"), field)
    assert segmentation.read_field(tmp_path / "a.tif").max() == most >> (depth - 8)


def test_a_field_of_sixteen_bits_gives_the_same_cells(tmp_path):
    field, _, _ = drawn.smear([(120, 90, 26, 17)])
    deep = cv2.cvtColor(field, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "a.tif"), deep)
    both = (field, segmentation.read_field(tmp_path / "a.tif"))
    one, other = (segmentation.segment(field).cells for field in both)
    assert [cell.box for cell in one] == [cell.box for cell in other]


def test_transparency_is_dropped(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 40, 4), 200, np.uint8))
    assert segmentation.read_field(tmp_path / "a.png").shape == (40, 40, 3)


def cut_off(path):
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b""), "empty file"),
        (lambda path: path.write_text("hello"), "no JPEG"),
        (lambda path: cv2.imwrite(str(path), np.zeros((40, 40), np.uint8)), "grey"),
        (lambda path: cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8)), "too few"),
        (cut_off, "damaged"),
        (lambda path: None, "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path, make, words):
    make(tmp_path / "a.png")
    with pytest.raises(InputError, match=words) as caught:
        segmentation.read_field(tmp_path / "a.png")
    assert "a.png" in str(caught.value)


def test_a_file_that_claims_a_huge_image_is_not_decoded(tmp_path):
    path = drawn.write(tmp_path / "a.bmp", np.zeros((40, 40, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[18:26] = (40_000).to_bytes(4, "little") * 2
    path.write_bytes(content)
    with pytest.raises(InputError, match="40,000 x 40,000"):
        segmentation.read_field(path)


def test_fields_are_found_by_their_endings(tmp_path):
    for name in ("b.JPG", "sub/a.tiff", ".hidden.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    names = [path.name for path in segmentation.find_fields(tmp_path)]
    assert names == ["b.JPG", "a.tiff"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no photographs"):
        segmentation.find_fields(tmp_path / "none")
    with pytest.raises(InputError, match="does not exist"):
        segmentation.find_fields(tmp_path / "nowhere")


def test_tiles_cover_each_pixel_once():
    seen = np.zeros((700, 900), int)
    for _, inner in fields.tiles(seen.shape, margin=20, scale=8):
        seen[inner] += 1
    assert (seen == 1).all()


def of_fields(tmp_path, *names, **options):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return labels.of_fields(segmentation.find_fields(tmp_path), tmp_path, **options)


@pytest.mark.parametrize(
    ("names", "label", "whose"),
    [
        (["blast/p1/a.png", "normal/p2/b.png"], "", [["blast", "p1"], ["normal", "p2"]]),
        (["a.png"], "", [["unlabelled", "unknown-patient_a"]]),  # nothing is made up
        (["p1/a.png", "p2/b.png"], "blast", [["blast", "p1"], ["blast", "p2"]]),
    ],
)
def test_class_and_patient_come_from_the_folders(tmp_path, names, label, whose):
    found = of_fields(tmp_path, *names, label=label)
    assert found[["label", "patient"]].to_numpy().tolist() == whose


def test_different_depths_are_an_error(tmp_path):
    with pytest.raises(InputError, match="different depths"):
        of_fields(tmp_path, "a.png", "blast/b.png")


def test_a_table_tells_and_what_it_lacks_is_left_out(tmp_path):
    table = tmp_path / "fields.csv"
    row = {"label": "blast", "patient": "7", "micrometres_per_pixel": 0.1}
    listed = {"field": "a.png", "file": "of a cell", **row}  # another column, not another name
    pd.DataFrame([listed]).to_csv(table, index=False)
    found = of_fields(tmp_path, "a.png", "b.png", table=table)
    assert found["problem"].tolist() == ["", "not in the table fields.csv"]
    assert found.iloc[0][list(row)].to_dict() == row


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"name": ["a.png"]}, "no column field"),
        ({"field": ["c.png"]}, "not there"),
        ({"field": ["a.png", "./a.png"]}, "more than once"),
        ({"field": ["a.png"], "micrometres_per_pixel": ["wide"]}, "micrometres per pixel"),
        ({"field": ["a.png"], "label": ["../up"]}, "name of a folder"),
    ],
)
def test_tables_that_make_no_sense(tmp_path, rows, words):
    pd.DataFrame(rows).to_csv(tmp_path / "fields.csv", index=False)
    with pytest.raises(InputError, match=words):
        of_fields(tmp_path, "a.png", table=tmp_path / "fields.csv")


def test_fields_of_one_name_in_two_folders_stay_apart(tmp_path):
    found = of_fields(tmp_path, "blast/a.png", "normal/a.png")
    assert found["patient"].nunique() == 2
