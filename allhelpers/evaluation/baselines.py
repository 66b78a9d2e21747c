"""Two trivial methods that every network must beat: the majority class, and the cell's size alone.

ALL cells of C-NMC 2019 are about a third larger than normal ones, so that a threshold on the area
is right in about three of four cells (J. Prellberg & O. Kramer 2019, notebooks to their entry). A
network that does no better than the area has learnt nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .._core.files import write_csv
from ..data import tables
from ..runs import Run

if TYPE_CHECKING:
    from ..data.loading import Cells


def majority(cells: Cells) -> np.ndarray:
    """Give every cell the shares of the classes among the training cells."""
    return np.tile(cells.labels()[cells.rows("train")].mean(axis=0), (len(cells.table), 1))


def area(cells: Cells) -> np.ndarray:
    """Logistic regression on the area, fitted to the training cells."""
    size = cells.areas[:, np.newaxis].astype(float)
    train = cells.rows("train")
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(size[train], cells.labels()[train].argmax(axis=1))
    probabilities = np.zeros((len(size), len(cells.classes)))
    probabilities[:, model[-1].classes_] = model.predict_proba(size)
    return probabilities


METHODS = {"majority": majority, "area": area}


def write_baselines(cells: Cells, run_folder: str | Path) -> None:
    """Write the baselines' predictions for the cells of validation and test.

    Parameters
    ----------
    cells : Cells
    run_folder : str or Path
        Gets ``baselines/majority.csv`` and ``baselines/area.csv``, with the columns of
        predictions.csv.

    Examples
    --------
    >>> write_baselines(cells, "first")
    >>> sorted(path.name for path in Path("first", "baselines").iterdir())
    ['area.csv', 'majority.csv']
    """
    rows = np.concatenate([cells.rows("val"), cells.rows("test")])
    for name, method in METHODS.items():
        table = tables.tabulate(cells, rows, method(cells)[rows])
        write_csv(Run(run_folder).baseline(name), table)
