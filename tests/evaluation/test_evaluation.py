import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from allhelpers.data import tables
from allhelpers.evaluation import definitions, resampling
from allhelpers.evaluation.definitions import METRICS
from allhelpers.evaluation.metrics import evaluate, measure, per_patient, proportion
from allhelpers.reporting import sentences
from tests.helpers import clustered, with_p_all


def test_metrics_count_what_they_say(predictions):
    test = evaluate(predictions, [])["test"]
    assert (test["accuracy"]["correct"], test["accuracy"]["cells"]) == (7, 10)
    assert test["sensitivity"]["value"] == pytest.approx(5 / 6)
    assert test["specificity"]["value"] == 0.5
    assert test["confusion_matrix"]["counts"] == [[5, 1], [2, 2]]


def test_probability_of_one_half_is_predicted_all(predictions):
    assert tables.predicted_labels(predictions)[4] == "all"


@pytest.mark.parametrize(
    ("correct", "low", "high"), [(64, 0.825, 0.960), (65, 0.843, 0.969), (36, 0.400, 0.628)]
)
def test_wilson_intervals_of_the_papers_counts(correct, low, high):
    interval = proportion(correct, 70)
    assert (interval["low"], interval["high"]) == pytest.approx((low, high), abs=6e-4)


def test_no_cells_give_no_figure():
    assert proportion(0, 0)["value"] is None


def test_metrics_are_plain_json_with_their_notes(predictions):
    metrics = evaluate(predictions, ["synthetic cells"])
    assert json.loads(json.dumps(metrics)) == metrics
    assert metrics["notes"] == ["synthetic cells"]
    assert "not for diagnosis" in metrics["warning"]


def test_probability_column_is_that_of_all(cells):
    probabilities = np.tile([[0.8, 0.2]], (3, 1))
    table = tables.tabulate(cells, np.array([2, 5, 7]), probabilities)
    assert table["p_all"].tolist() == [0.8] * 3
    assert table["file"].tolist() == cells.table["file"].iloc[[2, 5, 7]].tolist()


SKLEARN = {
    "accuracy": lambda y, p, w: sk.accuracy_score(y, p >= 0.5, sample_weight=w),
    "sensitivity": lambda y, p, w: sk.recall_score(y, p >= 0.5, sample_weight=w),
    "specificity": lambda y, p, w: sk.recall_score(~y, p < 0.5, sample_weight=w),
    "balanced_accuracy": lambda y, p, w: sk.balanced_accuracy_score(y, p >= 0.5, sample_weight=w),
    "weighted_f1": lambda y, p, w: sk.f1_score(y, p >= 0.5, average="weighted", sample_weight=w),
    "auroc": lambda y, p, w: sk.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: sk.average_precision_score(y, p, sample_weight=w),
    "brier_score": lambda y, p, w: sk.brier_score_loss(y, p, sample_weight=w),
}


@pytest.mark.parametrize("metric", SKLEARN)
def test_metrics_are_scikit_learns_for_any_resample_and_any_weight_of_cells(metric):
    table = clustered()
    patients = resampling.Patients(table)
    truth, p_all = patients.truth[:, 0], patients.probabilities[:, 0]
    draws = np.vstack([np.ones(12), patients.draws(5)])
    for weight in (np.ones(len(table)), np.random.default_rng(1).random(len(table))):
        values = METRICS[metric].formula(resampling.Totals(patients, draws, weight))
        for row, value in zip(draws, values, strict=True):
            expected = SKLEARN[metric](truth, p_all, row[patients.unit] * weight)
            assert value == pytest.approx(expected, abs=1e-12)


def test_cells_without_weight_count_as_if_they_were_not_there():
    table = clustered()
    kept = np.random.default_rng(2).random(len(table)) < 0.5
    kept[table["patient"] == "P3"] = False
    weighted, fewer = resampling.Patients(table), resampling.Patients(table[kept])
    totals = resampling.Totals(weighted, np.ones((1, 12)), kept.astype(float))
    expected = fewer.metrics(np.ones((1, 11)))
    for name, metric in METRICS.items():
        if metric.cell_weights is None:
            np.testing.assert_allclose(metric.formula(totals), expected[name], rtol=1e-12)


def test_a_new_metric_is_one_entry(monkeypatch):
    """A metric with weights of its own reaches the bootstrap, metrics.json, and the tables."""
    table = clustered()
    new = definitions.Metric(
        "accuracy of sure cells",
        definitions.METRICS["accuracy"].formula,
        lambda predictions: (abs(predictions["p_all"] - 0.5) > 0.3).to_numpy(float),
    )
    monkeypatch.setitem(definitions.METRICS, "sure_accuracy", new)
    sure = table[abs(table["p_all"] - 0.5) > 0.3]
    metrics = evaluate(table, [])
    assert metrics["test"]["sure_accuracy"]["value"] == measure(sure, 0)["accuracy"]["value"]
    assert sentences.table_of_metrics(metrics).loc["accuracy of sure cells", "patients_low"] > 0


