"""The table of predictions, which training writes and everything after it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from .loading import Cells


def tabulate(cells: Cells, rows: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Put probabilities beside the cells that they belong to.

    Parameters
    ----------
    cells : loading.Cells
    rows : ndarray of int
        Row numbers in ``cells``.
    probabilities : array of shape (len(rows), classes)

    Returns
    -------
    DataFrame
        Columns file, subject, split, label, and ``p_<class>`` for each class, the positive one first.

    Examples
    --------
    >>> found = tabulate(cells, [0, 1], [[0.7, 0.3], [0.2, 0.8]])
    >>> list(found)
    ['file', 'subject', 'split', 'label', 'p_all', 'p_hem']
    >>> found["p_all"].tolist()
    [0.7, 0.2]
    """
    table = cells.table.iloc[rows][["file", "subject", "split", "label"]].reset_index(drop=True)
    stated = np.asarray(probabilities, float).round(6).T
    return table.assign(
        **{f"p_{label}": values for label, values in zip(cells.classes, stated, strict=True)}
    )


def classes_of(predictions: pd.DataFrame) -> tuple[str, ...]:
    """Classes of a table of predictions, in the order of its columns: the positive one first."""
    return tuple(column.removeprefix("p_") for column in predictions if column.startswith("p_"))


def scored(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that each are set against all others: the positive one of two, every one of more."""
    return classes[:1] if len(classes) == 2 else classes


def stated(predictions: pd.DataFrame) -> np.ndarray:
    """Probabilities as an array."""
    return predictions[[f"p_{label}" for label in classes_of(predictions)]].to_numpy(float)


def stated_for_truth(predictions: pd.DataFrame) -> np.ndarray:
    """Probability that was stated for the true class of each cell."""
    columns = predictions["label"].map(list(classes_of(predictions)).index).to_numpy(int)
    return stated(predictions)[np.arange(len(predictions)), columns]


def predicted_labels(predictions: pd.DataFrame) -> pd.Series:
    """Class of each cell: the most probable one, of equals the first."""
    classes = np.array(classes_of(predictions), dtype=object)
    return pd.Series(
        classes[stated(predictions).argmax(axis=1)], index=predictions.index, dtype=object
    )


def patients_of(predictions: pd.DataFrame) -> pd.Series:
    """What is resampled: the patient of each cell, or the cell itself where no patient is known."""
    subject = predictions["subject"].fillna("").astype(str)
    return subject.where(subject != "", predictions["file"].astype(str))
