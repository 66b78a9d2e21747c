"""The frozen part of a network runs once over all cells; what it gives is kept.

Features at the cut are computed once and memory-mapped; every epoch trains the tail on them. That is the same
mathematics as training the whole network with its lower part frozen, without repeating the frozen part in every epoch.
"""

import functools
import hashlib
import json
from pathlib import Path

import keras
import numpy as np

from . import caching, engines
from .errors import InputError

ORIENTATIONS = 8  # a square has 4 rotations, each with its reflection


def orient(pixels, orientation):
    """Rotate by quarter turns, and reflect from 4 on: the 8 symmetries of a square, none of which changes a label.

    Parameters
    ----------
    pixels : array of shape (n, size, size, 3)
    orientation : int
        0 (as it is) to 7.

    Returns
    -------
    ndarray of the same shape

    Examples
    --------
    >>> picture = np.array([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    >>> orient(picture, 1)[0, :, :, 0].tolist()
    [[2, 4], [1, 3]]
    """
    turned = np.rot90(pixels, orientation % 4, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if orientation >= 4 else turned)


class OrientedPixels:
    """Pixels as features of a network without a frozen part: turned when they are read, not kept eight times.

    Parameters
    ----------
    pixels : array of shape (cells, size, size, 3), uint8
    """

    def __init__(self, pixels):
        self.pixels, self.dtype, self.shape = pixels, pixels.dtype, (ORIENTATIONS, *pixels.shape)

    def __getitem__(self, index):
        """As an array of shape (orientations, cells, ...) would give: ``[orientation]`` or ``[orientation, rows]``."""
        orientation, rows = index if isinstance(index, tuple) else (index, slice(None))
        if np.ndim(orientation) == 0:
            return orient(self.pixels[rows], orientation)
        pairs = zip(rows, orientation, strict=True)
        return np.concatenate([orient(self.pixels[row : row + 1], turn) for row, turn in pairs])


def feature_precision(cut, settings):
    """Precision in which features are kept: half, except for pooled ones, which are small.

    Examples
    --------
    >>> feature_precision("pooled", training_settings), feature_precision("conv_pw_11_relu", training_settings)
    ('float32', 'float16')
    """
    if settings.features != "auto":
        return settings.features
    return "float32" if cut == "pooled" else "float16"


def orientations_needed(settings):
    """How many orientations of each cell pass the trunk.

    Examples
    --------
    >>> orientations_needed(training_settings)
    1
    >>> orientations_needed(training_settings.model_copy(update={"average": 4}))
    4
    """
    return max(settings.orientations, settings.average)


def weights_digest(trunk):
    """SHA-256 of the very values of a model's weights.

    Parameters
    ----------
    trunk : keras.Model

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> len(weights_digest(network.trunk))
    64
    """
    values = hashlib.sha256()
    for array in trunk.get_weights():
        values.update(np.ascontiguousarray(array).data)
    return values.hexdigest()


def features_key(name, cut, digest, cells_key, settings, engine):
    """Identify features by everything that decides them.

    Parameters
    ----------
    name : str
        Of the architecture.
    cut : str or tuple of str
    digest : str
        From `weights_digest`.
    cells_key : str
        Identifies the pixels.
    settings : TrainingSettings
    engine : str
        From `engines.choose`.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> len(features_key("mobilenet", "pooled", "ab12", cells.key, training_settings, "keras"))
    64
    """
    recipe = [cells_key, name, cut, digest, orientations_needed(settings), feature_precision(cut, settings)]
    recipe += [engine, keras.mixed_precision.dtype_policy().name]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


def features_path(name, key, settings):
    """Where the features of a key are kept.

    Examples
    --------
    >>> features_path("mobilenet", "ab12", training_settings).name
    'mobilenet-ab12.npy'
    """
    return Path(settings.cache_folder) / "features" / f"{name}-{key[:32]}.npy"


def compute_features(network, cells, settings):
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
        network.architecture.name, orientations_needed(settings), feature_precision(network.cut, settings)
    )  # fmt: skip
    engine = engines.choose(settings.engine)
    key = features_key(name, network.cut, weights_digest(network.trunk), cells.key, settings, engine)
    path = features_path(name, key, settings)
    pixels, shape = cells.pixels, network.trunk.output.shape[1:]
    forward = functools.cache(lambda: engines.forward(engine, network.trunk))  # made when there is something to do

    def compute(start, stop):
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
    flat = caching.filled(path, key, (orientations * len(pixels), *shape), precision, compute, title)
    return flat.reshape(orientations, len(pixels), *shape)


def check_range(computed, precision):
    """Refuse features that cannot be kept.

    Parameters
    ----------
    computed : ndarray
    precision : {"float16", "float32"}

    Raises
    ------
    InputError
        If some are not finite, or too large for the precision.

    Examples
    --------
    >>> check_range(np.array([70000.0]), "float16")
    Traceback (most recent call last):
        ...
    allhelpers.errors.InputError: Features are too large for half precision: set features = float32.
    """
    if not np.isfinite(computed).all():
        raise InputError("The frozen part gave values that are not finite: check the weights file.")
    if precision == "float16" and np.abs(computed).max() > np.finfo(np.float16).max:
        raise InputError("Features are too large for half precision: set features = float32.")
