"""Splits that the table brings itself, classes left out, and advice that can be followed."""

import cv2
import numpy as np
import pandas as pd
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import auditing, loading, plausibility, splitting
from allhelpers.data.manifest import COLUMNS
from allhelpers.data.own_cells import UNKNOWN_NOTE

WORDS = {"train": ["train", "Training", "TRAIN set"], "val": ["val", "Validation", "dev"]}
WORDS["test"] = ["test", "Testing", "hold-out"]


def cells(patients=6, per_patient=2, labels=("blast", "healthy"), **columns):
    """A manifest of own cells: so many patients of each class."""
    rows = [
        (f"{label[0]}{p}_{k}.png", "training", "", label, f"{label[0]}{p}", f"{label}{p}{k}")
        for label in labels
        for p in range(patients)
        for k in range(per_patient)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).assign(**columns)


def by_patient(words):
    """A word for each row: the first patients test, the next ones validate, the rest train."""
    return [words[min(int(name[1]), 2)] for name in cells()["patient"]]


@pytest.mark.parametrize("number", range(3))
def test_words_of_a_side_are_understood(number):
    test, val, train = (WORDS[name][number] for name in ("test", "val", "train"))
    table = cells(given_split=by_patient([test, val, train]))
    split = splitting.draw(table, "column")
    assert split.tolist() == by_patient(["test", "val", "train"])


def test_folds_that_share_all_patients_leave_none_to_train():
    table = cells(fold=["0", "1"] * 12)
    with pytest.raises(InputError, match="2 patients .* of class blast beside those of the test"):
        splitting.draw(table, "0:1")


def test_without_validation_some_training_patients_validate():
    table = cells(given_split=by_patient(["test", "train", "train"]))
    split = splitting.draw(table, "column")
    assert (split == "test").tolist() == [name == "test" for name in table["given_split"]]
    assert set(split) == {"train", "val", "test"}
    assert splitting.shared_patients(table.assign(split=split)) == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["train"] * 24, "has no cells for test"),
        (["A", "B"] * 12, "holds 'A', 'B'"),
        ([""] + ["train"] * 23, "holds ''"),
        (["A"] + ["train"] * 23, r"holds 'A' \(1 row\)"),
        (["train", "test"] * 12, "puts 12 patients in two splits.*column:as_is"),
        (["test"] * 12 + ["train"] * 12, "no cells of class healthy for test|class blast for"),
    ],
)
@pytest.mark.parametrize("column", ["given_split", "patient_split"])
def test_columns_that_are_no_split_are_refused_before_anything_runs(
    make_settings, column, given, sentence
):
    table, there = cells(**{column: given}), pd.Series(True, index=range(24))
    settings = make_settings(split="column" if column == "given_split" else "patient")
    if column == "patient_split":  # a rule need not use every row, and may have no validation
        sentence = sentence.replace("holds ''", "has no cells").replace("column:as_is", "remove")
        sentence = sentence.replace("cells for test", "cells for val")
        sentence += "|class blast for train"
    with pytest.raises(InputError, match=sentence):
        loading.choose_cells(table, there, settings)


def test_a_leaking_column_is_kept_only_as_asked_and_then_said(make_settings):
    table = cells(per_patient=3, given_split=["train", "val", "test"] * 12)
    there = pd.Series(True, index=table.index)
    kept, notes = loading.choose_cells(table, there, make_settings(split="column:as_is"))
    assert kept["split"].tolist() == table["given_split"].tolist()
    assert notes[-1:] == ["12 patients in two splits as given, kept as they are"]


def test_a_column_that_is_not_used_is_mentioned(make_settings):
    table = cells(given_split=by_patient(["test", "val", "train"]))
    there = pd.Series(True, index=table.index)
    _, notes = loading.choose_cells(table, there, make_settings(split="patient"))
    assert "--split column" in notes[-1]


def test_own_words_in_the_column_part_are_refused():
    from allhelpers.data import manifest

    with pytest.raises(InputError, match="column part.*rename the column"):
        manifest.check(cells(part="mine"))


@pytest.mark.parametrize("split", ["fold_0:fold_1", "fold_0:1/3"])
def test_own_cells_without_folds_are_told_what_there_is(split):
    with pytest.raises(InputError, match="have no folds.*--split patient, patient:1/5") as error:
        splitting.draw(cells(), split)
    assert "official" not in str(error.value)


@pytest.mark.parametrize("split", ["patient", "paper", "patient:1/2", "patient:2/5"])
def test_a_class_that_is_too_small_is_named_with_advice_that_works(split):
    """No circle: what a sentence recommends is not refused by the next."""
    table = pd.concat(
        [cells(patients=40), cells(patients=1, per_patient=1, labels=["mono"])], ignore_index=True
    )
    with pytest.raises(InputError, match="class mono.*--classes 'blast,healthy'") as error:
        splitting.draw(table, split)
    assert ("paper" in str(error.value)) == (split == "paper")  # only as its own name
    rest = table[table["label"] != "mono"]
    assert set(splitting.draw(rest, split)) >= {"train", "val", "test"}


def test_splits_of_many_patients_take_time_in_proportion():
    table = cells(patients=10_000, per_patient=1)
    assert splitting.draw(table, "patient:1/5").eq("test").sum() == 4_000


def place(folder, label, numbers, image, suffix="png"):
    for number in numbers:
        path = folder / label / f"{number}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image(number))


