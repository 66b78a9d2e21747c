"""Weights do what they say: patients count alike, and a matched nuisance tells nothing any more."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from allhelpers.data.nuisances import NAMES, measure_nuisances
from allhelpers.data.weighting import Balance, cell_weights, matched_weights, patient_weights


@pytest.fixture
def cells():
    """Two classes whose sizes differ, patients of 5 to 200 cells."""
    random = np.random.default_rng(1)
    rows = []
    for k, count in enumerate([5, 20, 50, 200, 10, 30, 90, 120]):
        label = "all" if k < 4 else "hem"
        size = random.normal(36 if label == "all" else 26, 6, count)
        rows.append(pd.DataFrame({"patient": f"p{k}", "label": label, "area": size}))
    table = pd.concat(rows, ignore_index=True)
    return table.assign(file=[f"{k}.bmp" for k in range(len(table))])


def test_every_patient_of_a_class_weighs_the_same(cells):
    totals = pd.Series(patient_weights(cells)).groupby(cells["patient"]).sum()
    assert np.ptp(totals) == pytest.approx(0, abs=1e-9)
    assert patient_weights(cells).mean() == pytest.approx(1)


@pytest.mark.parametrize("base", [None, "patients"])
def test_a_matched_size_tells_nothing_any_more(cells, base):
    base = base and patient_weights(cells)
    truth = cells["label"] == "all"
    weights = matched_weights(cells["area"].to_numpy(), cells["label"].to_numpy(), base=base)
    assert roc_auc_score(truth, cells["area"]) > 0.85
    kept = weights > 0
    auroc = roc_auc_score(truth[kept], cells["area"][kept], sample_weight=weights[kept])
    assert auroc == pytest.approx(0.5, abs=0.06)  # what is left lies within the bins


def test_a_stratum_with_one_class_falls_out():
    weights = matched_weights(np.repeat([0.0, 100.0], 12), np.array(["a"] * 12 + ["a", "b"] * 6))
    assert (weights[:12] == 0).all()
    assert (weights[12:] > 0).all()


def test_three_classes_are_matched_too():
    area, labels = np.repeat([0.0, 100.0], 9), np.array(list("aaabbbccc") + list("aaaaaabbc"))
    weights = pd.Series(matched_weights(area, labels))
    totals = weights.groupby([area, labels]).sum().unstack()
    assert np.allclose(totals, totals.iloc[:, [0]].to_numpy())


@pytest.mark.parametrize("balance", get_args(Balance))
def test_weights_have_mean_one(cells, balance):
    weights = cell_weights(cells, balance)
    assert weights is None if balance == "none" else weights.mean() == pytest.approx(1)


def test_a_half_matched_size_lies_between_patients_and_sizes(cells):
    """What area alone can tell falls with the share of the matching."""
    patients, both = cell_weights(cells, "patient"), cell_weights(cells, "patient+size")
    shares = [cell_weights(cells, "patient+size", size_matching=share) for share in (0, 0.5, 1)]
    assert np.allclose(shares[0], patients)
    assert np.allclose(shares[2], both)
    told = [abs(roc_auc_score(cells.label, cells.area, sample_weight=w) - 0.5) for w in shares]
    assert told[0] > told[1] > told[2]


def test_nuisances_are_those_of_the_cell_alone():
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:60, 40:60] = (200, 100, 150)
    shifted = np.roll(image, 30, axis=1)
    here, there = (
        dict(zip(NAMES, measure_nuisances(one), strict=True)) for one in (image, shifted)
    )
    assert here["area"] == there["area"] == 400
    assert here["brightness"] == there["brightness"]
    assert here["off_centre"] < 0.01 < there["off_centre"]
    assert here["border"] == 0
    touching = dict(zip(NAMES, measure_nuisances(np.roll(image, 40, axis=1)), strict=True))
    assert touching["border"] == pytest.approx(20 / 400)


def test_an_empty_image_measures_nothing():
    values = measure_nuisances(np.zeros((10, 12, 3), np.uint8), content=b"nothing")
    found = dict(zip(NAMES, values.tolist(), strict=True))
    assert {name: found[name] for name in ("area", "height", "width", "bytes", "colour")} == {
        "area": 0,
        "height": 10,
        "width": 12,
        "bytes": 7,
        "colour": 0,
    }
