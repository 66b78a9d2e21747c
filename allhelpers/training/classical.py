"""Classical classifiers: measured shape, colour and texture of each cell, and scikit-learn.

Cells of C-NMC are cut out on black, so that segmentation is given: a cell is what is not black.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from skimage.measure import label, regionprops
from sklearn.calibration import CalibratedClassifierCV
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from .._core.caching import filled
from .._core.files import write_csv
from .._core.machine import versions
from ..data import tables
from ..networks import registry
from ..runs import Run
from . import choosing

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from ..data.loading import Cells
    from ..settings import ClassicalSettings

VERSION = 1  # of the features; a change makes earlier ones useless
GREYS = 32  # levels of the co-occurrence matrix; level 0 is the background
DISTANCES = (1, 3)  # pixels
ANGLES = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
PATTERN_POINTS, PATTERN_RADIUS = 8, 1  # of the local binary pattern

TEXTURES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
SHAPES = ("area", "perimeter", "circularity", "solidity", "eccentricity", "extent")
CHANNELS = ("red", "green", "blue", "hue", "saturation", "value")
STATISTICS = ("mean", "deviation", "tenth", "ninetieth")
NAMES = (
    *SHAPES,
    *(f"hu_{k}" for k in range(1, 8)),
    *(f"{channel}_{statistic}" for channel in CHANNELS for statistic in STATISTICS),
    *(f"{texture}_{distance}" for texture in TEXTURES for distance in DISTANCES),
    *(f"pattern_{k}" for k in range(PATTERN_POINTS + 2)),
)

GROUPS = {"shape and size": 13, "colour": 24, "texture": 20}  # features in this order


def measure(image: np.ndarray) -> np.ndarray:
    """Shape, colour and texture of one cell."""
    mask = np.asarray(image.any(axis=-1), np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    box = slice(top, top + height), slice(left, left + width)
    mask, cell = mask[box], np.ascontiguousarray(image[box])
    grey = cv2.cvtColor(cell, cv2.COLOR_RGB2GRAY)
    values = [*_shape(mask), *_hu_moments(mask), *_colours(cell, mask), *_cooccurrence(grey, mask)]
    return np.array([*values, *_patterns(grey, mask)], np.float32)


def _shape(mask: np.ndarray) -> tuple[float, ...]:
    """Of the largest part, should the cell have several."""
    part = max(regionprops(label(mask)), key=lambda region: region.area)
    circularity = 4 * np.pi * part.area / max(part.perimeter, 1) ** 2
    return part.area, part.perimeter, circularity, part.solidity, part.eccentricity, part.extent


def _hu_moments(mask: np.ndarray) -> np.ndarray:
    moments = cv2.HuMoments(cv2.moments(mask, binaryImage=True)).ravel()
    moments[6] = abs(moments[6])  # its sign tells a cell from its reflection: nothing here
    return np.sign(moments) * np.log10(np.maximum(np.abs(moments), 1e-30))


def _colours(cell: np.ndarray, mask: np.ndarray) -> np.ndarray:
    hsv = cv2.cvtColor(cell, cv2.COLOR_RGB2HSV)
    inside = np.concatenate([cell[mask > 0], hsv[mask > 0]], axis=1).astype(np.float32)
    tenth, ninetieth = np.percentile(inside, [10, 90], axis=0)
    return np.stack([inside.mean(axis=0), inside.std(axis=0), tenth, ninetieth], axis=1).ravel()


def _cooccurrence(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    scaled = grey.astype(np.uint16) * (GREYS - 1) // 256
    levels = np.where(mask > 0, 1 + scaled, 0).astype(np.uint8)
    counts = graycomatrix(levels, DISTANCES, ANGLES, levels=GREYS, symmetric=True).astype(float)
    counts[0] = counts[:, 0] = 0  # pairs with the background
    totals = counts.sum(axis=(0, 1), keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    return np.concatenate([graycoprops(shares, texture).mean(axis=1) for texture in TEXTURES])


def _patterns(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    codes = local_binary_pattern(grey, PATTERN_POINTS, PATTERN_RADIUS, method="uniform")
    counts = np.bincount(codes[mask > 0].astype(int), minlength=PATTERN_POINTS + 2)
    return counts / max(mask.sum(), 1)


def handcrafted_features(cells: Cells, cache_folder: str | Path) -> pd.DataFrame:
    """Measure all cells once, or open what an earlier run has left.

    Parameters
    ----------
    cells : Cells
    cache_folder : str or Path

    Returns
    -------
    DataFrame
        One row per cell, a column per feature.

    Examples
    --------
    >>> handcrafted_features(cells, "cache").shape
    (160, 57)
    """
    key = hashlib.sha256(json.dumps([cells.key, VERSION, NAMES]).encode()).hexdigest()
    path = Path(cache_folder) / "classical" / f"{key[:32]}.npy"
    with ThreadPoolExecutor() as pool:

        def compute(start: int, stop: int) -> np.ndarray:
            return np.stack(list(pool.map(measure, cells.pixels[start:stop])))

        shape = (len(cells.table), len(NAMES))
        measured = filled(path, key, shape, "float32", compute, "measuring cells")
        return pd.DataFrame(measured, columns=NAMES)


def candidates(name: str, seed: int, training_cells: int) -> tuple[Pipeline, dict[str, list]]:
    """A classifier and the hyper-parameters among which validation cells choose.

    Parameters
    ----------
    name : {"svm", "knn", "mlp"}
    seed : int
    training_cells : int
        A cell has no more neighbours than these.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        Standardises the features first.
    grid : dict of str to list

    Examples
    --------
    >>> pipeline, grid = candidates("knn", seed=1, training_cells=50)
    >>> grid["kneighborsclassifier__n_neighbors"]
    [5, 15, 31]
    """
    grid: dict[str, list]
    if name == "svm":  # Platt's probabilities, from parts of the training cells
        classifier = CalibratedClassifierCV(SVC(), ensemble=False, cv=3)
        grid = {"estimator__C": [0.1, 1, 10, 100], "estimator__gamma": ["scale", 0.003, 0.001]}
    elif name == "knn":
        classifier = KNeighborsClassifier()
        neighbours = [count for count in (5, 15, 31, 61) if count <= training_cells]
        neighbours = neighbours or [training_cells]
        grid = {"n_neighbors": neighbours, "weights": ["uniform", "distance"]}
    else:
        classifier = MLPClassifier(max_iter=500, random_state=seed, batch_size=64)
        grid = {"hidden_layer_sizes": [(16,), (64,), (64, 16)], "alpha": [1e-3, 0.1, 3.0]}
    pipeline = make_pipeline(StandardScaler(), classifier)
    step = pipeline.steps[-1][0]
    return pipeline, {f"{step}__{key}": values for key, values in grid.items()}


def train(
    name: str, measured: pd.DataFrame, cells: Cells, *, settings: ClassicalSettings
) -> tuple[Pipeline, pd.DataFrame]:
    """Choose hyper-parameters on the validation cells and fit a classifier.

    Parameters
    ----------
    name : {"svm", "knn", "mlp"}
    measured : DataFrame
        From `handcrafted_features`.
    cells : Cells
    settings : ClassicalSettings
        With ``refit`` the chosen classifier is fitted to the validation cells too.

    Returns
    -------
    model : sklearn.pipeline.Pipeline
    tried : DataFrame
        One row per combination: its hyper-parameters and the figure of the validation cells that
        chooses (``settings.choose_by``), the best first.

    Examples
    --------
    >>> import joblib
    >>> from allhelpers.settings import ClassicalSettings
    >>> measured, settings = handcrafted_features(cells, "cache"), ClassicalSettings()
    >>> with joblib.parallel_config(backend="threading"):  # these start sooner than processes
    ...     model, tried = train("svm", measured, cells, settings=settings)
    >>> len(tried), round(float(tried["val_weighted_f1"][0]), 1)
    (12, 0.9)
    """
    train_rows, val_rows = cells.rows("train"), cells.rows("val")
    pipeline, grid = candidates(name, settings.seed, len(train_rows))
    rows = np.concatenate([train_rows, val_rows])
    # -1: never validates
    folds = PredefinedSplit(np.repeat([-1, 0], [len(train_rows), len(val_rows)]))
    labels = cells.table["label"].to_numpy()

    def score(model: Pipeline, features: pd.DataFrame, _: np.ndarray) -> float:
        places = features.index.to_numpy()
        return choosing.score(_tabulated(model, features, cells, places), settings.choose_by)

    # Weighted F1 needs no probabilities.
    scoring = "f1_weighted" if settings.choose_by == "weighted_f1" else score
    search = GridSearchCV(pipeline, grid, scoring=scoring, cv=folds, refit=False, n_jobs=-1)
    search.fit(measured.reset_index(drop=True).iloc[rows], labels[rows])
    scores, column = search.cv_results_["mean_test_score"], f"val_{settings.choose_by}"
    tried = pd.DataFrame(search.cv_results_["params"]).assign(**{column: scores})
    tried = tried.rename(columns=lambda name: name.split("__")[-1])
    fitted = rows if settings.refit else train_rows
    model = pipeline.set_params(**search.best_params_).fit(measured.iloc[fitted], labels[fitted])
    return model, tried.sort_values(column, ascending=False, kind="stable", ignore_index=True)


def predict(
    model: Pipeline, measured: pd.DataFrame, cells: Cells, *, refit: bool = False
) -> pd.DataFrame:
    """Probabilities of the cells of validation and test.

    Parameters
    ----------
    model : sklearn.pipeline.Pipeline
        From `train`.
    measured : DataFrame
    cells : Cells
    refit : bool
        Whether the validation cells have been trained on, and so give no figures.

    Returns
    -------
    DataFrame
        What predictions.csv holds: file, patient, split, label and ``p_<class>`` of each class.

    Examples
    --------
    >>> measured = handcrafted_features(cells, "cache")
    >>> model = candidates("knn", 1, training_cells=20)[0].fit(measured, cells.table["label"])
    >>> predict(model, measured, cells)["split"].value_counts().to_dict()
    {'val': 70, 'test': 70}
    """
    splits = ("test",) if refit else ("val", "test")
    rows = np.concatenate([cells.rows(split) for split in splits])
    return _tabulated(model, measured.iloc[rows], cells, rows)


def _tabulated(
    model: Pipeline, features: pd.DataFrame, cells: Cells, rows: np.ndarray
) -> pd.DataFrame:
    order = [list(model.classes_).index(label) for label in cells.classes]
    return tables.tabulate(cells, rows, model.predict_proba(features)[:, order])


def importance(
    model: Pipeline, measured: pd.DataFrame, cells: Cells, *, seed: int, repeats: int = 10
) -> pd.DataFrame:
    """How much weighted F1 of the validation cells falls when one feature is shuffled among them.

    That is permutation importance (Breiman 2001). Features that say the same share it.

    Parameters
    ----------
    model : sklearn.pipeline.Pipeline
    measured : DataFrame
    cells : Cells
    seed : int
    repeats : int

    Returns
    -------
    DataFrame
        Columns feature, group, importance and deviation (over the repeats), the most important
        first.

    Examples
    --------
    >>> import pandas as pd
    >>> area = cells.table["label"].eq("all")  # as if it alone told the classes apart
    >>> measured = pd.DataFrame(0.0, index=cells.table.index, columns=NAMES).assign(area=area)
    >>> model = candidates("mlp", 1, training_cells=20)[0].fit(measured, cells.table["label"])
    >>> importance(model, measured, cells, seed=1, repeats=1)["feature"][0]
    'area'
    """
    rows = cells.rows("val")
    labels = cells.table["label"].iloc[rows].to_numpy()
    options = {"scoring": "f1_weighted", "n_repeats": repeats, "random_state": seed}
    fall = permutation_importance(model, measured.iloc[rows], labels, **options)
    groups = np.repeat(list(GROUPS), list(GROUPS.values()))
    table = pd.DataFrame({"feature": NAMES, "group": groups})
    table = table.assign(importance=fall.importances_mean, deviation=fall.importances_std)
    return table.sort_values("importance", ascending=False, ignore_index=True)


def write(
    name: str,
    cells: Cells,
    settings: ClassicalSettings,
    *,
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
    tried: pd.DataFrame,
    manifest_sha256: str,
    seconds: dict[str, float],
) -> None:
    """Write what a classifier leaves in the run's folder; itself it is fitted again in seconds.

    Parameters
    ----------
    name : {"svm", "knn", "mlp"}
    cells : Cells
    settings : ClassicalSettings
    predictions : DataFrame
        From `predict`.
    metrics : dict
        From `evaluation.evaluate`.
    tried : DataFrame
        From `train`.
    manifest_sha256 : str
        Of the run's manifest.csv.
    seconds : dict of str to float
        Of the stages of the run.

    Examples
    --------
    >>> import pandas as pd
    >>> from allhelpers.settings import ClassicalSettings
    >>> settings = ClassicalSettings(run_folder="first")
    >>> tried = pd.DataFrame({"n_neighbors": [5], "val_weighted_f1": [0.8]})
    >>> outcome = {"predictions": predictions, "metrics": {}, "tried": tried}
    >>> write("knn", cells, settings, **outcome, manifest_sha256="", seconds={})
    >>> sorted(path.name for path in Path("first/knn").iterdir())
    ['files.json', 'metrics.json', 'parameters.json', 'predictions.csv', 'tried.csv']
    """
    best = tried.iloc[0].filter(regex="^(?!val_)")
    record = {
        "architecture": name,
        "title": registry.title_of(name),
        "notes": cells.notes,
        "settings": settings.model_dump(),
        "chosen": {parameter: str(value) for parameter, value in best.items()},
        "features": len(NAMES),
        "manifest_sha256": manifest_sha256,
        "device": "CPU",
        "versions": versions(),
        "seconds": seconds,
    }
    result = Run(settings.run_folder).result(name)
    write_csv(result.folder / "tried.csv", tried)
    result.finish(predictions, metrics, record)
