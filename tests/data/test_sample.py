import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from allhelpers.data import manifest as manifests
from allhelpers.data import synthetic
from allhelpers.data.manifest import OFFICIAL_NAME


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return synthetic.draw_sample(tmp_path_factory.mktemp("sample") / "cells", 160)


@pytest.fixture(scope="module")
def images(folder):
    return {path.name: cv2.imread(str(path)) for path in sorted(folder.rglob("*.bmp"))}


def test_files_have_official_names_and_layout(folder):
    table = manifests.from_folder(folder)
    assert table["label"].value_counts().to_dict() == {"all": 80, "hem": 80}
    assert set(table["fold"]) == {"fold_0", "fold_1", "fold_2"}
    assert table["sha256"].is_unique
    for path in folder.rglob("*.bmp"):
        assert OFFICIAL_NAME.fullmatch(path.name)
        assert path.parent.name in path.stem


def test_patients_have_as_many_cells_and_one_fold(folder):
    table = manifests.from_folder(folder)
    assert table.groupby("patient").size().unique().tolist() == [10]
    assert table.groupby("patient")["fold"].nunique().max() == 1


def test_a_image_shows_one_cell_on_black(images):
    for image in list(images.values())[::8]:
        assert image.shape == (450, 450, 3)
        assert not image[[0, 0, -1, -1], [0, -1, 0, -1]].any()
        components, _, statistics, centres = cv2.connectedComponentsWithStats(
            image.any(axis=2).astype(np.uint8)
        )
        assert components == 2
        assert np.abs(centres[1] - 225).max() < 30


def test_same_seed_same_bytes_and_another_seed_others(folder, tmp_path):
    again, other = (
        synthetic.draw_sample(tmp_path / "again", 16),
        synthetic.draw_sample(tmp_path / "other", 16, seed=7),
    )
    for path in again.rglob("*.bmp"):
        name = path.relative_to(again)
        assert path.read_bytes() == (folder / name).read_bytes() != (other / name).read_bytes()


def test_classes_differ_and_overlap_in_size(images):
    areas = [image.any(axis=2).sum() for image in images.values()]
    leukaemic = [name.endswith("_all.bmp") for name in images]
    assert 0.6 < roc_auc_score(leukaemic, areas) < 0.95


def test_drawn_once_and_nothing_else_left(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.bmp")}
    synthetic.draw_sample(folder, 160)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.bmp")} == before
    assert sorted(path.name for path in folder.parent.iterdir()) == ["cells", "cells.lock"]


def test_failed_drawing_leaves_no_folder(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(synthetic, "draw_cell", fail)
    with pytest.raises(OSError, match="disk full"):
        synthetic.draw_sample(tmp_path / "cells", 16)
    assert [path.name for path in tmp_path.iterdir()] == ["cells.lock"]
