"""The table of predictions, which training writes and everything after it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .loading import Cells


def tabulate(cells: Cells, rows: np.ndarray, probabilities: ArrayLike) -> pd.DataFrame:
    """Put probabilities, of shape (rows, classes), beside their cells, as ``p_<class>``."""
    table = cells.table.iloc[rows][["file", "patient", "split", "label"]].reset_index(drop=True)
    table["area"] = cells.areas[rows].astype(int)
    columns = np.asarray(probabilities, float).round(6).T
    return table.assign(
        **{f"p_{label}": column for label, column in zip(cells.classes, columns, strict=True)}
    )


def classes_of(predictions: pd.DataFrame) -> tuple[str, ...]:
    """Classes of a table of predictions, in the order of its columns: the positive one first."""
    columns = map(str, predictions)
    return tuple(column.removeprefix("p_") for column in columns if column.startswith("p_"))


def scored(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that each are set against all others: the positive one of two, else all."""
    return classes[:1] if len(classes) == 2 else classes


def y_prob(predictions: pd.DataFrame) -> np.ndarray:
    """Probabilities as an array of shape (cells, classes)."""
    return predictions[[f"p_{label}" for label in classes_of(predictions)]].to_numpy(float)


def prob_true_class(predictions: pd.DataFrame) -> np.ndarray:
    """Probability of the true class of each cell."""
    columns = predictions["label"].map(list(classes_of(predictions)).index).to_numpy(int)
    return y_prob(predictions)[np.arange(len(predictions)), columns]


def predicted_labels(predictions: pd.DataFrame, threshold: float | None = None) -> pd.Series:
    """Class of each cell, as `predicted_columns`."""
    classes = np.array(classes_of(predictions), dtype=object)
    columns = predicted_columns(y_prob(predictions), threshold)
    return pd.Series(classes[columns], index=predictions.index, dtype=object)


def predicted_columns(probabilities: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Number of the most probable class; with a threshold 0 from it on, else that of the others."""
    if threshold is None:
        return probabilities.argmax(axis=1)
    others = 1 + probabilities[:, 1:].argmax(axis=1)
    return np.where(probabilities[:, 0] >= threshold, 0, others)


def patients_known(table: pd.DataFrame) -> bool:
    """Whether rows have patients; where they are unknown each image stands for one."""
    return not bool((table["patient"] == table["file"]).all())


def unit_of(table: pd.DataFrame) -> str:
    """What a row's patient is: a patient where patients are known, else an image."""
    return "patient" if patients_known(table) else "image"


def patients_of(predictions: pd.DataFrame) -> pd.Series:
    """What is resampled: the patient of each cell, or the cell itself where none is known."""
    patient = predictions["patient"].fillna("").astype(str)
    return patient.where(patient != "", predictions["file"].astype(str))
