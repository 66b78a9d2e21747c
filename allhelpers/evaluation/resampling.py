"""All metrics on resampled patients, from one pass over the cells."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from ..data import tables
from .definitions import METRICS

CONFIDENCE = 0.95
LIMITS = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
RESAMPLES = 1000
BOOTSTRAP_SEED = 0  # one for all: methods are resampled alike and can be compared pairwise
CALIBRATION_BINS = 10
AT_ONCE = 100  # resamples that are ranked together, for the sake of memory


def bins_of(probabilities: np.ndarray) -> np.ndarray:
    """The bin of equal width in which each probability lies."""
    return np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)


class Patients:
    """The cells of a test by patient: what is drawn, and what each draw weighs."""

    def __init__(self, predictions: pd.DataFrame) -> None:
        units = tables.patients_of(predictions)
        classes = tables.classes_of(predictions)
        self.table = predictions
        self.names, self.unit = np.unique(units, return_inverse=True)
        self.probabilities = tables.y_prob(predictions)
        self.count, self.scored = len(classes), len(tables.scored(classes))
        self.classes = predictions["label"].map(classes.index).to_numpy(int)
        self.truth = np.eye(self.count, dtype=bool)[self.classes]
        self.per_class = units.groupby(predictions["label"]).nunique()

    def sums(
        self, values: np.ndarray, column: np.ndarray | int = 0, columns: int = 1
    ) -> np.ndarray:
        """Sum of the cells' values for each patient, in the column that each cell belongs to."""
        place = self.unit * columns + column
        sums = np.bincount(place, values, minlength=len(self.names) * columns)
        return sums.reshape(-1, columns)

    def draws(self, resamples: int) -> np.ndarray:
        """How often each patient is drawn in each resample, among those of the same classes."""
        random = np.random.default_rng(BOOTSTRAP_SEED)
        has = np.zeros((len(self.names), self.count), bool)
        has[self.unit, self.classes] = True
        _, stratum = np.unique(has[:, ::-1], axis=0, return_inverse=True)
        drawn = np.zeros((resamples, len(self.names)))
        for kind in range(stratum.max() + 1):
            members = np.flatnonzero(stratum.ravel() == kind)
            shares = np.full(len(members), 1 / len(members))
            drawn[:, members] = random.multinomial(len(members), shares, resamples)
        return drawn

    def metrics(self, weights: np.ndarray) -> pd.DataFrame:
        """All metrics for each row of the patients' weights."""

        @functools.cache
        def totals(weigh: object) -> Totals:
            alike = np.ones(len(self.unit))
            return Totals(self, weights, weigh(self.table) if callable(weigh) else alike)

        with np.errstate(invalid="ignore", divide="ignore"):
            return pd.DataFrame(
                {name: m.formula(totals(m.cell_weights)) for name, m in METRICS.items()}
            )


class Totals:
    """Sums over the cells for each row of the patients' weights, from which metrics follow."""

    def __init__(self, patients: Patients, weights: np.ndarray, cell_weights: np.ndarray) -> None:
        self.patients, self.weights, self.cell_weights = patients, weights, cell_weights
        self.scored, count = patients.scored, patients.count
        place = patients.classes * count + patients.probabilities.argmax(axis=1)
        self._confusion = patients.sums(cell_weights, place, count**2)
        matrix = (weights @ self._confusion).reshape(-1, count, count)
        self.cells: np.ndarray = matrix.sum(axis=(1, 2))
        self.correct: np.ndarray = np.diagonal(matrix, axis1=1, axis2=2)
        self.support: np.ndarray = matrix.sum(axis=2)
        self.predicted: np.ndarray = matrix.sum(axis=1)
        self.recall: np.ndarray = self.correct / self.support

    def squares(self) -> np.ndarray:
        """Half the squared error; with two classes this is the square of either error."""
        errors = self.patients.probabilities - self.patients.truth
        halves = (errors**2).sum(axis=1) / 2
        return (self.weights @ self.patients.sums(halves * self.cell_weights))[:, 0]

    def gaps(self) -> list[np.ndarray]:
        """Predicted less observed cells in each bin of probability, class by class."""
        patients, bins = self.patients, bins_of(self.patients.probabilities)
        errors = (patients.probabilities - patients.truth) * self.cell_weights[:, np.newaxis]
        return [
            self.weights @ patients.sums(errors[:, k], bins[:, k], CALIBRATION_BINS)
            for k in range(self.scored)
        ]

    def accuracy_of_patients(self) -> np.ndarray:
        """Mean of the accuracies of single patients whose cells count."""
        cells = self._confusion.sum(axis=1)
        correct = self._confusion[:, :: self.patients.count + 1].sum(axis=1)
        accuracy = np.divide(correct, cells, out=np.zeros_like(cells), where=cells > 0)
        return self.weights @ accuracy / (self.weights @ (cells > 0).astype(float))

    @functools.cached_property
    def ranking(self) -> np.ndarray:
        """AUROC and average precision, as scikit-learn defines them; means over the classes."""
        return np.mean([self._ranking(k) for k in range(self.scored)], axis=0)

    def _ranking(self, k: int) -> np.ndarray:
        probabilities, truth = self.patients.probabilities[:, k], self.patients.truth[:, k]
        order = np.argsort(-probabilities, kind="stable")
        last_of_tie = np.append(np.flatnonzero(np.diff(probabilities[order])), len(order) - 1)
        unit, weight, truth = self.patients.unit[order], self.cell_weights[order], truth[order]
        results = []
        for rows in np.array_split(self.weights, -(-len(self.weights) // AT_ONCE)):
            per_cell = rows[:, unit] * weight
            true = np.cumsum(per_cell * truth, axis=1)[:, last_of_tie]
            false = np.cumsum(per_cell * ~truth, axis=1)[:, last_of_tie]
            true_step, false_step = (np.diff(x, axis=1, prepend=0) for x in (true, false))
            area = (false_step * (true - true_step / 2)).sum(axis=1) / (true[:, -1] * false[:, -1])
            precision = np.where(true_step > 0, true / (true + false), 0)
            average = (true_step * precision).sum(axis=1) / true[:, -1]
            results.append([area, np.where(np.isnan(area), np.nan, average)])
        return np.concatenate(results, axis=1)


def bootstrap(predictions: pd.DataFrame, resamples: int = RESAMPLES) -> pd.DataFrame:
    """All metrics (columns) of one split on resampled patients (rows).

    Patients are drawn with replacement, each with all its cells, among the patients of its class,
    so that every resample has as many patients of each class as the test (Efron & Tibshirani 1993,
    "An introduction to the bootstrap", section 8; clusters as units).
    """
    patients = Patients(predictions)
    # One patient of a class would be drawn each time: no width would look like certainty.
    if patients.per_class.min() == 1:
        return pd.DataFrame(np.nan, index=range(resamples), columns=list(METRICS))
    return patients.metrics(patients.draws(resamples))