def noise(side, number, channels=3):
    values = np.random.default_rng(number).integers(30, 250, (side // 8, side // 8, channels))
    return cv2.resize(values.astype(np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path):
    for number, label in enumerate(["blast", "healthy", "mono"]):
        place(tmp_path / "mine", label, range(5), lambda k, n=number: noise(80, 10 * n + k))
    return tmp_path / "mine"


def test_classes_are_left_out_and_ordered(own, folder):
    made = loading.prepare(own(classes="healthy,blast"))
    assert made.classes == ("healthy", "blast")
    assert set(made.table["label"]) == {"healthy", "blast"}
    assert any("left out as asked: mono (5 cells)" in note for note in made.notes)
    with pytest.raises(InputError, match="'nobody', which the cells do not have: choose from blas"):
        loading.prepare(own(classes="blast,nobody"))
    with pytest.raises(InputError, match="one class only"):
        loading.prepare(own(classes="blast"))


def test_classes_called_by_numbers_may_be_numbers(own):
    assert own(positive=1, classes=0).positive == "1"


def test_a_split_without_usable_images_is_refused(own, folder):
    for path in (folder / "mono").iterdir():
        path.write_bytes(b"BM no image " + path.name.encode())
    with pytest.raises(InputError, match="No image can be used of mono for"):
        loading.prepare(own(max_rejected=100))


def test_unknown_patients_are_counted_nowhere(own, folder):
    made = loading.prepare(own())
    found = auditing.audit(made)
    assert UNKNOWN_NOTE in made.notes
    assert "patients" not in found.counts
    assert "patients" not in found.splits
    assert "patients" not in splitting.describe_splits(made.table)
    for sentence in found.sentences:
        assert "No patient" not in sentence
        assert "official" not in sentence


def test_files_that_tell_the_class_are_named(own, tmp_path):
    grey = lambda k: cv2.cvtColor(noise(80, k, 1), cv2.COLOR_GRAY2BGR)  # noqa: E731
    place(tmp_path / "mine", "blast", range(8), lambda k: noise(160, 50 + k))
    place(tmp_path / "mine", "healthy", range(8), grey, "jpg")
    found = auditing.audit(loading.prepare(own()))
    told = next(sentence for sentence in found.sentences if "files alone tell" in sentence)
    assert "healthy: 80 x 80, without colour, JPEG" in told
    assert "blast: 160 x 160, in colour, PNG" in told


@pytest.mark.parametrize("turn", [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, "mirror"])
def test_turned_copies_are_found(own, tmp_path, turn):
    def turned(k):
        image = noise(80, k)
        return cv2.flip(image, 1) if turn == "mirror" else cv2.rotate(image, turn)

    place(tmp_path / "mine", "blast", range(5), lambda k: noise(80, k))
    place(tmp_path / "mine", "healthy", range(5), lambda k: noise(80, 20 + k))
    place(tmp_path / "mine", "healthy", [9], lambda k: turned(1))
    found = auditing.audit(loading.prepare(own()))
    assert found.near[["file_1", "file_2"]].values.tolist() == [["blast/1.png", "healthy/9.png"]]
    assert any("1 of them turned or mirrored" in sentence for sentence in found.sentences)


def test_identical_own_files_are_told_without_official_folds(own, folder):
    (folder / "blast" / "twin.png").write_bytes((folder / "blast" / "1.png").read_bytes())
    told = auditing.audit(loading.prepare(own())).sentences[0]
    assert told.startswith("1 pair of files is byte-identical: blast/1.png and blast/twin.png")


def test_patients_counted_anew_in_each_class_are_asked_about():
    numbered = cells(labels=("blast", "healthy"))
    numbered["patient"] = [name[1:] for name in numbered["patient"]]
    told = auditing.audit_manifest(numbered).sentences
    assert any("6 patients (0 to 5) have cells of several classes" in text for text in told)
    told = auditing.audit_manifest(cells()).sentences
    assert not any("counted anew" in text or "count anew" in text for text in told)


def test_patients_called_nan_are_asked_about():
    table = cells()
    table["patient"] = table["patient"].replace({"b0": "nan", "b1": "nan"})
    told = auditing.audit_manifest(table).sentences
    assert any("4 cells are of a patient called 'nan'" in text for text in told)


def test_a_test_of_few_patients_recommends_cross_validation_that_works():
    table = cells(patients=4)
    split = splitting.draw(table, "patient")
    told = auditing.audit_manifest(table.assign(split=split)).sentences
    advice = next(sentence for sentence in told if "cross-validation" in sentence)
    assert "--split patient:1/4,patient:2/4,patient:3/4,patient:4/4" in advice
    for number in range(1, 5):
        splitting.draw(table, f"patient:{number}/4")


@pytest.mark.parametrize(
    ("height", "width", "sharpness", "words"),
    [
        (28, 28, 5, "smaller than 40 pixels"),
        (1944, 2592, 5, "whole fields"),
        (200, 200, 0, "one colour"),
        (100, 200, 5, "far from square"),
    ],
)
def test_images_that_look_like_no_cell_are_named(height, width, sharpness, words):
    usual = {"height": 120, "width": 120, "sharpness": 9}
    odd = {"height": height, "width": width, "sharpness": sharpness}
    notes = plausibility.doubts(["good.png", "odd.png"], pd.DataFrame([usual, odd]))
    assert len(notes) == 1
    assert words in notes[0]
    assert "odd.png" in notes[0]
