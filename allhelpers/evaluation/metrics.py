"""One evaluator for every notebook: a table of predictions in, metrics with their intervals out.

Wilson's interval takes the cells as independent; the bootstrap resamples patients with all their
cells, which resemble each other, and is the honest one for new patients.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from .. import RESEARCH_ONLY
from ..data import tables
from . import resampling
from .definitions import metric_title as metric_title
from .resampling import CONFIDENCE, LIMITS, RESAMPLES


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Cells by true class (rows) and predicted class (columns)."""
    classes = list(tables.classes_of(predictions))
    matrix = sk.confusion_matrix(
        predictions["label"], tables.predicted_labels(predictions), labels=classes
    )
    return pd.DataFrame(matrix, index=classes, columns=classes)


def proportion(correct: int, cells: int) -> dict:
    """A proportion with its interval by Wilson (1927), which keeps its coverage near 0 and 1."""
    counts = {"correct": int(correct), "cells": int(cells)}
    if not cells:
        return {"value": None, "low": None, "high": None, **counts}
    low, high = proportion_confint(correct, cells, alpha=1 - CONFIDENCE, method="wilson")
    return {"value": correct / cells, "low": low, "high": high, **counts}


def per_patient(predictions: pd.DataFrame) -> pd.DataFrame:
    """Cells and accuracy of each patient and class, as C-NMC 2019's organisers asked for."""
    cells = predictions.assign(
        patient=tables.patients_of(predictions),
        correct=predictions["label"] == tables.predicted_labels(predictions),
    )
    table = cells.groupby(["label", "patient"], as_index=False).agg(
        cells=("correct", "size"), correct=("correct", "sum")
    )
    table = table.assign(accuracy=table["correct"] / table["cells"])
    columns = ["patient", "label", "cells", "correct", "accuracy"]
    return table.sort_values(["label", "accuracy"])[columns]


def calibration(predictions: pd.DataFrame, label: str) -> pd.DataFrame:
    """Predicted probability of a class against its observed share, one row per bin with cells."""
    table = pd.DataFrame(
        {"predicted": predictions[f"p_{label}"], "observed": predictions["label"] == label}
    )
    bins = table.groupby(resampling.bins_of(table["predicted"].to_numpy()))
    return bins.agg(
        cells=("predicted", "size"),
        predicted=("predicted", "mean"),
        observed=("observed", "mean"),
    )


def measure(
    predictions: pd.DataFrame, resamples: int = RESAMPLES, *, resampled: pd.DataFrame | None = None
) -> dict:
    """Metrics of one split.

    Parameters
    ----------
    predictions : DataFrame
        Columns file, patient, label and ``p_<class>`` of each class.
    resamples : int
        Of the bootstrap; 0 leaves it out.
    resampled : DataFrame, optional
        From `resampling.bootstrap`, where these predictions have been resampled already.

    Returns
    -------
    dict
        For each metric a dict with value; patients_low and patients_high (bootstrap of
        patients); and, for proportions, low and high (Wilson), correct and cells. Sensitivity is
        the share of the positive class's cells that is found, specificity the share of all other
        cells that is not taken for it. With more than two classes these (then without Wilson
        interval), AUROC, average precision and calibration are means over the classes, each set
        against all others. Weighted F1 is the challenge's metric: the F1 of all classes,
        weighted by their cells. Brier score (half the squared distance, so that 1 is the worst
        with any number of classes) and expected calibration error (Naeini et al. 2015, 10 bins of
        equal width) are 0 at best; resampling adds noise to every bin, so the interval of the
        calibration error leans upwards and may lie above the value. And: patients,
        confusion_matrix, classes (sensitivity, specificity and AUROC of each class against all
        others).

    Examples
    --------
    >>> test = predictions[predictions["split"] == "test"]
    >>> sensitivity = measure(test)["sensitivity"]
    >>> sensitivity["correct"], sensitivity["cells"], round(float(sensitivity["value"]), 2)
    (5, 6, 0.83)
    """
    patients = resampling.Patients(predictions)
    values = patients.metrics(np.ones((1, len(patients.names)))).iloc[0]
    entries = {name: {"value": _number(value)} for name, value in values.items()}
    matrix = confusion(predictions)
    entries["accuracy"] = proportion(np.diag(matrix).sum(), len(predictions))
    each = {label: _one_class(predictions, label) for label in tables.classes_of(predictions)}
    if len(each) == 2:
        positive = each[matrix.columns[0]]
        entries |= {name: dict(positive[name]) for name in ("sensitivity", "specificity")}
    if resamples:
        if resampled is None:
            resampled = resampling.bootstrap(predictions, resamples)
        limits = resampled.quantile(LIMITS)
        for name, entry in entries.items():
            entry["patients_low"], entry["patients_high"] = map(_number, limits[name])
    return {
        **entries,
        "patients": {label: int(patients.per_class.get(label, 0)) for label in matrix},
        "confusion_matrix": {
            "rows_true_columns_predicted": list(matrix),
            "counts": matrix.to_numpy().tolist(),
        },
        "classes": each,
    }


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if pd.isna(value) else float(value)


