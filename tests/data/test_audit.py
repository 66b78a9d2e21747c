from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
import pandas as pd
import pytest

from allhelpers.data import auditing, loading, sources
from allhelpers.data.loading import Cells
from allhelpers.running import cli


def test_identical_files_of_the_official_training_set(official):
    """The published counts: 104 pairs, 99 under two names, 94 across folds, none across classes."""
    pairs = auditing.identical_files(official[official["part"] == "training"])
    assert len(pairs) == 104
    assert (pairs["patient_1"] != pairs["patient_2"]).sum() == 99
    assert (pairs["fold_1"] != pairs["fold_2"]).sum() == 94
    assert (pairs["label_1"] == pairs["label_2"]).all()


def test_folds_table_adds_up(official):
    pairs = auditing.identical_files(official)
    folds = auditing.across_folds(pairs)
    assert folds["pairs"].sum() == len(pairs)
    assert (folds["under_two_names"] <= folds["pairs"]).all()


def test_sentences_state_the_leak_and_its_consequence(official):
    split = official["paper_split"]
    leaky, honest = (
        auditing.audit_manifest(official.assign(split=official[f"{name}_split"]))
        for name in ("paper", "patient")
    )
    assert "the official folds leak" in leaky.sentences[0]
    assert "20 with 21" in leaky.sentences[0]
    assert "expect lower figures on new patients" in leaky.sentences[1]
    assert "No patient and no image is in both" in honest.sentences[1]
    test, train = (official[split == name] for name in ("test", "train"))
    row = leaky.splits.set_index(["split_1", "split_2"]).loc[("train", "test")]
    assert row["cells_2"] == test["patient"].isin(train["patient"]).sum() > 50


def test_counts_hold_every_cell_and_the_patient_in_lower_case(official):
    counts = auditing.count(official)
    assert counts["cells"].sum() == len(official)
    training = counts[counts["part"] == "training"].groupby("label")
    assert training["cells"].sum().to_dict() == {"all": 7272, "hem": 3389}
    assert official[official["part"] == "training"]["patient"].nunique() == 73


@pytest.fixture
def with_copies(cells):
    """Ten cells, four of them copies: the same file, brighter, the same pixels, turned."""
    rows = [0, 1, 2, 3, 4, 0, 1, 2, 3, 9]
    pixels = np.array(cells.pixels[rows])
    bright = cv2.convertScaleAbs(pixels[6], alpha=1.01)
    pixels[6] = np.where(pixels[6] > 0, bright, 0)
    pixels[8] = pixels[8][::-1, ::-1]
    table = cells.table.iloc[rows].reset_index(drop=True)
    table["sha256"] = [f"{k}" for k in range(9)] + ["other"]
    table.loc[5, "sha256"] = "0"  # the same file
    table["file"] = [f"{k}.bmp" for k in range(10)]
    return Cells(table, pixels, [], "copies", ("all", "hem"))


def test_images_that_look_the_same_are_found_and_identical_files_not_again(with_copies):
    near = auditing.near_duplicates(with_copies, chunk=3)
    assert near[["file_1", "file_2", "orientation"]].values.tolist() == [
        ["1.bmp", "6.bmp", 0],
        ["2.bmp", "7.bmp", 0],
        ["3.bmp", "8.bmp", 2],
    ]
    assert near.set_index("file_1").loc["2.bmp", "grey_values"] == 0


def test_thumbnails_pass_over_no_near_image(cells):
    """They only spare the comparison of pixels: whatever that would have taken is found."""
    random, seen = np.random.default_rng(3), np.array(cells.pixels[0])
    noise = random.normal(0, 1, (12, *seen.shape)) * np.linspace(0, 9, 12)[:, None, None, None]
    pixels = np.where(seen > 0, np.clip(seen + noise, 1, 255), 0).astype(np.uint8)
    table = pd.concat([cells.table.iloc[[0]]] * 12, ignore_index=True)
    table = table.assign(sha256=list("abcdefghijkl"), file=[f"{k:02}.bmp" for k in range(12)])
    near = auditing.near_duplicates(Cells(table, pixels, [], "noise", ("all", "hem")))
    hashes = auditing.perceptual_hashes(pixels)[0]
    expected = {
        (f"{k:02}.bmp", f"{j:02}.bmp")
        for k, j in combinations(range(12), 2)
        if np.bitwise_count(hashes[k] ^ hashes[j]) <= auditing.MOST_BITS
        and np.abs(pixels[k].astype(int) - pixels[j])[seen > 0].mean() <= 3
    }
    assert 0 < len(expected) < 66
    assert set(zip(near["file_1"], near["file_2"], strict=True)) == expected


def test_audit_of_the_sample(cells):
    found = auditing.audit(cells)
    assert 0.7 < auditing.area_auroc(found.areas, "all") < 0.9
    assert set(found.tables()) == set(auditing.TABLES)
    assert any("a network has to beat that" in sentence for sentence in found.sentences)


def test_audit_holds_the_whole_manifest_and_opens_nothing(make_settings, monkeypatch):
    cells = loading.prepare(make_settings(split="fold_0:fold_1"))
    monkeypatch.setattr(sources, "open_images", None)
    found = auditing.audit(cells)
    assert len(cells.table) < 160 == found.counts["cells"].sum()
    assert len(found.areas) == len(cells.table)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sha256": ["x"] * 4, "label": ["all", "hem"] * 2}, "4 identical pairs carry two labels"),
        ({"sha256": list("xyxz"), "patient": list("abab")}, "2 patients are in the training and"),
        ({"sha256": list("xyxz")}, "1 image is in both the training and the test split"),
        ({}, "No patient and no image is in both"),
        ({"patient": ["007", "7", "07", "8"]}, "one number count as two each (007 and 07 and 7)"),
    ],
)
def test_each_finding_has_its_sentence(changes, sentence):
    rows = {"file": list("1234"), "patient": list("abcd"), "sha256": list("pqrs"), "label": "all"}
    splits = ["train", "train", "test", "test"]
    table = pd.DataFrame({**rows, "part": "training", "fold": "", "split": splits, **changes})
    assert any(sentence in found for found in auditing.audit_manifest(table).sentences)


def test_cells_that_fill_their_images_have_no_area_to_tell(cells):
    filled = replace(cells.take(range(6)), pixels=np.full((6, 8, 8, 3), 9, np.uint8))
    filled = replace(filled, nuisances=pd.DataFrame())
    assert any("filled to their borders" in text for text in auditing.audit(filled).sentences)


def test_audit_command_needs_no_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["audit", "--split", "patient", "--output", "found"]) == 0
    told = capsys.readouterr().out
    assert "byte-identical" in told
    assert "No patient and no image is in both" in told
    assert len(pd.read_csv(tmp_path / "found" / "identical.csv")) >= 104
