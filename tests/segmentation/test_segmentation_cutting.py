"""From photographs to the folder of cells."""

import ast
import importlib
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from allhelpers import InputError, segmentation
from allhelpers.data import own_cells, sources
from allhelpers.segmentation import cells, command, writing
from tests.segmentation import drawn


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two classes, three patients; one photograph is damaged, one has no white cells."""
    folder = tmp_path_factory.mktemp("photographs")
    one, _, _ = drawn.smear([(120, 90, 26, 17)])
    two, _, _ = drawn.smear([(12, 90, 26, 17), (150, 90, 30, 20)])
    drawn.write(folder / "blast/p1/a.png", one)
    drawn.write(folder / "blast/p2/b.png", two)
    drawn.write(folder / "normal/p3/c.png", one)
    drawn.write(folder / "normal/p3/empty.png", drawn.smear()[0])
    (folder / "normal/p3/damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nhello")
    return folder


@pytest.fixture(scope="module")
def cut(photographs, tmp_path_factory):
    output = tmp_path_factory.mktemp("cut") / "cells"
    return segmentation.cut_cells(photographs, output, label_images=True, progress=False)


def test_every_field_and_every_cell_is_in_a_table(cut):
    assert cut.cells["field"].tolist() == ["blast/p1/a.png", "blast/p2/b.png", "normal/p3/c.png"]
    reasons = dict(zip(cut.left_out["field"], cut.left_out["reason"], strict=True))
    assert reasons["blast/p2/b.png"] == cells.BORDER
    assert reasons["normal/p3/empty.png"] == "No white cells were found."
    assert "damaged" in reasons["normal/p3/damaged.png"]
    assert len(cut.fields) == 5


def test_the_folder_is_one_that_manifest_folders_reads(cut):
    table = own_cells.from_folders(sources.Folder(cut.output))
    assert sorted(table["file"]) == sorted(cut.cells["file"])
    assert table["label"].tolist() == ["blast", "blast", "normal"]
    assert table["patient"].tolist() == ["p1", "p2", "p3"]


def test_cells_lie_on_black_in_the_middle_of_squares_of_one_size(cut):
    for row in cut.cells.itertuples():
        image = cv2.imread(str(cut.output / row.file))
        assert image.shape == (cut.side, cut.side, 3)
        seen = image.any(axis=2)
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        for found in (rows, columns):
            assert abs(found[0] - (cut.side - 1 - found[-1])) <= 1
        assert seen.sum() == row.area


def test_tables_are_those_that_were_returned(cut):
    for name, table in zip(writing.TABLES, (cut.cells, cut.left_out, cut.fields), strict=True):
        assert len(pd.read_csv(cut.output / name)) == len(table)


def test_label_images_hold_all_cells(cut):
    labels = cv2.imread(str(cut.output / "label_images" / "b_mask.tif"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(labels)) == {0, 1, 2}
    nuclei = cv2.imread(str(cut.output / "label_images" / "b_nucleus.tif"), cv2.IMREAD_UNCHANGED)
    assert (labels[nuclei > 0] == nuclei[nuclei > 0]).all()


def test_each_field_that_was_read_has_a_contact_sheet(cut):
    names = sorted(path.name for path in (cut.output / "contact_sheets").iterdir())
    assert names == ["a.webp", "b.webp", "c.webp", "empty.webp"]


def test_contact_sheet_is_at_least_the_field_and_its_words():
    field, _, _ = drawn.smear([(120, 90, 26, 17)])
    sheet = segmentation.draw_contact_sheet(field, segmentation.segment(field), title="a.png")
    assert sheet.shape[1] > 640
    assert sheet.dtype == np.uint8


def test_a_finished_folder_is_not_overwritten(cut, photographs):
    with pytest.raises(InputError, match="is there already"):
        segmentation.cut_cells(photographs, cut.output, progress=False)


def test_a_folder_of_something_else_is_never_overwritten(photographs, tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="does not come from this command"):
        segmentation.cut_cells(photographs, tmp_path, overwrite=True, progress=False)
    assert (tmp_path / "thesis.txt").read_text() == "years"


def test_scale_and_side(photographs, tmp_path):
    options = {"micrometres_per_pixel": 0.25, "progress": False, "contact_sheets": False}
    one = segmentation.cut_cells(photographs, tmp_path / "one", scale=0.5, side=64, **options)
    assert one.side == 64
    assert set(one.cells["micrometres_per_pixel"]) == {0.5}
    image = cv2.imread(str(tmp_path / "one" / one.cells["file"][0]))
    assert image.any(axis=2).sum() == pytest.approx(one.cells["area"][0] / 4, rel=0.1)
    two = segmentation.cut_cells(photographs, tmp_path / "two", side=20, **options)
    assert len(two.cells) == 0
    assert "larger than the square of 20 pixels" in two.left_out["reason"].tolist()


def test_scale_needs_that_of_the_photographs(photographs, tmp_path):
    with pytest.raises(InputError, match="micrometres per pixel of every photograph"):
        segmentation.cut_cells(photographs, tmp_path / "x", scale=0.5)
    assert not (tmp_path / "x").exists()


def test_cells_at_the_border_can_be_kept(photographs, tmp_path):
    options = {"progress": False, "keep_border": True}
    cut = segmentation.cut_cells(photographs, tmp_path / "x", **options)
    assert cut.cells["touches_border"].sum() == 1


def test_answers_take_the_place_of_the_segmenter(photographs, tmp_path):
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.25 0.33")
    cut = segmentation.cut_cells(photographs, tmp_path / "x", answers=tmp_path, progress=False)
    assert cut.cells["field"].tolist() == ["blast/p1/a.png"]
    assert (cut.left_out["reason"] == "no boxes or masks for it").sum() == 3


def test_names_that_are_no_unicode_can_be_written(photographs, tmp_path):
    name = os.fsdecode(b"Z\xfcrich.png")
    (tmp_path / "in").mkdir()
    shutil.copy(photographs / "blast/p1/a.png", tmp_path / "in" / name)
    cut = segmentation.cut_cells(tmp_path / "in", tmp_path / "x", progress=False)
    assert cut.cells["field"].tolist() == ["Z%FCrich.png"]
    assert (tmp_path / "x" / cut.cells["file"][0]).is_file()


def test_a_class_that_no_box_has_is_an_error_and_leaves_nothing(photographs, tmp_path):
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.25 0.33")
    options = {"answers": tmp_path, "classes": ("WBC",), "progress": False}
    with pytest.raises(InputError, match="No box or mask is called WBC: choose from 0"):
        segmentation.cut_cells(photographs, tmp_path / "out" / "x", **options)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_says_what_came_out(photographs, tmp_path):
    arguments = [str(photographs), "--output", str(tmp_path / "x"), "--no-contact-sheets"]
    done = CliRunner().invoke(command.cells, arguments)
    assert done.exit_code == 0, done.output
    assert "3 cells from 5 fields" in done.output


def test_every_public_name_is_there_and_documented():
    for name in segmentation.__all__:
        thing = getattr(segmentation, name)
        assert "Examples\n    --------" in thing.__doc__
    with pytest.raises(AttributeError):
        _ = segmentation.nothing


def test_only_the_seam_reaches_into_the_rest_of_the_package():
    folder = Path(importlib.import_module("allhelpers.segmentation").__file__).parent
    for path in folder.glob("*.py"):
        if path.stem == "_seam":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2, path.name
                assert not (node.module or "").startswith("allhelpers"), path.name
