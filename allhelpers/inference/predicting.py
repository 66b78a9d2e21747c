"""A saved network's probabilities for new images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..data import decoding, tables
from ..data.orientations import orient
from ..networks import building, registry
from ..networks.building import FORWARD_BATCH

if TYPE_CHECKING:
    from ..networks.building import Network


def probabilities(network: Network, pixels: np.ndarray) -> np.ndarray:
    """Probabilities of cells, averaged over orientations as in the network's settings.

    Parameters
    ----------
    network : Network
    pixels : ndarray of shape (n, size, size, 3), uint8

    Returns
    -------
    ndarray of shape (n, classes)
        In the order of ``network.classes``; each row adds up to 1.

    Examples
    --------
    >>> rows = probabilities(network, cells.pixels[:3])
    >>> rows.shape, rows.sum(axis=1).round(3).tolist()
    ((3, 2), [1.0, 1.0, 1.0])
    """
    turned = (orient(pixels, number) for number in range(network.settings.tta))
    return np.mean([building.predict(network.full, each) for each in turned], axis=0)


def predict(network: Network, files: Sequence[Path]) -> pd.DataFrame:
    """Classify image files, prepared and averaged over orientations as in the network's settings.

    Parameters
    ----------
    network : Network
    files : sequence of Path

    Returns
    -------
    DataFrame
        Columns file, ``p_<class>`` of each class, predicted.

    Raises
    ------
    InputError
        If a file cannot be used.

    Examples
    --------
    >>> from allhelpers import data
    >>> files = data.open_images(training_settings).members[:2]
    >>> list(predict(network, files))
    ['file', 'p_all', 'p_hem', 'predicted']
    """
    parts = []
    for start in tqdm(range(0, len(files), FORWARD_BATCH), desc="classifying", unit="batch"):
        pixels = decoded(network, files[start : start + FORWARD_BATCH])
        parts.append(probabilities(network, pixels))
    return table_of(network, files, np.concatenate(parts))


def decoded(network: Network, files: Sequence[Path]) -> np.ndarray:
    """Pixels of image files, as the network's settings prepare them."""
    pixels = [decoding.decode_file(path, network.settings) for path in files]
    return registry.check_pixels(np.stack(pixels))


def table_of(network: Network, files: Sequence[str | Path], y_prob: np.ndarray) -> pd.DataFrame:
    """Probabilities as a table."""
    table = pd.DataFrame(y_prob, columns=[f"p_{label}" for label in network.classes])
    table.insert(0, "file", [str(path) for path in files])
    return table.assign(predicted=tables.predicted_labels(table))
