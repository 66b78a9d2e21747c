"""Cells of the user's own: class names, folders, tables and images that are not C-NMC's."""

import zipfile
from functools import partial

import cv2
import numpy as np
import pandas as pd
import pytest

from allhelpers._core.errors import InputError
from allhelpers._core.files import read_json
from allhelpers.data import decoding, images, loading, matching, sources, synthetic
from allhelpers.data.own_cells import UNKNOWN_NOTE
from allhelpers.data.sources import Folder, ZipArchive
from allhelpers.inference import exporting, predicting, saved
from allhelpers.running import planning

KINDS = {"blast": "all", "lymphocyte": "hem", "monocyte": "hem"}  # which synthetic cells stand for


def draw(folder, patients=4, cells=3, side=300):
    """Synthetic images in class/patient folders, with the same file names; monocytes are green."""
    for number, (label, drawn_as) in enumerate(KINDS.items()):
        for patient in range(patients):
            place = folder / label / f"{label[0]}{patient}"
            place.mkdir(parents=True)
            for cell in range(cells):
                image = synthetic.draw_cell(drawn_as, patient, cell, seed=number)
                image = image[..., [0, 2, 1]] if label == "monocyte" else image
                cv2.imwrite(str(place / f"{cell}.png"), cv2.resize(image, (side, side)))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("own") / "my cells")


@pytest.fixture
def settings(own, folder):
    return partial(own, folder)