def _found(
    predictions: pd.DataFrame, label: str, threshold: float | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For sensitivity and specificity of a class: the cells that count, and the right ones."""
    truth = (predictions["label"] == label).to_numpy()
    predicted = (tables.predicted_labels(predictions, threshold) == label).to_numpy()
    return {"sensitivity": (truth, truth & predicted), "specificity": (~truth, ~truth & ~predicted)}


def _one_class(predictions: pd.DataFrame, label: str) -> dict:
    """One class against all others."""
    found = _found(predictions, label)
    truth, auroc = found["sensitivity"][0], None
    if 0 < truth.sum() < len(truth):
        auroc = float(sk.roc_auc_score(truth, predictions[f"p_{label}"]))
    shares = {name: proportion(right.sum(), cells.sum()) for name, (cells, right) in found.items()}
    return {**shares, "auroc": {"value": auroc}}


def at_threshold(predictions: pd.DataFrame, threshold: float) -> dict:
    """Sensitivity and specificity of the positive class at a threshold, with both intervals."""
    patients = resampling.Patients(predictions)
    drawn = patients.draws(RESAMPLES)
    entries: dict = {"threshold": threshold}
    positive = tables.classes_of(predictions)[0]
    for name, (cells, right) in _found(predictions, positive, threshold).items():
        entries[name] = proportion(right.sum(), cells.sum())
        with np.errstate(invalid="ignore"):
            shares = drawn @ patients.sums(right) / (drawn @ patients.sums(cells))
        if cells.any() and patients.per_class.min() > 1:
            low, high = np.quantile(shares, LIMITS)
            entries[name] |= {"patients_low": float(low), "patients_high": float(high)}
    return entries


def evaluate(
    predictions: pd.DataFrame, notes: list[str], *, threshold: float | None = None
) -> dict:
    """What metrics.json holds.

    Parameters
    ----------
    predictions : DataFrame
        Cells of validation and test. Only the test is resampled.
    notes : list of str
        What must be said beside every figure.
    threshold : float, optional
        From `calibrate`: sensitivity and specificity there are measured too.

    Returns
    -------
    dict

    Examples
    --------
    >>> metrics = evaluate(predictions, notes=["synthetic cells"])
    >>> metrics["warning"]
    'Research only, not for diagnosis.'
    >>> metrics["test"]["accuracy"]["correct"], metrics["test"]["accuracy"]["cells"]
    (7, 10)
    """
    splits = {
        split: measure(group, RESAMPLES if split == "test" else 0)
        for split, group in predictions.groupby("split")
    }
    if threshold is not None and "test" in splits:
        test = predictions[predictions["split"] == "test"]
        splits["test"]["operating_point"] = at_threshold(test, threshold)
    intervals = {
        "low, high": f"Wilson, {CONFIDENCE:.0%}; cells taken as independent",
        "patients_low, patients_high": f"bootstrap of patients, {CONFIDENCE:.0%}, "
        f"{RESAMPLES:,} resamples",
    }
    return {"warning": RESEARCH_ONLY, "notes": notes, "intervals": intervals, **splits}
