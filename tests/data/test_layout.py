"""Which level of folders is the class: read rightly, or refused, but never silently wrong."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allhelpers._core.errors import InputError
from allhelpers.data import layout, walking

CLASSES = ["Benign", "Early", "Pre", "Pro"]
LETTERS = {"c": "label", "p": "patient", "s": "split"}


def tree(*levels, count=2, stem="{}"):
    """Paths of every combination of the levels' names."""
    return [
        "/".join([*folders, stem.format(k) + ".png"])
        for folders in itertools.product(*levels)
        for k in range(count)
    ]


def disjoint(classes, patients, *, upside_down=False):
    """Patients who each have one class."""
    pairs = [(c, f"{p}{k}") for k, c in enumerate(classes) for p in patients]
    return [
        "/".join(pair[:: -1 if upside_down else 1] + (f"{k}.png",)) for pair in pairs for k in "12"
    ]


PATIENTS = [f"P{k:02d}" for k in range(6)]
SPLITS = ["Train_data", "Test_data"]

# Trees, and which level is what, counted from 0.
READ = {
    "class alone": (tree(CLASSES), {"label": 0}),
    "numbered classes": (tree(list("12345")), {"label": 0}),
    "numbers in classes": (tree(["CD4", "CD8", "stage 1"]), {"label": 0}),
    "one word and others": (tree(["red cells", "white cells"]), {"label": 0}),
    "class, patient": (disjoint(CLASSES, ["patient_0", "patient_1"]), {"label": 0, "patient": 1}),
    "each patient has each class": (tree(CLASSES, PATIENTS), {"label": 0, "patient": 1}),
    "odd classes and ids": (
        tree(["0", "NA", "True", "1e3", "[M] Pre-B"], ["007", "7", "1e2", "NaN", "2024-01-05"]),
        {"label": 0, "patient": 1},
    ),
    "patient, class": (tree(PATIENTS, CLASSES), {"label": 1, "patient": 0}),
    "patient, one class each": (
        [f"{p}/{c}/1.png" for p, c in zip(PATIENTS, CLASSES * 2, strict=False)],
        {"label": 1, "patient": 0},
    ),
    "one patient": (tree(["patient_1"], CLASSES), {"label": 1, "patient": 0}),
    "split, class": (tree(SPLITS, CLASSES), {"label": 1, "split": 0}),
    "training_set": (tree(["training_set", "test_set"], CLASSES), {"label": 1, "split": 0}),
    "Test-A": (tree(["TRAIN", "Test-A", "val2"], CLASSES), {"label": 1, "split": 0}),
    "wrapped": (tree(["Data"], SPLITS, CLASSES), {"label": 2, "split": 1}),
    "class, split": (tree(CLASSES, ["train", "test"]), {"label": 0, "split": 1}),
    "split, class, patient": (
        tree(["train", "test"], CLASSES, PATIENTS),
        {"label": 1, "patient": 2, "split": 0},
    ),
    "split, patient, class": (
        tree(["train", "test"], PATIENTS, CLASSES),
        {"label": 2, "patient": 1, "split": 0},
    ),
    "fold": (tree(["fold_0", "fold_1"], ["all", "hem"]), {"label": 1, "fold": 0}),
    "batch": (tree(["batch1", "batch2"], CLASSES), {"label": 1}),
    "wrapped numbers": (tree(["cells"], list("12")), {"label": 1}),
    "images in the class": (tree(CLASSES, ["images"]), {"label": 0}),
    "class, patient, images": (tree(CLASSES, PATIENTS, ["imgs"]), {"label": 0, "patient": 1}),
    "class, patient, slide": (
        tree(CLASSES, PATIENTS, ["slide1", "slide2"]),
        {"label": 0, "patient": 1},
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_each_level_is_read_as_what_it_is(kind):
    names, levels = READ[kind]
    table = layout.read(names).table
    words = {"Train_data": "train", "Test_data": "test", "training_set": "train"}
    words |= {"test_set": "test", "TRAIN": "train", "Test-A": "test", "val2": "val"}
    assert set(table) == {"file", *levels}
    for column, level in levels.items():
        truth = [name.split("/")[level] for name in names]
        expected = [words.get(name, name) for name in truth] if column == "split" else truth
        assert table[column].tolist() == expected


REFUSED = {
    "versions of cells": (tree(["Original", "Segmented"], CLASSES), "versions of images"),
    "versions by other names": (
        [*tree(["Original"], CLASSES), *tree(["Augmented"], CLASSES, stem="a{}")],
        "versions of images",
    ),
    "images by classes": (["train/a/1.png", "train/b/1.png", "test/images/1.png"], "no class"),
    "labels as images": (["images/1.png", "labels/1.png"], "no class"),
    "versions in the class": (tree(CLASSES, ["raw", "segmented"]), "versions of images"),
    "sites": (tree(["Bonn", "Paris"], CLASSES), "--layout"),
    "slides first": (tree(["slide1", "slide2"], CLASSES), "--layout"),
    "classes and subclasses": (["a/x/1.png", "a/y/1.png", "b/z/1.png", "b/w/1.png"], "--layout"),
    "numbers above numbers": (tree(["1", "2"], ["1", "2"]), "--layout"),
    "ids above words, once each": (["h1/blast/1.png", "h2/healthy/1.png"], "--layout"),
    "numbers under one class": (tree(["blast"], ["1", "2"]), "--layout"),
    "splits alone": (tree(SPLITS), "splits and not classes"),
    "one class in two splits": (tree(SPLITS, ["blast"]), "splits and not classes"),
    "a split among classes": (tree(["blast", "healthy", "test"]), "a split|no class"),
    "folds alone": (tree(["fold_0", "fold_1"]), "parts or versions"),
    "patients alone": (tree(PATIENTS), "look like patients"),
    "an unlabelled split": ([*tree(["train"], CLASSES), "test/1.png"], "lies in fewer folders"),
    "splits in names": (tree(["ALL_train", "ALL_test", "HEM"]), "splits, versions"),
    "a copy": (tree(["blast", "blast - Copy", "healthy"]), "splits, versions or copies"),
    "a version": (tree(["blast", "healthy", "healthy_augmented"]), "splits, versions or copies"),
    "patients in names": (tree(["a_P01", "a_P02", "b_P03", "b_P04"]), "look like patients"),
    "one folder": (tree(["blast"]), "make one folder per class"),
    "mask beside the image": (["a/1.bmp", "a/1.png", "b/2.bmp"], "share a name"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_two_readings_stop_in_one_sentence(kind):
    names, sentence = REFUSED[kind]
    with pytest.raises(InputError, match=sentence):
        layout.read(names, where="cells")


@pytest.mark.parametrize("spelling", ["fold_{}", "fold{}", "Fold {}", "FOLD-0{}", "cv_{}"])
def test_folds_are_folds_in_every_spelling(spelling):
    table = layout.read(tree([spelling.format(k) for k in (0, 1)], CLASSES)).table
    assert set(table["fold"]) == {"fold_0", "fold_1"}


def test_the_user_can_say_it():
    names = tree(["Bonn", "Paris"], CLASSES, ["x", "y"])
    table = layout.read(names, "*/class/patient").table
    assert table["label"].tolist() == [name.split("/")[1] for name in names]
    assert table["patient"].tolist() == [name.split("/")[2] for name in names]
    below = layout.read([f"some/where/{name}" for name in names], "*/class/*")
    assert below.table["label"].tolist() == table["label"].tolist()
    with pytest.raises(InputError, match="does not lie as layout"):
        layout.read([*names, "Bonn/1.png"], "*/class/patient")
    with pytest.raises(InputError, match="call it train, val or test"):
        layout.read(names, "split/class/patient")


@pytest.mark.parametrize("said", ["patient", "class/class", "class/slide", "*/split/split/class"])
def test_a_layout_that_says_nothing_is_refused(said):
    with pytest.raises(InputError, match="layout"):
        layout.check(said)


@pytest.mark.parametrize(
    ("names", "masked"),
    [
        (["images/a/1.png", "masks/a/1.png"], ["masks/a/1.png"]),
        (["a/1.png", "a/Mask/1.png"], ["a/Mask/1.png"]),
        (["a/1.png", "a/1_mask.png", "a/2_mask.png"], ["a/1_mask.png"]),
        (["blast/1.png", "blast_masks/1.png", "gt/2.png"], ["blast_masks/1.png", "gt/2.png"]),
        (
            ["a/1.png", "a/1_overlay.png", "a/1 segmented.png"],
            ["a/1_overlay.png", "a/1 segmented.png"],
        ),
        (["masks/1.png", "masks/2.png"], []),
    ],
)
def test_masks_are_told_from_images(names, masked):
    assert walking.masks(names) == masked


WORDS = st.sampled_from(["blast", "Healthy", "EOS", "lymphocyte", "[M] Pre-B", "müller cell"])
IDS = st.sampled_from(["P{}", "patient_{}", "{}", "H{}", "2024-{}", "case {}"])
WRAPPERS = st.sampled_from([[], ["Data"], ["my cells", "export"]])


@st.composite
def trees(draw):
    """A random nesting of class, patient and split, and the truth about it."""
    classes = draw(st.lists(WORDS, min_size=2, max_size=4, unique=True))
    spelling, number = draw(IDS), draw(st.integers(2, 6))
    order = draw(st.permutations("cps"))[: draw(st.integers(1, 3))]
    order = order if "c" in order else ["c", *order]
    rows = set()
    for patient in range(number):
        for label in draw(st.lists(st.sampled_from(classes), min_size=1, unique=True)):
            facts = {
                "c": label,
                "p": spelling.format(patient),
                "s": draw(st.sampled_from(["train", "test"])),
            }
            rows.add(tuple(facts[letter] for letter in order))
    above = draw(WRAPPERS)
    names = ["/".join([*above, *row, f"{k}.png"]) for row in sorted(rows) for k in range(2)]
    truth = {
        LETTERS[letter]: [row[k] for row in sorted(rows) for _ in "12"]
        for k, letter in enumerate(order)
    }
    return names, truth


@given(trees())
@settings(max_examples=150)
def test_a_random_tree_is_read_rightly_or_refused(drawn):
    names, truth = drawn
    try:
        table = layout.read(names).table
    except InputError:
        return
    assert table["label"].tolist() == truth["label"]
    for column in ("patient", "split"):
        if column in table:
            assert table[column].tolist() == truth[column]
