"""One evaluator for every notebook: predictions in, metrics with their intervals out.

Everything here is computed from a table of predictions (``predictions.csv``), so that a reader can do it again.

Two kinds of interval stand side by side. Wilson's takes the cells as independent; the bootstrap resamples patients with
all their cells, because cells of one patient resemble each other. The second is the honest one for new patients.

With two classes, sensitivity, specificity, AUROC, average precision and calibration are about the positive class, which
comes first; with more, each class is set against all others, and the mean over the classes is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from .. import RESEARCH_ONLY
from ..data import tables
from . import resampling
from .resampling import CONFIDENCE, RESAMPLES

TITLES = {
    "auroc": "AUROC",
    "weighted_f1": "weighted F1",
    "brier_score": "Brier score",
    "calibration_error": "expected calibration error",
    "patient_accuracy": "mean accuracy per patient",
}


def metric_title(metric: str) -> Any:
    """Name of a metric in figures and tables."""
    return TITLES.get(metric, metric.replace("_", " "))


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Confusion matrix."""
    classes = list(tables.classes_of(predictions))
    matrix = sk.confusion_matrix(
        predictions["label"], tables.predicted_labels(predictions), labels=classes
    )
    return pd.DataFrame(matrix, index=classes, columns=classes)


def proportion(correct: int, cells: int) -> dict:
    """A proportion with its 95 % interval by Wilson (1927), which keeps its coverage near 0 and 1.

    Parameters
    ----------
    correct, cells : int

    Returns
    -------
    dict
        value, low, high, correct, cells. Without cells there are no values.

    Examples
    --------
    >>> {name: round(value, 2) for name, value in proportion(7, 10).items()}
    {'value': 0.7, 'low': 0.4, 'high': 0.89, 'correct': 7, 'cells': 10}
    """
    counts = {"correct": int(correct), "cells": int(cells)}
    if not cells:
        return {"value": None, "low": None, "high": None, **counts}
    low, high = proportion_confint(correct, cells, alpha=1 - CONFIDENCE, method="wilson")
    return {"value": correct / cells, "low": low, "high": high, **counts}


def per_patient(predictions: pd.DataFrame) -> pd.DataFrame:
    """Cells and accuracy of each patient, as the organisers of C-NMC 2019 asked for.

    Parameters
    ----------
    predictions : DataFrame

    Returns
    -------
    DataFrame
        Columns subject, label, cells, correct, accuracy; worst first within each class. A patient with cells of two
        classes has two rows.

    Examples
    --------
    >>> per_patient(predictions[:10])[["subject", "label", "cells", "correct"]].values.tolist()
    [['2', 'all', 3, 2], ['1', 'all', 3, 3], ['4', 'hem', 2, 0], ['3', 'hem', 2, 2]]
    """
    right = predictions["label"] == tables.predicted_labels(predictions)
    table = predictions.assign(subject=tables.patients_of(predictions), correct=right)
    table = (
        table.groupby(["label", "subject"])["correct"]
        .agg(cells="size", correct="sum")
        .reset_index()
    )
    table = table.assign(accuracy=table["correct"] / table["cells"])
    return table.sort_values(["label", "accuracy"])[
        ["subject", "label", "cells", "correct", "accuracy"]
    ]


def calibration(predictions: pd.DataFrame, label: str) -> pd.DataFrame:
    """Stated probability of a class against its observed frequency, in bins of equal width.

    Parameters
    ----------
    predictions : DataFrame
    label : str

    Returns
    -------
    DataFrame
        One row per bin that holds cells: cells, stated (mean probability), observed (share of the class).

    Examples
    --------
    >>> calibration(predictions, "all").loc[9].round(2).to_dict()
    {'cells': 3.0, 'stated': 0.93, 'observed': 0.67}
    """
    table = pd.DataFrame(
        {"stated": predictions[f"p_{label}"], "observed": predictions["label"] == label}
    )
    bins = table.groupby(resampling._bins(table["stated"].to_numpy()))
    return bins.agg(
        cells=("stated", "size"), stated=("stated", "mean"), observed=("observed", "mean")
    )


