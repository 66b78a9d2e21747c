"""A trained network on new pictures: probabilities, where the evidence lies, and the training cells most like each.

A probability alone asks for belief. The evidence and the neighbours let a reader see whether the network looks at the
cell, and which known cells it takes the new one for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._core.errors import InputError
from .._core.files import read_json
from ..data import decoding, loading
from ..evaluation import explaining
from ..networks import registry
from ..settings import TrainingSettings, validate
from . import predicting

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network

NEIGHBOURS = 4

MOST_COMPARED = 1000  # training cells among which the nearest are looked for: seconds on two cores


@dataclass(frozen=True)
class ReferenceCells:
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
class Explanation:
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


def reference_cells(network: Network, cells: Cells) -> ReferenceCells:
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
    >>> reference_cells(network, cells).features.shape
    (20, 1024)
    """
    rows = explaining.draw_rows(cells.rows("train"), network.settings.seed, MOST_COMPARED)
    pixels = np.asarray(cells.pixels[rows])
    return ReferenceCells(
        cells.table.iloc[rows].reset_index(drop=True), pixels, explaining.embed(network, pixels)
    )


def cells_of(model: str | Path) -> Cells:
    """The cells of a model that was trained earlier, where its pictures are still there."""
    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    recorded = read_json(folder / "parameters.json")
    settings = validate(
        TrainingSettings, {**recorded["settings"], "run_folder": str(folder.parent)}
    )
    cells = loading.prepare(settings)
    content = cells.table.to_csv(index=False)
    if (folder.parent / "manifest.csv").read_text(encoding="utf-8") != content:
        raise InputError(
            f"{settings.images} holds other cells than {folder} was trained on: bring back the old ones."
        )
    return cells


def explain(
    network: Network, files: list[Path], training_cells: ReferenceCells | None = None
) -> Explanation:
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
    >>> seen = explain(network, files)
    >>> list(seen.table), seen.evidence.shape
    (['file', 'p_all', 'p_hem', 'predicted'], (2, 64, 64))
    """
    pixels = registry.check_pixels(
        np.stack([decoding.decode_file(path, network.settings) for path in files])
    )
    return explain_pixels(network, pixels, files, training_cells)


def explain_pixels(
    network: Network,
    pixels: np.ndarray,
    names: list[str | Path],
    training_cells: ReferenceCells | None = None,
) -> Explanation:
    """As `look`, of cells that are decoded already."""
    table = predicting.table_of(network, names, predicting.probabilities(network, pixels))
    evidence = np.zeros(pixels.shape[:3], np.float32)
    for label in set(table["predicted"]):
        rows = np.flatnonzero(table["predicted"] == label)
        evidence[rows] = explaining.grad_cam(network, pixels[rows], label)
    if training_cells is None:
        return Explanation(table, pixels, evidence)
    k = min(NEIGHBOURS, len(training_cells.table))
    features = explaining.embed(network, pixels)
    return Explanation(
        table, pixels, evidence, *explaining.nearest(features, training_cells.features, k)
    )


def explain_test_cells(
    network: Network, cells: Cells, training_cells: ReferenceCells, most: int = 4
) -> Explanation:
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
    >>> explain_test_cells(network, cells, reference_cells(network, cells), most=2).neighbours.shape
    (2, 4)
    """
    rows = explaining.draw_rows(cells.rows("test"), network.settings.seed, most)
    return explain_pixels(
        network,
        np.asarray(cells.pixels[rows]),
        list(cells.table["file"].iloc[rows]),
        training_cells,
    )
