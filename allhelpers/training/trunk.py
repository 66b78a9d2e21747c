"""The frozen part of a network runs once over all cells; what it gives is kept.

Features at the cut are computed once and memory-mapped; every epoch trains the tail on them. That
is the same mathematics as training the whole network with its lower part frozen, without repeating
the frozen part in every epoch.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from .._core.caching import filled
from .._core.errors import InputError
from ..data.orientations import OrientedPixels, show
from . import engines

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network
    from ..networks.registry import Cut
    from ..settings import TrainingSettings

PLAIN_VIEW = ["", "image", 1.0]  # of depths, pooling and brighten


def feature_precision(cut: Cut, settings: TrainingSettings) -> str:
    """Precision in which features are kept: half, except for pooled ones, which are small."""
    if settings.feature_dtype != "auto":
        return settings.feature_dtype
    return "float32" if cut == "pooled" else "float16"


def weights_digest(trunk: keras.Model) -> str:
    """SHA-256 of the very values of a model's weights."""
    values = hashlib.sha256()
    for array in trunk.get_weights():
        values.update(np.ascontiguousarray(array).data)
    return values.hexdigest()


def features_key(
    name: str, cut: Cut, digest: str, cells_key: str, settings: TrainingSettings, engine: str
) -> str:
    """Identify features by everything that decides them."""
    seen = settings.views
    asked = [seen if settings.variants else len(seen), feature_precision(cut, settings), engine]
    recipe = [cells_key, name, cut, digest, *asked, keras.mixed_precision.dtype_policy().name]
    # What a trunk without weights of its own adds; plain trunks keep the keys that they had.
    view = [settings.depths, settings.pooling, settings.brighten]
    recipe += view if view != PLAIN_VIEW else []
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


def features_path(name: str, key: str, settings: TrainingSettings) -> Path:
    """Where the features of a key are kept."""
    return Path(settings.cache_folder) / "features" / f"{name}-{key[:32]}.npy"


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
    name, settings, pixels = network.architecture.name, network.settings, cells.pixels
    precision, engine = feature_precision(network.cut, settings), engines.choose(settings.engine)
    digest = weights_digest(network.trunk)
    key = features_key(name, network.cut, digest, cells.key, settings, engine)

    @functools.cache
    def forward() -> engines.Forward:  # made when there is something to compute
        return engines.forward(engine, network.trunk)

    def compute(start: int, stop: int) -> np.ndarray:
        """Rows of all views, one view after the other."""
        turns, rows = np.divmod(np.arange(start, stop), len(pixels))
        parts = [show(pixels[rows[turns == turn]], seen[turn]) for turn in np.unique(turns)]
        computed = forward()(np.concatenate(parts))
        check_range(computed, precision)
        return computed

    seen, shape = settings.views, network.trunk.output.shape[1:]
    path, title = features_path(name, key, settings), f"{network.architecture.title}: frozen part"
    flat = filled(path, key, (len(seen) * len(pixels), *shape), precision, compute, title)
    return flat.reshape(len(seen), len(pixels), *shape)


def check_range(computed: np.ndarray, precision: str) -> None:
    """Refuse features that cannot be kept."""
    if not np.isfinite(computed).all():
        raise InputError("The frozen part gave values that are not finite: check the weights file.")
    if precision == "float16" and np.abs(computed).max() > np.finfo(np.float16).max:
        raise InputError("Features are too large for half precision: set features = float32.")
