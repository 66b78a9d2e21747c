"""Two trivial methods that every network must beat: the majority class, and the size of the cell alone.

ALL cells of C-NMC 2019 are about a third larger than normal ones, so that a threshold on the area is right in about
three of four cells (J. Prellberg & O. Kramer 2019, notebooks to their entry). A network that does no better than
the area has learnt nothing else.
"""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from . import evaluation, runs

TITLES = {"majority": "majority class", "area": "cell area alone"}
FOLDER = "baselines"


def areas(pixels, chunk=256):
    """Area of each cell: the pixels that are not black.

    Parameters
    ----------
    pixels : array of shape (cells, height, width, 3), uint8
    chunk : int
        Cells that are held in memory at a time.

    Returns
    -------
    ndarray of int, in pixels of the decoded picture

    Examples
    --------
    >>> picture = np.zeros((1, 8, 8, 3), np.uint8)
    >>> picture[0, 2:5, 2:6] = 200
    >>> areas(picture).tolist()
    [12]
    """
    parts = [pixels[start : start + chunk].any(axis=-1).sum(axis=(1, 2)) for start in range(0, len(pixels), chunk)]
    return np.concatenate(parts)


def majority(cells):
    """Give every cell the shares of the classes among the training cells.

    Parameters
    ----------
    cells : loading.Cells

    Returns
    -------
    ndarray of shape (cells, classes)
        Probabilities in the order of ``cells.classes``.

    Examples
    --------
    >>> majority(cells)[0].tolist()
    [0.5, 0.5]
    """
    return np.tile(cells.labels()[cells.rows("train")].mean(axis=0), (len(cells.table), 1))


def area(cells):
    """Logistic regression on the area, fitted to the training cells.

    Parameters
    ----------
    cells : loading.Cells

    Returns
    -------
    ndarray of shape (cells, classes)
        Probabilities in the order of ``cells.classes``.

    Examples
    --------
    >>> right = area(cells).argmax(axis=1) == cells.labels().argmax(axis=1)
    >>> int(right[cells.rows("test")].sum()), len(cells.rows("test"))
    (49, 70)
    """
    size = areas(cells.pixels)[:, np.newaxis]
    train = cells.rows("train")
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(size[train], cells.labels()[train].argmax(axis=1))
    probabilities = np.zeros((len(size), len(cells.classes)))
    probabilities[:, model[-1].classes_] = model.predict_proba(size)
    return probabilities


METHODS = {"majority": majority, "area": area}


def write(cells, run_folder):
    """Write the baselines' predictions for the cells of validation and test.

    Parameters
    ----------
    cells : loading.Cells
    run_folder : str or Path
        Gets ``baselines/majority.csv`` and ``baselines/area.csv``, with the columns of predictions.csv.

    Examples
    --------
    >>> write(cells, "first")
    >>> sorted(path.name for path in Path("first", FOLDER).iterdir())
    ['area.csv', 'majority.csv']
    """
    rows = np.concatenate([cells.rows("valid"), cells.rows("test")])
    for name, method in METHODS.items():
        table = evaluation.tabulate(cells, rows, method(cells)[rows])
        runs.write_csv(Path(run_folder) / FOLDER / f"{name}.csv", table)
