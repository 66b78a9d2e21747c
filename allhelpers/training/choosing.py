"""By which figure of validation an epoch, or a set of hyper-parameters, is chosen.

What tells cells apart by their size, or knows a few patients with many cells, has the best plain
figures and fails on new patients; so patients may weigh the same, or classes be matched by size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn import metrics as sk

from ..data import tables
from ..data.weighting import matched_weights, patient_weights

if TYPE_CHECKING:
    import pandas as pd


def score(predictions: pd.DataFrame, choose_by: str) -> float:
    """A figure of validation, the higher the better; NaN where a class has no weight."""
    weights = _weights(predictions, choose_by)
    truth, predicted = predictions["label"].to_numpy(), tables.predicted_labels(predictions)
    classes = tables.classes_of(predictions)
    if any(weights[truth == label].sum() == 0 for label in classes):
        return np.nan
    if choose_by.startswith("weighted_f1"):
        return sk.f1_score(truth, predicted, average="weighted", sample_weight=weights)
    if choose_by == "loss":
        prob = np.maximum(tables.prob_true_class(predictions), 1e-7)
        return float(np.average(np.log(prob), weights=weights))
    each = [
        sk.roc_auc_score(truth == label, predictions[f"p_{label}"], sample_weight=weights)
        for label in tables.scored(classes)
    ]
    return float(np.mean(each))


def _weights(predictions: pd.DataFrame, choose_by: str) -> np.ndarray:
    if choose_by.endswith("by_patient"):
        return patient_weights(predictions)
    if choose_by.endswith("equal_size"):
        return matched_weights(predictions["area"].to_numpy(float), predictions["label"].to_numpy())
    return np.ones(len(predictions))
