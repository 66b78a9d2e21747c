"""All metrics on resampled patients, from one pass over the cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..data import tables

CONFIDENCE = 0.95

RESAMPLES = 1000

BOOTSTRAP_SEED = (
    0  # one seed for all, so that two methods are resampled alike and can be compared pairwise
)

CALIBRATION_BINS = 10


# Metrics in the order of tables. The first three are proportions and have Wilson's interval as well.
PROPORTIONS = ("accuracy", "sensitivity", "specificity")

METRICS = (
    *PROPORTIONS,
    "balanced_accuracy",
    "weighted_f1",
    "auroc",
    "average_precision",
    "brier_score",
    "calibration_error",
    "patient_accuracy",
)


def _bins(probabilities: np.ndarray) -> Any:
    return np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)


class _Patients:
    """Sums over the cells of each patient, from which most metrics follow for any weights of the patients."""

    def __init__(self, predictions: pd.DataFrame) -> None:
        units = tables.patients_of(predictions)
        self.names, self.unit = np.unique(units, return_inverse=True)
        classes, self.stated = tables.classes_of(predictions), tables.stated(predictions)
        self.count, self.scored = len(classes), len(tables.scored(classes))
        self.classes = predictions["label"].map(classes.index).to_numpy(int)
        self.per_class = units.groupby(predictions["label"]).nunique()
        self.truth = np.eye(self.count, dtype=bool)[self.classes]
        called = self.stated.argmax(axis=1)
        self.confusion = self._sum(np.eye(self.count**2)[self.classes * self.count + called])
        errors = self.stated - self.truth
        self.squares = self._sum(
            (errors**2).sum(axis=1) / 2
        )  # with two classes: the square of either error
        in_bin = np.eye(CALIBRATION_BINS)[_bins(self.stated)]
        self.gaps = [self._sum(in_bin[:, k] * errors[:, k, np.newaxis]) for k in range(self.scored)]

    def _sum(self, per_cell: Any) -> Any:
        per_cell = per_cell.reshape(len(self.unit), -1).astype(float)
        sums = np.zeros((len(self.names), per_cell.shape[1]))
        np.add.at(sums, self.unit, per_cell)
        return sums

    def draws(self, resamples: int) -> np.ndarray:
        """How often each patient is drawn in each resample; patients of each class are drawn among themselves."""
        random = np.random.default_rng(BOOTSTRAP_SEED)
        stratum = np.zeros(len(self.names), int)
        np.bitwise_or.at(stratum, self.unit, 1 << self.classes)
        drawn = np.zeros((resamples, len(self.names)))
        for kind in np.unique(stratum):
            members = np.flatnonzero(stratum == kind)
            drawn[:, members] = random.multinomial(
                len(members), np.full(len(members), 1 / len(members)), resamples
            )
        return drawn

    def metrics(self, weights: np.ndarray) -> pd.DataFrame:
        """All metrics for each row of weights."""
        matrix = (weights @ self.confusion).reshape(-1, self.count, self.count)
        cells, right = matrix.sum(axis=(1, 2)), np.diagonal(matrix, axis1=1, axis2=2)
        support, called = matrix.sum(axis=2), matrix.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = right / support
            f1 = np.where(support + called > 0, 2 * right / (support + called), 0)
            others = cells[:, np.newaxis] - support
            specificity = (others - called + right) / others
            accuracy_of_patient = self.confusion[:, :: self.count + 1].sum(
                axis=1
            ) / self.confusion.sum(axis=1)
            found = {
                "accuracy": right.sum(axis=1) / cells,
                "sensitivity": recall[:, : self.scored].mean(axis=1),
                "specificity": specificity[:, : self.scored].mean(axis=1),
                "balanced_accuracy": recall.mean(axis=1),
                "weighted_f1": (support * f1).sum(axis=1) / cells,
                "brier_score": (weights @ self.squares)[:, 0] / cells,
                "calibration_error": sum(np.abs(weights @ gaps).sum(axis=1) for gaps in self.gaps)
                / cells
                / self.scored,
                "patient_accuracy": weights @ accuracy_of_patient / weights.sum(axis=1),
            }
        rankings = [
            self._ranking(weights, self.stated[:, k], self.truth[:, k]) for k in range(self.scored)
        ]
        auroc, average_precision = np.mean(rankings, axis=0)
        return pd.DataFrame({**found, "auroc": auroc, "average_precision": average_precision})[
            list(METRICS)
        ]

    def _ranking(self, weights: Any, probabilities: np.ndarray, truth: Any) -> Any:
        """AUROC and average precision of one class for each row of weights, as scikit-learn defines them."""
        order = np.argsort(-probabilities, kind="stable")
        last_of_tie = np.append(np.flatnonzero(np.diff(probabilities[order])), len(order) - 1)
        results = []
        for some in np.array_split(
            weights, -(-len(weights) // 100)
        ):  # 100 at a time, for the sake of memory
            per_cell = some[:, self.unit[order]]
            true, false = (
                np.cumsum(per_cell * side[order], axis=1)[:, last_of_tie]
                for side in (truth, ~truth)
            )
            steps = [np.diff(curve, axis=1, prepend=0) for curve in (true, false)]
            with np.errstate(invalid="ignore", divide="ignore"):
                area = (steps[1] * (true - steps[0] / 2)).sum(axis=1) / (true[:, -1] * false[:, -1])
                precision = np.where(steps[0] > 0, true / (true + false), 0)
                mean_precision = (steps[0] * precision).sum(axis=1) / true[:, -1]
            results.append([area, np.where(np.isnan(area), np.nan, mean_precision)])
        return np.concatenate(results, axis=1)


def bootstrap(predictions: pd.DataFrame, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Metrics on resampled patients.

    Patients are drawn with replacement, each with all its cells, among the patients of its class, so that every
    resample has as many patients of each class as the test (Efron & Tibshirani 1993, "An introduction to the
    bootstrap", section 8; clusters as units). Tables of the same cells are resampled alike.

    Parameters
    ----------
    predictions : DataFrame
        Cells of one side of the split.
    resamples : int

    Returns
    -------
    DataFrame of shape (resamples, metrics)
        NaN where the test has one patient of a class: that one would be drawn each time, and an interval without
        width would look like certainty.

    Examples
    --------
    >>> bootstrap(predictions, resamples=100).shape
    (100, 10)
    """
    patients = _Patients(predictions)
    if patients.per_class.min() == 1:
        return pd.DataFrame(np.nan, index=range(resamples), columns=list(METRICS))
    return patients.metrics(patients.draws(resamples))


def number(value: float) -> Any:
    return None if pd.isna(value) else float(value)
