"""A trained network on new pictures: probabilities, where the evidence lies, and the training cells most like each.

A probability alone asks for belief. The evidence and the neighbours let a reader see whether the network looks at the
cell, and which known cells it takes the new one for.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from . import architectures, explaining, loading, models, runs
from .errors import InputError
from .settings import TrainingSettings, validate

NEIGHBOURS = 4
MOST_COMPARED = 1000  # training cells among which the nearest are looked for: seconds on two cores


@dataclass(frozen=True)
class Known:
    """Training cells, with their features.

    Attributes
    ----------
    table : DataFrame
        Rows of the manifest.
    pixels : ndarray of shape (cells, size, size, 3), uint8
    features : ndarray of shape (cells, channels), float32
    """

    table: pd.DataFrame
    pixels: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class Seen:
    """What a network says of new pictures.

    Attributes
    ----------
    table : DataFrame
        As from `models.classify`: file, ``p_<class>`` of each class, predicted.
    pixels : ndarray of shape (pictures, size, size, 3), uint8
    evidence : ndarray of shape (pictures, size, size), float32
        Grad-CAM of the predicted class, 0 to 1.
    neighbours : ndarray of shape (pictures, k), int, or None
        Rows of the known cells, the nearest first.
    distances : ndarray of shape (pictures, k), float, or None
        Cosine distances to them, 0 to 2.
    """

    table: pd.DataFrame
    pixels: np.ndarray
    evidence: np.ndarray
    neighbours: np.ndarray | None = None
    distances: np.ndarray | None = None


def known(network, cells):
    """The training cells of a run, or 1,000 of them drawn at random, as the network sees them.

    Parameters
    ----------
    network : networks.Network
    cells : loading.Cells

    Returns
    -------
    Known

    Examples
    --------
    >>> known(network, cells).features.shape
    (20, 1024)
    """
    rows = explaining.drawn(cells.rows("train"), network.settings.seed, MOST_COMPARED)
    pixels = np.asarray(cells.pixels[rows])
    return Known(cells.table.iloc[rows].reset_index(drop=True), pixels, explaining.embed(network, pixels))


def cells_of(model):
    """The cells of a model that was trained earlier, where its pictures are still there.

    Parameters
    ----------
    model : str or Path
        ``model.keras``, or its folder.

    Returns
    -------
    loading.Cells

    Raises
    ------
    InputError
        If the pictures are not where the training had them, or are others.

    Examples
    --------
    >>> runs.write_csv("manifest.csv", table)
    >>> runs.write_json("mobilenet/parameters.json", {"settings": training_settings.model_dump()})
    >>> cells_of("mobilenet").pixels.shape
    (160, 64, 64, 3)
    """
    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    recorded = runs.read_json(folder / "parameters.json")
    settings = validate(TrainingSettings, {**recorded["settings"], "run_folder": str(folder.parent)})
    cells = loading.prepare(settings)
    content = cells.table.to_csv(index=False)
    if (folder.parent / "manifest.csv").read_text(encoding="utf-8") != content:
        raise InputError(f"{settings.images} holds other cells than {folder} was trained on: bring back the old ones.")
    return cells


def look(network, files, training_cells=None):
    """Classify new pictures, and say what each verdict rests on.

    Parameters
    ----------
    network : networks.Network
        Trained, or from `models.load`.
    files : list of Path
        BMP, PNG or JPEG pictures of single cells, prepared as in the network's settings.
    training_cells : Known, optional
        Where to look for the nearest cells.

    Returns
    -------
    Seen

    Raises
    ------
    UnusableError
        If a picture does not pass the gate.

    Examples
    --------
    >>> from allhelpers import sources
    >>> files = sources.open_images(training_settings).members[:2]
    >>> seen = look(network, files)
    >>> list(seen.table), seen.evidence.shape
    (['file', 'p_all', 'p_hem', 'predicted'], (2, 64, 64))
    """
    pixels = architectures.check_pixels(np.stack([loading.decode_file(path, network.settings) for path in files]))
    return look_at(network, pixels, files, training_cells)


def look_at(network, pixels, names, training_cells=None):
    """As `look`, of cells that are decoded already.

    Parameters
    ----------
    network : networks.Network
    pixels : ndarray of shape (cells, size, size, 3), uint8
    names : list of str or Path
    training_cells : Known, optional

    Returns
    -------
    Seen

    Examples
    --------
    >>> seen = look_at(network, cells.pixels[:2], ["1.bmp", "2.bmp"])
    >>> seen.table["file"].tolist(), seen.evidence.shape
    (['1.bmp', '2.bmp'], (2, 64, 64))
    """
    table = models.table_of(network, names, models.probabilities(network, pixels))
    evidence = np.zeros(pixels.shape[:3], np.float32)
    for label in set(table["predicted"]):
        rows = np.flatnonzero(table["predicted"] == label)
        evidence[rows] = explaining.grad_cam(network, pixels[rows], label)
    if training_cells is None:
        return Seen(table, pixels, evidence)
    k = min(NEIGHBOURS, len(training_cells.table))
    features = explaining.embed(network, pixels)
    return Seen(table, pixels, evidence, *explaining.nearest(features, training_cells.features, k))


def some_test_cells(network, cells, training_cells, most=4):
    """As `look`, of test cells drawn at random.

    Parameters
    ----------
    network : networks.Network
    cells : loading.Cells
    training_cells : Known
    most : int

    Returns
    -------
    Seen

    Examples
    --------
    >>> some_test_cells(network, cells, known(network, cells), most=2).neighbours.shape
    (2, 4)
    """
    rows = explaining.drawn(cells.rows("test"), network.settings.seed, most)
    return look_at(network, np.asarray(cells.pixels[rows]), list(cells.table["file"].iloc[rows]), training_cells)
