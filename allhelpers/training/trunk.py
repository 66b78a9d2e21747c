"""The frozen part of a network runs once over all cells; what it gives is kept.

Features at the cut are computed once and memory-mapped; every epoch trains the tail on them. That is the same
mathematics as training the whole network with its lower part frozen, without repeating the frozen part in every epoch.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from .._core.caching import filled
from .._core.errors import InputError
from ..data.orientations import OrientedPixels, orient
from . import engines

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network
    from ..settings import TrainingSettings


def feature_precision(cut: str | tuple[str, ...], settings: TrainingSettings) -> Any:
    """Precision in which features are kept: half, except for pooled ones, which are small."""
    if settings.features != "auto":
        return settings.features
    return "float32" if cut == "pooled" else "float16"


def orientations_needed(settings: TrainingSettings) -> Any:
    """How many orientations of each cell pass the trunk."""
    return max(settings.orientations, settings.average)


def weights_digest(trunk: keras.Model) -> str:
    """SHA-256 of the very values of a model's weights."""
    values = hashlib.sha256()
    for array in trunk.get_weights():
        values.update(np.ascontiguousarray(array).data)
    return values.hexdigest()


def features_key(
    name: str,
    cut: str | tuple[str, ...],
    digest: str,
    cells_key: str,
    settings: TrainingSettings,
    engine: str,
) -> str:
    """Identify features by everything that decides them."""
    recipe = [
        cells_key,
        name,
        cut,
        digest,
        orientations_needed(settings),
        feature_precision(cut, settings),
    ]
    recipe += [engine, keras.mixed_precision.dtype_policy().name]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


def features_path(name: str, key: str, settings: TrainingSettings) -> Any:
    """Where the features of a key are kept."""
    return Path(settings.cache_folder) / "features" / f"{name}-{key[:32]}.npy"


def compute_features(network: Network, cells: Cells, settings: TrainingSettings) -> Any:
    """Run the trunk once over all cells, or open what an earlier run has left.

    Parameters
    ----------
    network : networks.Network
    cells : loading.Cells
    settings : TrainingSettings

    Returns
    -------
    ndarray of shape (orientations, cells, ...), or OrientedPixels where nothing is frozen
        Features at the cut, memory-mapped; ``features[0]`` belongs to the cells as they are.

    Examples
    --------
    >>> compute_features(network, cells, training_settings).shape
    (1, 160, 1024)
    """
    if network.cut == "pixels":
        return OrientedPixels(cells.pixels)
    name, orientations, precision = (
        network.architecture.name,
        orientations_needed(settings),
        feature_precision(network.cut, settings),
    )
    engine = engines.choose(settings.engine)
    key = features_key(
        name, network.cut, weights_digest(network.trunk), cells.key, settings, engine
    )
    path = features_path(name, key, settings)
    pixels, shape = cells.pixels, network.trunk.output.shape[1:]
    forward = functools.cache(
        lambda: engines.forward(engine, network.trunk)
    )  # made when there is something to do

    def compute(start: int, stop: int) -> Any:
        """Rows of all orientations, one orientation after the other."""
        rows = np.arange(start, stop)
        parts = [
            orient(pixels[rows[rows // len(pixels) == orientation] % len(pixels)], orientation)
            for orientation in range(start // len(pixels), (stop - 1) // len(pixels) + 1)
        ]
        computed = forward()(np.concatenate(parts))
        check_range(computed, precision)
        return computed

    title = f"{network.architecture.title}: frozen part"
    flat = filled(path, key, (orientations * len(pixels), *shape), precision, compute, title)
    return flat.reshape(orientations, len(pixels), *shape)


def check_range(computed: np.ndarray, precision: str) -> None:
    """Refuse features that cannot be kept."""
    if not np.isfinite(computed).all():
        raise InputError("The frozen part gave values that are not finite: check the weights file.")
    if precision == "float16" and np.abs(computed).max() > np.finfo(np.float16).max:
        raise InputError("Features are too large for half precision: set features = float32.")
