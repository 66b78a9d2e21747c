"""A trained network on new images: probabilities, evidence, and the training cells most alike.

A probability alone asks for belief. The evidence and the neighbours let a reader see whether the
network looks at the cell, and which known cells it takes the new one for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._core.errors import InputError
from .._core.packaged import home
from ..data import loading
from ..evaluation import explaining
from ..runs import Run
from ..settings import TrainingSettings, validate
from . import predicting, saved

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

    Examples
    --------
    >>> list(reference_cells(network, cells).table["split"].unique())
    ['train']
    """

    table: pd.DataFrame
    pixels: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """What a network says of new images.

    Attributes
    ----------
    table : DataFrame
        As from `predict`: file, ``p_<class>`` of each class, predicted.
    pixels : ndarray of shape (images, size, size, 3), uint8
    evidence : ndarray of shape (images, size, size), float32
        Grad-CAM of the predicted class, 0 to 1.
    neighbours : ndarray of shape (images, k), int, or None
        Rows of the reference cells, the nearest first.
    distances : ndarray of shape (images, k), float, or None
        Cosine distances to them, 0 to 2.

    Examples
    --------
    >>> explained = explain_test_cells(network, cells, reference_cells(network, cells), most=2)
    >>> len(explained.table), explained.evidence.shape
    (2, (2, 64, 64))
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
    network : Network
    cells : Cells

    Returns
    -------
    ReferenceCells

    Examples
    --------
    >>> reference_cells(network, cells).features.shape
    (20, 1024)
    """
    rows = explaining.draw_rows(cells.rows("train"), network.settings.seed, MOST_COMPARED)
    pixels = np.asarray(cells.pixels[rows])
    features = explaining.embed(network, pixels)
    return ReferenceCells(cells.table.iloc[rows].reset_index(drop=True), pixels, features)


def cells_of(model: str | Path, cache_folder: str | Path = "") -> Cells:
    """The cells of a model that was trained earlier, where its images are still there.

    They are decoded into this user's cache: a record may be somebody else's, and is not to say
    where files are written.
    """
    result = saved.result_of(model)
    run = Run(result.folder.parent)
    recorded = {**result.record()["settings"], "run_folder": str(run.folder)}
    recorded["cache_folder"] = str(cache_folder or home() / "cache")
    settings = validate(TrainingSettings, recorded)
    cells = loading.prepare(settings)
    if run.manifest_path.read_text(encoding="utf-8") != cells.table.to_csv(index=False):
        raise InputError(
            f"{settings.images} holds other cells than {result.folder} was trained on: "
            "bring back the old ones."
        )
    return cells


def explain(
    network: Network, files: Sequence[Path], known: ReferenceCells | None = None
) -> Explanation:
    """Classify new images, and say what each verdict rests on.

    Parameters
    ----------
    network : Network
        Trained, or from `load`.
    files : sequence of Path
        BMP, PNG or JPEG images of single cells, prepared as in the network's settings.
    known : ReferenceCells, optional
        Where to look for the nearest cells.

    Returns
    -------
    Explanation

    Raises
    ------
    UnusableError
        If an image does not pass the gate.

    Examples
    --------
    >>> from allhelpers import data
    >>> files = data.open_images(training_settings).members[:2]
    >>> explained = explain(network, files)
    >>> list(explained.table), explained.evidence.shape
    (['file', 'p_all', 'p_hem', 'predicted'], (2, 64, 64))
    """
    return _explain_pixels(network, predicting.decoded(network, files), list(files), known)


def _explain_pixels(
    network: Network,
    pixels: np.ndarray,
    names: Sequence[str | Path],
    known: ReferenceCells | None,
) -> Explanation:
    table = predicting.table_of(network, names, predicting.probabilities(network, pixels))
    evidence = np.zeros(pixels.shape[:3], np.float32)
    for label in set(table["predicted"]):
        rows = np.flatnonzero(table["predicted"] == label)
        evidence[rows] = explaining.grad_cam(network, pixels[rows], label)
    if known is None:
        return Explanation(table, pixels, evidence)
    features = explaining.embed(network, pixels)
    nearest = explaining.nearest(features, known.features, min(NEIGHBOURS, len(known.table)))
    return Explanation(table, pixels, evidence, *nearest)


def explain_test_cells(
    network: Network, cells: Cells, known: ReferenceCells, *, most: int = 4
) -> Explanation:
    """As `explain`, of test cells drawn at random.

    Parameters
    ----------
    network : Network
    cells : Cells
    known : ReferenceCells
    most : int
        How many, at most.

    Returns
    -------
    Explanation

    Examples
    --------
    >>> known = reference_cells(network, cells)
    >>> explain_test_cells(network, cells, known, most=2).neighbours.shape
    (2, 4)
    """
    rows = explaining.draw_rows(cells.rows("test"), network.settings.seed, most)
    names = list(cells.table["file"].iloc[rows])
    return _explain_pixels(network, np.asarray(cells.pixels[rows]), names, known)