def write(path, *rows):
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def place(folder, *names):
    """Small images, all different."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((70, 70, 3), 40 + number, np.uint8))
    return Folder(folder)


def test_classes_and_patients_are_read_from_folders(settings):
    cells = loading.prepare(settings())
    assert cells.classes == ("blast", "lymphocyte", "monocyte")
    assert cells.kind == "own cells"
    assert cells.notes == []
    assert cells.table.groupby("label")["patient"].nunique().to_dict() == dict.fromkeys(KINDS, 4)
    assert (cells.table.groupby("patient")["split"].nunique() == 1).all()
    assert [file.split("/")[0] for file in cells.table["file"]] == list(cells.table["label"])


def test_same_names_in_several_folders_are_not_mixed_up(settings, folder):
    cells = loading.prepare(settings())
    for row, pixels in zip(cells.table.itertuples(), cells.pixels, strict=True):
        content = images.read(folder / row.file)
        expected, _ = decoding.decode_content(content, row.file, settings())
        np.testing.assert_array_equal(pixels, expected)


def test_zip_of_a_folder_gives_the_same_cells(settings, folder, tmp_path):
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for path in sorted(folder.rglob("*.png")):
            stream.write(path, f"some/where/{path.relative_to(folder).as_posix()}")
        stream.writestr("__MACOSX/some/where/blast/._0.png", b"not an image")
    unpacked, packed = loading.prepare(settings()), loading.prepare(settings(images=str(archive)))
    np.testing.assert_array_equal(packed.pixels[np.argsort(packed.table["file"])], unpacked.pixels)
    assert packed.table[["label", "patient", "split"]].equals(
        unpacked.table[["label", "patient", "split"]]
    )


def test_positive_class_can_be_named(settings):
    assert loading.prepare(settings(positive="monocyte")).classes == (
        "monocyte",
        "blast",
        "lymphocyte",
    )


def test_short_table_of_file_label_and_patient(settings, folder, tmp_path):
    files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))]
    rows = [
        f"{file},{'sick' if 'blast' in file else 'well'},{file.split('/')[1]}" for file in files
    ]
    cells = loading.prepare(
        settings(manifest=write(tmp_path / "cells.csv", "file,label,patient", *rows))
    )
    assert cells.classes == ("sick", "well")
    assert set(cells.table["patient"]) >= {"b0", "l0", "m0"}


def test_unknown_patients_are_said_in_every_output(settings, tmp_path):
    images = tmp_path / "images"
    place(images, *(f"{label}/{number}.png" for label in "ab" for number in range(10)))
    cells = loading.prepare(settings(images=str(images)))
    assert UNKNOWN_NOTE in cells.notes
    assert cells.table["patient"].is_unique


def test_images_are_hashed_once(settings, monkeypatch):
    loading.prepare(settings())
    reads = []
    monkeypatch.setattr(Folder, "_load", lambda *arguments: reads.append(arguments))
    loading.prepare(settings())
    assert reads == []


@pytest.mark.parametrize("packed", [False, True])
def test_images_are_read_once(settings, folder, tmp_path, packed, monkeypatch):
    """SHA-256 and pixels come from the same read."""
    images = folder
    if packed:
        images = tmp_path / "mine.zip"
        with zipfile.ZipFile(images, "w") as stream:
            for path in sorted(folder.rglob("*.png")):
                stream.write(path, path.relative_to(folder))
    kind, read = (ZipArchive if packed else Folder), []
    load = kind._load
    monkeypatch.setattr(kind, "_load", lambda self, m: read.append(str(m)) or load(self, m))
    cells = loading.prepare(settings(images=str(images)))
    assert len(read) == len(set(read)) == len(cells.table)


def test_changed_image_is_seen(settings, tmp_path):
    images = tmp_path / "images"
    source = place(images, *(f"{label}/{number}.png" for label in "ab" for number in range(3)))
    before = matching.read_manifest(settings(images=str(images)), source)
    cv2.imwrite(str(images / "a/1.png"), np.full((80, 80, 3), 200, np.uint8))
    after = matching.read_manifest(settings(images=str(images)), source)
    assert list(before.index[before["sha256"] != after["sha256"]]) == [1]


def test_larger_images_are_kept_whole(settings, tmp_path):
    images = tmp_path / "images"
    place(images, *(f"{label}/{number}.png" for label in "ab" for number in range(10)))
    image = np.full((600, 600, 3), 30, np.uint8)
    image[:20] = 250  # a centre of 450 pixels would lose it
    cv2.imwrite(str(images / "a/0.png"), image)
    cells = loading.prepare(settings(images=str(images), input_size=160))
    assert cells.pixels[0][:5].min() == 250


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["blast/1.png", "blast/2.png"], "make one folder per class, at least two"),
        (["blast/1.png", "well/2.png", "3.png"], "3.png lies in no class folder"),
        (["train/blast/1.png", "test/blast/2.png"], "test, train, which are splits"),
        (
            ["a/p1/1.png", "a/p2/1.png", "b/1.png"],
            "b/1.png in .* lies in fewer folders than a/p1/1.png",
        ),
        (["a/p1/x/1.png", "b/p2/x/1.png"], "lies deeper than class/patient/image"),
        (["A/1.png", "a/2.png", "b/1.png"], "differ only by their spelling"),
    ],
)
def test_folders_that_tell_no_class_are_refused_in_one_sentence(
    settings, tmp_path, names, sentence
):
    images = tmp_path / "images"
    place(images, *names)
    with pytest.raises(InputError, match=sentence):
        loading.prepare(settings(images=str(images)))


def test_tables_that_cannot_be_used_are_refused_in_one_sentence(settings, tmp_path):
    images = tmp_path / "images"
    there = [f"{label}{number}.png" for label in "ab" for number in range(4)]
    place(images, "x/1.png", "y/1.png", "2.png", *there)

    def refusal(*rows):
        table = write(tmp_path / "cells.csv", *rows)
        with pytest.raises(InputError) as error:
            loading.prepare(settings(images=str(images), manifest=table))
        return str(error.value)

    assert "1.png can be any of" in refusal("file,label", "1.png,a", "2.png,b")
    assert "1 of the 9 images" in refusal(
        "file,label", "3.png,b", *(f"{name},{name[0]}" for name in there)
    )
    assert "no column label" in refusal("picture,number", "x/1.png,a")
    assert "names no patient for 2.png" in refusal("file,label,patient", "x/1.png,a,p1", "2.png,b,")
    assert "one class only" in refusal("file,label", "x/1.png,a", "2.png,a")


def test_all_missing_tells_how_to_bring_own_cells(settings, folder):
    with pytest.raises(InputError, match="--manifest folders"):
        loading.prepare(settings(manifest=""))


@pytest.mark.slow
def test_three_classes_go_through_all_stages(folder, tmp_path):
    values = {
        "images": str(folder),
        "manifest": "folders",
        "image_size": 0,
        "split": "patient",
        "positive": "monocyte",
        "architectures": "mobilenet,svm",
        "weights": "random",
        "unfreeze": "none",
        "epochs": 2,
        "input_size": 96,
        "cache_folder": str(tmp_path / "cache"),
    }
    run = planning.run_notebooks(values, tmp_path / "run")
    classes = ["monocyte", "blast", "lymphocyte"]
    predictions = pd.read_csv(run / "mobilenet" / "predictions.csv")
    assert [name for name in predictions if name.startswith("p_")] == [
        f"p_{label}" for label in classes
    ]
    assert list(read_json(run / "svm" / "metrics.json")["test"]["classes"]) == classes
    report = (run / "report.html").read_text(encoding="utf-8")
    assert all(label in report for label in classes)
    card = (run / "mobilenet" / "model_card.md").read_text(encoding="utf-8")
    assert "[p_monocyte, p_blast, p_lymphocyte]" in card
    assert not any(
        word in text.lower() for text in (report, card) for word in ("leukaemic", "c-nmc")
    )

    network = saved.load(run / "mobilenet")
    files = sources.find_images([folder / "blast"])
    classified = predicting.predict(network, files)
    assert set(classified["predicted"]) <= set(classes)
    _, difference = exporting.export(network, "litert", tmp_path / "three.tflite", files=files)
    assert difference < 1e-3
