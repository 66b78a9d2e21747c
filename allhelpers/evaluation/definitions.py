"""What is measured: every metric once, with its title and its formula.

A new metric is one entry of `METRICS`: the bootstrap, metrics.json, the comparison's tables, the
report and the model card take it from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data import weighting

if TYPE_CHECKING:
    import pandas as pd

    from .resampling import Totals


@dataclass(frozen=True)
class Metric:
    """One figure of a method's test."""

    title: str  # in figures and tables
    # From sums over the cells, one for each row of the patients' weights, to one value per row.
    formula: Callable[[Totals], np.ndarray]
    # From a table of predictions to how much each cell counts; all alike if left out.
    cell_weights: Callable[[pd.DataFrame], np.ndarray] | None = None


def _sensitivity(totals: Totals) -> np.ndarray:
    return totals.recall[:, : totals.scored].mean(axis=1)


def _specificity(totals: Totals) -> np.ndarray:
    others = totals.cells[:, np.newaxis] - totals.support
    rejected = others - totals.predicted + totals.correct
    return (rejected / others)[:, : totals.scored].mean(axis=1)


def _weighted_f1(totals: Totals) -> np.ndarray:
    both = totals.support + totals.predicted
    f1 = np.where(both > 0, 2 * totals.correct / both, 0)
    return (totals.support * f1).sum(axis=1) / totals.cells


def _calibration_error(totals: Totals) -> np.ndarray:
    gaps = sum(np.abs(gaps).sum(axis=1) for gaps in totals.gaps())
    return gaps / totals.cells / totals.scored


LEAST_MATCHED = 10  # cells of each class that are of a size which the others have too

# In the order of tables. The first three are proportions and have Wilson's interval as well.
METRICS = {
    "accuracy": Metric("accuracy", lambda totals: totals.correct.sum(axis=1) / totals.cells),
    "sensitivity": Metric("sensitivity", _sensitivity),
    "specificity": Metric("specificity", _specificity),
    "balanced_accuracy": Metric("balanced accuracy", lambda totals: totals.recall.mean(axis=1)),
    "weighted_f1": Metric("weighted F1", _weighted_f1),
    "auroc": Metric("AUROC", lambda totals: totals.ranking[0]),
    "average_precision": Metric("average precision", lambda totals: totals.ranking[1]),
    "brier_score": Metric("Brier score", lambda totals: totals.squares() / totals.cells),
    "calibration_error": Metric("expected calibration error", _calibration_error),
    "patient_accuracy": Metric(
        "mean accuracy per patient", lambda totals: totals.accuracy_of_patients()
    ),
}


def at_equal_size(predictions: pd.DataFrame) -> np.ndarray:
    """Cells of the classes are matched by their area; none counts where too few have a match."""
    if "area" not in predictions:
        return np.zeros(len(predictions))
    area, labels = predictions["area"].to_numpy(float), predictions["label"].to_numpy()
    weights = weighting.matched_weights(area, labels)
    enough = all(_effective(weights[labels == label]) >= LEAST_MATCHED for label in set(labels))
    return weights if enough else np.zeros(len(predictions))


def _effective(weights: np.ndarray) -> float:
    """How many cells of equal weight would say as much (Kish 1965)."""
    squares = (weights**2).sum()
    return float(weights.sum() ** 2 / squares) if squares else 0.0


_WEIGHED = {
    "by_patient": ("patients weigh the same", weighting.patient_weights),
    "equal_size": ("at equal size", at_equal_size),
}
METRICS |= {
    f"{name}_{ending}": Metric(f"{METRICS[name].title}, {words}", METRICS[name].formula, weights)
    for ending, (words, weights) in _WEIGHED.items()
    for name in ("accuracy", "weighted_f1", "auroc")
}


def metric_title(metric: str) -> str:
    """Name of a metric, or of a column like it, in figures and tables."""
    return METRICS[metric].title if metric in METRICS else metric.replace("_", " ")
