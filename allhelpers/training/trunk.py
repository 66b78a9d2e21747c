"""The frozen part of a network runs once over all cells; what it gives is kept.

Every epoch trains the tail on features at the cut: the same mathematics as training the whole
network with its lower part frozen.
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
from ..data.orientations import OrientedPixels, show
from . import engines

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network

PLAIN_VIEW = ["", "image", 1.0]  # of depths, pooling and brighten


def features_file(network: Network, cells: Cells, engine: str) -> tuple[Path, str, str]:
    """Where features are kept, the key of everything that decides them, and their precision."""
    name, settings, weights = network.architecture.name, network.settings, hashlib.sha256()
    for array in network.trunk.get_weights():
        weights.update(np.ascontiguousarray(array).data)
    precision: str = settings.feature_dtype
    if precision == "auto":  # pooled features are small
        precision = "float32" if network.cut == "pooled" else "float16"
    asked = [settings.views if settings.variants else len(settings.views), precision, engine]
    recipe: list[Any] = [cells.key, name, network.cut, weights.hexdigest(), *asked]
    recipe.append(keras.mixed_precision.dtype_policy().name)
    # What a trunk without weights of its own adds; plain trunks keep the keys that they had.
    view = [settings.depths, settings.pooling, settings.brighten]
    recipe += view if view != PLAIN_VIEW else []
    key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
    return Path(settings.cache_folder) / "features" / f"{name}-{key[:32]}.npy", key, precision


def rows_of_views(
    forward: engines.Forward, pixels: np.ndarray, views: list[int], rows: range, precision: str
) -> np.ndarray:
    """Some rows of the features of all views, one view after the other, that can be kept."""
    turns, places = np.divmod(rows, len(pixels))
    parts = [show(pixels[places[turns == turn]], views[turn]) for turn in np.unique(turns)]
    computed = forward(np.concatenate(parts))
    check_range(computed, precision)
    return computed


def compute_features(network: Network, cells: Cells) -> np.ndarray | OrientedPixels:
    """Run the trunk once over all cells, or open what an earlier run has left.

    Parameters
    ----------
    network : Network
        Its settings say in how many orientations, by which engine, and where features are kept.
    cells : Cells

    Returns
    -------
    ndarray of shape (views, cells, ...), or OrientedPixels where nothing is frozen
        Features at the cut, memory-mapped; ``features[0]`` belongs to the cells as they are.

    Raises
    ------
    InputError
        If features are not finite or too large for half precision, or the disk has no room.

    Examples
    --------
    >>> compute_features(network, cells).shape
    (1, 160, 1024)
    """
    if network.cut == "pixels":
        return OrientedPixels(cells.pixels, network.settings.views)
    seen, pixels = network.settings.views, cells.pixels
    engine = engines.choose(network.settings.engine)
    path, key, precision = features_file(network, cells, engine)

    @functools.cache
    def forward() -> engines.Forward:  # made when there is something to compute
        return engines.forward(engine, network.trunk)

    def compute(start: int, stop: int) -> np.ndarray:
        return rows_of_views(forward(), pixels, seen, range(start, stop), precision)

    shape, title = network.trunk.output.shape[1:], f"{network.architecture.title}: frozen part"
    flat = filled(path, key, (len(seen) * len(pixels), *shape), precision, compute, title)
    return flat.reshape(len(seen), len(pixels), *shape)


def check_range(computed: np.ndarray, precision: str) -> None:
    """Refuse features that cannot be kept."""
    if not np.isfinite(computed).all():
        raise InputError("The frozen part gave values that are not finite: check the weights file.")
    if precision == "float16" and np.abs(computed).max() > np.finfo(np.float16).max:
        raise InputError("Features are too large for half precision: set features = float32.")
