"""A planted shortcut is named by the audit, and its figure at equal size falls to chance."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from allhelpers.data.shortcuts import find_shortcuts, sentence_of_shortcuts
from allhelpers.evaluation.metrics import measure
from allhelpers.reporting.sentences import sentence_of_size


@pytest.fixture(scope="module")
def equal_cells(cells):
    """The sample, with nuisances that tell nothing."""
    random = np.random.default_rng(3)
    measured = cells.nuisances.apply(lambda column: random.normal(100, 10, len(column)))
    split = np.where(np.arange(len(cells.table)) % 2, "train", "test")
    return dataclasses.replace(cells, table=cells.table.assign(split=split), nuisances=measured)


def planted(cells, nuisance):
    """The same cells, in which one class has more of something."""
    more = (cells.table["label"] == "all").to_numpy() * 30.0
    measured = cells.nuisances.assign(**{nuisance: cells.nuisances[nuisance] + more})
    return dataclasses.replace(cells, nuisances=measured)


def test_nothing_planted_nothing_named(equal_cells):
    assert sentence_of_shortcuts(find_shortcuts(equal_cells)).startswith("No measured nuisance")


@pytest.mark.parametrize(
    ("nuisance", "words"),
    [("area", "cell area"), ("brightness", "brightness"), ("bytes", "file size")],
)
def test_what_is_planted_is_named(equal_cells, nuisance, words):
    table = find_shortcuts(planted(equal_cells, nuisance))
    table = table[table["fold"] == ""]
    assert words in sentence_of_shortcuts(table)
    strongest = table.loc[table["auroc"].idxmax()]
    assert strongest["nuisance"] == nuisance
    assert table[table["nuisance"] != nuisance]["auroc"].between(0.3, 0.7).all()


def test_a_shortcut_that_the_test_does_not_share_is_said_to_fail_there(equal_cells):
    cells = planted(equal_cells, "area")
    measured = cells.nuisances.copy()
    test = cells.rows("test")
    measured.loc[test, "area"] = np.random.default_rng(4).normal(100, 10, len(test))
    found = find_shortcuts(dataclasses.replace(cells, nuisances=measured))
    assert "the test does not share it" in sentence_of_shortcuts(found)


def predictions(signal, *, size=0.0, cells=4000):
    """Cells of two classes: ALL are larger; the network sees a signal, the size, or both."""
    random = np.random.default_rng(5)
    truth = random.random(cells) < 0.5
    area = random.normal(30_000, 4_000, cells) + 6_000 * truth
    score = random.normal(0, 1, cells) + signal * truth + size * (area - area.mean()) / area.std()
    p_all = 1 / (1 + np.exp(-score))
    table = pd.DataFrame({"label": np.where(truth, "all", "hem"), "area": area, "p_all": p_all})
    table = table.assign(file=[f"{k}.bmp" for k in range(cells)], split="test", p_hem=1 - p_all)
    return table.assign(patient=[f"p{k % 40}" for k in range(cells)])


def test_size_alone_falls_to_chance_at_equal_size():
    measured = measure(predictions(0.0, size=50.0), resamples=0)
    assert measured["auroc"]["value"] > 0.8
    assert measured["auroc_equal_size"]["value"] == pytest.approx(0.5, abs=0.06)
    assert "most of the figure is the cell's size" in sentence_of_size(measured)


def test_what_is_seen_beside_size_stays():
    measured = measure(predictions(3.0), resamples=0)
    assert measured["auroc_equal_size"]["value"] > 0.95
    assert "size is not what counts" in sentence_of_size(measured)


def test_without_areas_no_figure_is_claimed():
    measured = measure(predictions(1.0).drop(columns="area"), resamples=0)
    assert measured["auroc_equal_size"]["value"] is None
    assert sentence_of_size(measured) == ""
