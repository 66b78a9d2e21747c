"""A trained network on new images: probabilities, evidence, and the training cells most alike.

They let a reader see whether it looks at the cell, and for which known cells it takes the new one.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import softmax

from .._core.errors import InputError
from .._core.machine import user_cache
from ..data import decoding, loading, tables
from ..data.orientations import orient
from ..evaluation import explaining
from ..networks import registry
from ..runs import Run
from ..training import engines
from ..training.familiarity import MOST_KEPT, draw
from . import answering, new_images, predicting, saved

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network
    from ..networks.processor import Forward
    from ..training.familiarity import Familiarity
    from .new_images import ImageFile

NEIGHBOURS = 4


@dataclass(frozen=True)
class ReferenceCells:
    """Training cells, with their features."""

    table: pd.DataFrame  # rows of the manifest
    pixels: np.ndarray  # (cells, size, size, 3), uint8
    features: np.ndarray  # (cells, channels), float32
    familiar: Familiarity | None = None  # how far a cell may be from them, where that was kept


@dataclass(frozen=True)
class Explanation:
    """What a network says of new images."""

    table: pd.DataFrame  # as from `predict`, of the images that can be used
    pixels: np.ndarray  # (images, size, size, 3), uint8
    evidence: np.ndarray  # (images, size, size), float32: Grad-CAM of the predicted class, 0 to 1
    neighbours: np.ndarray | None = None  # (images, k): rows of the known cells, the nearest first
    distances: np.ndarray | None = None  # (images, k): cosine distances to them, 0 to 2
    rejected: dict[str, str] = field(default_factory=dict)  # images that cannot be used, and why


def reference_cells(
    network: Network, cells: Cells, familiar: Familiarity | None = None
) -> ReferenceCells:
    """The training cells of a run, or 1,000 of them drawn at random, as the network sees them.

    Parameters
    ----------
    network : Network
    cells : Cells
    familiar : Familiarity, optional
        What was kept of the training: its features are not computed again.

    Returns
    -------
    ReferenceCells

    Examples
    --------
    >>> reference_cells(network, cells).features.shape
    (20, 1024)
    """
    rows = draw(cells.rows("train"), network.settings.seed, MOST_KEPT)
    pixels = np.asarray(cells.pixels[rows])
    kept = familiar is not None and len(familiar.features) == len(rows)
    features = familiar.features if familiar and kept else explaining.embed(network, pixels)
    table = cells.table.iloc[rows].reset_index(drop=True)
    return ReferenceCells(table, pixels, features, familiar)


def cells_of(model: str | Path) -> Cells:
    """The cells of a model that was trained earlier, where its images are still there."""
    opened = saved.find(model)
    run = Run(opened.path.parent.parent)
    settings = opened.settings
    try:
        recorded, content = run.manifest(), run.manifest_path.read_text(encoding="utf-8")
        key = decoding.pixels_key(recorded["sha256"], settings)
        there = decoding.pixels_path(key, settings).is_file()
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{run.manifest_path} cannot be read ({type(error).__name__}): use an unchanged run."
        ) from error
    # A record that came from elsewhere names no place to write to.
    cache = settings.cache_folder if there else str(user_cache("cells"))
    with tempfile.TemporaryDirectory(prefix="allhelpers-") as scratch:
        places = {"run_folder": scratch, "cache_folder": cache, "overwrite": False}
        cells = loading.prepare(settings.model_copy(update=places))
    if content != cells.table.to_csv(index=False):
        raise InputError(
            f"{settings.images} holds other cells than {opened.path.parent} was trained on: "
            "bring back the old ones."
        )
    return cells


def explain(
    network: Network,
    files: Sequence[str | Path | ImageFile],
    known: ReferenceCells | None = None,
    *,
    image_size: int | None = None,
) -> Explanation:
    """Classify new images, and say what each verdict rests on.

    Parameters
    ----------
    network : Network
        Trained, or from `load`.
    files : sequence of str, Path or ImageFile
        Images of single cells, prepared as in the network's settings.
    known : ReferenceCells, optional
        Where to look for the nearest cells.
    image_size : int, optional
        Height and width that every image must have, in pixels; 0: any. By default as in training.

    Returns
    -------
    Explanation

    Raises
    ------
    InputError
        If no image can be used.

    Examples
    --------
    >>> from allhelpers import data
    >>> files = data.open_images(training_settings).members[:2]
    >>> explained = explain(network, files)
    >>> list(explained.table)[:4], explained.evidence.shape
    (['file', 'p_all', 'p_hem', 'predicted'], (2, 64, 64))
    """
    given = list(chain.from_iterable(new_images.decoded(files, network.settings, image_size)))
    usable = [each for each in given if each.usable]
    rejected = {each.name: each.reason for each in given if not each.usable}
    if not usable:
        raise InputError(
            "There is no image."
            if not given
            else f"None of {len(given):,} images can be used: {given[0].reason}"
        )
    pixels = np.stack([each.pixels for each in usable])
    measured = np.stack([each.measured for each in usable])
    explained = _explain_pixels(network, pixels, [each.name for each in usable], known, measured)
    return replace(explained, rejected=rejected)


def _explain_pixels(
    network: Network,
    pixels: np.ndarray,
    names: Sequence[str | Path],
    known: ReferenceCells | None,
    measured: np.ndarray | None,
) -> Explanation:
    y_prob, features, evidence = _look(network, pixels)
    reasons = None
    if known and known.familiar and measured is not None:
        reasons = known.familiar.reasons(features, measured)
    table = predicting.table_of(network, names, y_prob, reasons)
    if known is None:
        return Explanation(table, pixels, evidence)
    nearest = explaining.nearest(features, known.features, min(NEIGHBOURS, len(known.table)))
    return Explanation(table, pixels, evidence, *nearest)


def _look(network: Network, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, features, and evidence for the most probable class, in few passes."""
    pixels = registry.check_pixels(pixels)
    if network.pools_depths or network.members:
        y_prob, features = _answering(network)(pixels)
        maps = None
    else:
        turned = [_last_maps(network)(orient(pixels, k)) for k in range(network.settings.tta)]
        maps, pooled = turned[0], [each.mean(axis=(1, 2)) for each in turned]
        features = pooled[0]
        scores = [np.asarray(explaining.scores(network, each), float) for each in pooled]
        y_prob = np.mean([softmax(each, axis=1) for each in scores], axis=0)
    evidence = np.zeros(pixels.shape[:3], np.float32)
    best = tables.predicted_columns(y_prob, network.threshold)
    for column in set(best):
        rows, label = best == column, network.classes[column]
        evidence[rows] = (
            explaining.grad_cam(network, pixels[rows], label)
            if maps is None
            else explaining.heat_of(maps[rows], network, label)
        )
    return y_prob, features, evidence


def warm_up(network: Network) -> None:
    """Look at nothing once, so that the first person does not wait for what is made once."""
    size = network.settings.size
    _look(network, np.full((1, size, size, 3), 2, np.uint8))


# Compiling takes seconds, and a page asks for one cell after the other.
@functools.lru_cache(maxsize=1)
def _last_maps(network: Network) -> Forward:
    return engines.forward(answering.engine(network.settings), explaining.last_maps(network))


_answering = functools.lru_cache(maxsize=1)(answering.answering)


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
    rows = draw(cells.rows("test"), network.settings.seed, most)
    names = list(cells.table["file"].iloc[rows])
    measured = cells.nuisances.to_numpy()[rows] if len(cells.nuisances) else None
    return _explain_pixels(network, np.asarray(cells.pixels[rows]), names, known, measured)