def measure(predictions: pd.DataFrame, resamples: int = RESAMPLES) -> dict:
    """Metrics of one side of the split.

    Parameters
    ----------
    predictions : DataFrame
        Columns file, subject, label and ``p_<class>`` of each class.
    resamples : int
        Of the bootstrap; 0 leaves it out.

    Returns
    -------
    dict
        For each of `METRICS` a dict with value; patients_low and patients_high (bootstrap of patients); and, for
        proportions, low and high (Wilson), correct and cells. Sensitivity is the share of the positive class's cells
        that is found, specificity the share of all other cells that is not called so; with more than two classes both
        are means over the classes and have no Wilson interval. Weighted F1 is the challenge's metric: the F1 of all
        classes, weighted by their cells. Brier score (half the squared distance, so that 1 is the worst with any
        number of classes) and expected calibration error (Naeini et al. 2015, 10 bins of equal width) are 0 at best;
        resampling adds noise to every bin, so the interval of the calibration error leans upwards and may lie above
        the value. And: patients, confusion_matrix, classes (sensitivity, specificity and AUROC of each class against
        all others).

    Examples
    --------
    >>> test = predictions[predictions["split"] == "test"]
    >>> sensitivity = measure(test)["sensitivity"]
    >>> sensitivity["correct"], sensitivity["cells"], round(float(sensitivity["value"]), 2)
    (5, 6, 0.83)
    """
    patients = resampling._Patients(predictions)
    values = patients.metrics(np.ones((1, len(patients.names)))).iloc[0]
    entries = {name: {"value": resampling.number(value)} for name, value in values.items()}
    matrix = confusion(predictions)
    entries["accuracy"] = proportion(np.diag(matrix).sum(), len(predictions))
    each = {label: _one_class(matrix, label, predictions) for label in matrix}
    if len(each) == 2:
        positive = each[matrix.columns[0]]
        entries |= {name: dict(positive[name]) for name in ("sensitivity", "specificity")}
    if resamples:
        limits = resampling.bootstrap(predictions, resamples).quantile(
            [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
        )
        for name, entry in entries.items():
            entry["patients_low"], entry["patients_high"] = map(resampling.number, limits[name])
    return {
        **entries,
        "patients": {label: int(patients.per_class.get(label, 0)) for label in matrix},
        "confusion_matrix": {
            "rows_true_columns_predicted": list(matrix),
            "counts": matrix.to_numpy().tolist(),
        },
        "classes": each,
    }


def _one_class(matrix: Any, label: str, predictions: pd.DataFrame) -> Any:
    """One class against all others."""
    truth, found, right = (
        predictions["label"] == label,
        matrix[label].sum(),
        matrix.loc[label, label],
    )
    others = len(predictions) - truth.sum()
    both = 0 < truth.sum() < len(truth)
    return {
        "sensitivity": proportion(right, truth.sum()),
        "specificity": proportion(others - found + right, others),
        "auroc": {
            "value": float(sk.roc_auc_score(truth, predictions[f"p_{label}"])) if both else None
        },
    }


def evaluate(predictions: pd.DataFrame, notes: list[str]) -> dict:
    """What metrics.json holds.

    Parameters
    ----------
    predictions : DataFrame
        Cells of validation and test. Only the test is resampled.
    notes : list of str
        What must be said beside every figure.

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
    sides = {
        side: measure(group, RESAMPLES if side == "test" else 0)
        for side, group in predictions.groupby("split")
    }
    intervals = {
        "low, high": f"Wilson, {CONFIDENCE:.0%}; cells taken as independent",
        "patients_low, patients_high": f"bootstrap of patients, {CONFIDENCE:.0%}, {RESAMPLES:,} resamples",
    }
    return {"warning": RESEARCH_ONLY, "notes": notes, "intervals": intervals, **sides}
