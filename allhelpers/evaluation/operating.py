"""Can probabilities be taken at their word, and from which one on is a cell predicted positive?

Both are decided on cells whose patients the network has not met, and never on the test.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from ..data import tables
from ..data.weighting import patient_weights

LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.05, 20.0
SMALLEST = 1e-7  # probability whose logarithm is taken


@dataclass(frozen=True)
class Calibration:
    """What was decided on cells of patients that the network has not met."""

    temperature: float = 1.0  # by which scores are divided before softmax; 1 leaves them
    # Probability of the positive class from which on a cell is predicted positive; none: the most
    # probable class.
    threshold: float | None = None
    wanted: float = 0.0  # the sensitivity that was asked for; 0: none
    cells: int = 0  # on how many it rests
    patients: int = 0

    def apply(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Predictions with the probabilities that this temperature gives."""
        scores = _scores(predictions) / self.temperature
        columns = [f"p_{label}" for label in tables.classes_of(predictions)]
        return predictions.assign(**dict(zip(columns, softmax(scores, axis=1).T, strict=True)))

    def record(self) -> dict[str, Any]:
        """For parameters.json."""
        return asdict(self)


def calibrate(
    held_out: pd.DataFrame | None = None,
    *,
    temperature: bool = False,
    sensitivity: float = 0.0,
) -> Calibration:
    """Fit a temperature (Guo et al. 2017, "On calibration of modern neural networks") and find the
    threshold that gives a wanted sensitivity; every patient counts the same.

    Parameters
    ----------
    held_out : DataFrame, optional
        Predictions of cells whose patients the network has not met.
    temperature : bool
        Whether to fit one.
    sensitivity : float
        Share of the positive class to be found, 0 for no threshold.

    Returns
    -------
    Calibration
        The one that changes nothing where fewer than two classes were held out.

    Examples
    --------
    >>> found = calibrate(predictions, temperature=True, sensitivity=0.9)
    >>> found.cells, found.wanted, 0 < found.threshold < 1
    (12, 0.9, True)
    """
    if held_out is None or held_out["label"].nunique() < 2:
        return Calibration(wanted=sensitivity)
    found = Calibration(
        _temperature(held_out) if temperature else 1.0,
        wanted=sensitivity,
        cells=len(held_out),
        patients=tables.patients_of(held_out).nunique(),
    )
    if not sensitivity:
        return found
    return replace(found, threshold=_threshold(found.apply(held_out), sensitivity))


def _scores(predictions: pd.DataFrame) -> np.ndarray:
    return np.log(np.maximum(tables.y_prob(predictions), SMALLEST))


def _temperature(held_out: pd.DataFrame) -> float:
    """The one under which the true classes are most probable."""
    scores, weights = _scores(held_out), patient_weights(held_out)
    classes = tables.classes_of(held_out)
    truth = held_out["label"].map(classes.index).to_numpy(int)

    def loss(logarithm: float) -> float:
        probability = softmax(scores / np.exp(logarithm), axis=1)[np.arange(len(truth)), truth]
        return -float(np.average(np.log(np.maximum(probability, SMALLEST)), weights=weights))

    bounds = np.log([LEAST_TEMPERATURE, MOST_TEMPERATURE])
    return float(np.exp(minimize_scalar(loss, bounds=tuple(bounds), method="bounded").x))


def _threshold(held_out: pd.DataFrame, sensitivity: float) -> float:
    """The highest threshold at which so large a share of the positive class is found."""
    positive = tables.classes_of(held_out)[0]
    cells = held_out[held_out["label"] == positive]
    probabilities = cells[f"p_{positive}"].to_numpy()
    order = np.argsort(-probabilities)
    found = np.cumsum(patient_weights(cells)[order])
    place = np.searchsorted(found, sensitivity * found[-1] - 1e-9)
    return float(probabilities[order][min(place, len(order) - 1)])