def test_calibration_error_of_known_cases():
    table = with_p_all(clustered(), 0.75)
    assert measure(table, 0)["calibration_error"]["value"] == pytest.approx(0.25)
    honest = with_p_all(table, (table["label"] == "all").astype(float))
    assert measure(honest, 0)["calibration_error"]["value"] == 0


def test_patients_are_resampled_whole_and_within_their_class():
    table = clustered()
    patients = resampling.Patients(table)
    drawn = patients.draws(200)
    is_all = np.array([int(name[1:]) % 2 == 0 for name in patients.names])
    assert (drawn[:, is_all].sum(axis=1) == 6).all()
    assert (drawn[:, ~is_all].sum(axis=1) == 6).all()
    assert (drawn == 0).any()


def test_more_classes_than_bits_are_resampled_each_for_itself():
    labels = [f"c{k:02}" for k in range(70)]
    rows = [(f"{label}-{k}", f"{label}-{k}", label) for label in labels for k in range(3)]
    table = pd.DataFrame(rows, columns=["file", "patient", "label"])
    table = table.assign(**{f"p_{label}": 1 / 70 for label in labels})
    patients = resampling.Patients(table)
    drawn = patients.draws(20)
    for label in labels:
        own = np.char.startswith(patients.names.astype(str), f"{label}-")
        assert (drawn[:, own].sum(axis=1) == 3).all()


def test_interval_over_patients_is_wider_where_patients_differ():
    table = clustered(patients=12, cells=100)
    entry = measure(table)["accuracy"]
    assert entry["patients_high"] - entry["patients_low"] > entry["high"] - entry["low"]
    # the same cells, each a patient of its own: both kinds of interval agree
    alone = measure(table.assign(patient=table["file"]))["accuracy"]
    assert alone["patients_low"] == pytest.approx(alone["low"], abs=0.01)


def test_interval_covers_the_truth_as_often_as_it_says():
    """Patients' accuracies have a mean of 0.75: 95 of 100 intervals should hold it."""
    held = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        skill = np.repeat(random.uniform(0.5, 1.0, 40), 15)
        label = np.repeat(["all", "hem"] * 20, 15)
        right = random.random(600) < skill
        table = with_p_all(
            pd.DataFrame({"label": label, "p_all": np.where((label == "all") == right, 0.9, 0.1)})
        )
        table = table.assign(
            patient=np.repeat(np.arange(40), 15), file=np.arange(600).astype(str), split="test"
        )
        entry = measure(table, resamples=300)["accuracy"]
        held += entry["patients_low"] <= 0.75 <= entry["patients_high"]
    assert 85 <= held <= 100  # 95 expected, fewer than 85 in one of 10,000 tries


def test_without_patients_cells_are_resampled():
    table = clustered().assign(patient="")
    assert tables.patients_of(table).tolist() == table["file"].tolist()
    assert measure(table)["patients"] == {"all": 120, "hem": 120}


def test_one_class_alone_has_no_auroc_but_an_accuracy():
    table = clustered()
    found = measure(table[table["label"] == "all"])
    assert found["auroc"]["value"] is None
    assert found["specificity"]["value"] is None
    assert found["accuracy"]["value"] == found["sensitivity"]["value"]
    assert json.loads(json.dumps(found)) == found


def test_accuracy_of_each_patient(predictions):
    table = per_patient(predictions[predictions["split"] == "test"])
    assert table.set_index("patient")["cells"].to_dict() == {"1": 3, "2": 3, "3": 2, "4": 2}
    assert table.set_index("patient")["correct"].to_dict() == {"1": 3, "2": 2, "3": 2, "4": 0}


@pytest.mark.parametrize(
    ("patients", "width"), [("1112223344", True), ("1112223333", False), ("1111111111", False)]
)
def test_one_patient_of_a_class_has_no_interval(predictions, patients, width):
    test = predictions[:10].assign(patient=list(patients))
    for metric in ("accuracy", "auroc", "weighted_f1"):
        entry = measure(test)[metric]
        assert (entry["patients_low"] is not None) == (entry["patients_high"] is not None) == width
        assert entry["value"] > 0


def test_few_patients_are_said(predictions):
    assert "fewer than 10 of a class" in sentences.sentence_of_patients(evaluate(predictions, []))
    many = evaluate(clustered(patients=24), [])
    assert "fewer" not in sentences.sentence_of_patients(many)


def test_table_shows_every_metric(predictions):
    table = sentences.table_of_metrics(evaluate(predictions, []))
    assert len(table) == len(METRICS)
    assert table.loc["accuracy", "correct"] == 7
    # Ten cells of ten sizes cannot be matched, and these have no measured size at all.
    measured = table[~table.index.str.contains("equal size")]
    assert measured["patients_low"].notna().all()
